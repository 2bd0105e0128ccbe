"""Paints spine, back muscles, pelvis, thighs, ribs and shoulder girdle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .drawing import SIDES, Chance, Painting
from .frame import rotation
from .solids import Above, Capsule, Column, Ellipsoid, Vector, both, tube
from .torso import Trunk

VERTEBRAE = tuple(f"vertebrae_{level}" for level in ("L5", "L4", "L3", "L2", "L1")) + tuple(
    f"vertebrae_T{n}" for n in range(12, 0, -1)
)
VERTEBRA_HEIGHT_MM = (34, 34, 34, 33, 32, 29, 28, 27, 26, 25, 25, 24, 23, 23, 22, 21, 21)
"""Body and the disc below it, in the order of VERTEBRAE; anatomical means."""

SPINE_Z = (-60.0, 0.0, 90.0, 190.0, 330.0, 440.0, 520.0)
SPINE_Y = (66.0, 46.0, 38.0, 47.0, 60.0, 46.0, 34.0)  # the vertebral bodies' centre
SPINE_WIDTH = (1.05, 1.05, 1.0, 0.95, 0.82, 0.72, 0.70)
DISC_MM = 7.0
DISC_HU = 80.0
CORTEX_HU = 620.0
RIBS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Bones:
    """Densities of one skeleton, in HU."""

    cortex: float
    marrow: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spine:
    """The curve through the centres of the vertebral bodies."""

    bend: float
    sway_mm: float
    sway_phase: float

    def centre(self, z: float) -> tuple[float, float]:
        """Returns x and y of the spine at a height, body coordinates in mm."""
        straight = 47.0
        y = straight + self.bend * (float(np.interp(z, SPINE_Z, SPINE_Y)) - straight)
        return self.sway_mm * float(np.sin(z / 150.0 + self.sway_phase)), y

    def at(self, z: float, x: float = 0.0, y: float = 0.0) -> Vector:
        """Returns the point at an offset from the spine at a height."""
        spine_x, spine_y = self.centre(z)
        return (spine_x + x, spine_y + y, z)


def width_at(z: float) -> float:
    """Returns the size of a vertebra at a height, relative to L3."""
    return float(np.interp(z, SPINE_Z, SPINE_WIDTH))


def make_spine(chance: Chance) -> Spine:
    """Returns a random spine."""
    return Spine(
        bend=chance.between(0.75, 1.15),
        sway_mm=chance.around(0.0, 2.5),
        sway_phase=chance.between(0.0, 2.0 * np.pi),
    )


def vertebra_tops() -> list[float]:
    """Returns the height of each vertebra's upper end plate, in the order of VERTEBRAE."""
    return [float(top) for top in np.cumsum(VERTEBRA_HEIGHT_MM)]


def make_bones(chance: Chance) -> Bones:
    """Returns the densities of a random skeleton."""
    return Bones(cortex=chance.around(CORTEX_HU, 90.0), marrow=chance.between(150.0, 270.0))


def paint_back_muscles(painting: Painting, chance: Chance, spine: Spine) -> None:
    """Paints the autochthonous muscles beside the spinous processes and the iliopsoas."""
    hu = chance.around(58.0, 4.0)
    heights = (-80.0, -30.0, 30.0, 100.0, 170.0, 240.0, 310.0, 370.0, 420.0)
    radii = tuple(chance.between(0.92, 1.08) * r for r in (13, 19, 22, 22, 21, 19, 17, 15, 12))
    for side, sign in SIDES:
        inner = tuple(spine.at(z, sign * 24.0, 40.0) for z in heights)
        outer = tuple(spine.at(z, sign * 36.0, 36.0) for z in heights)
        strands = (*tube(inner, radii), *tube(outer, [r * 0.85 for r in radii]))
        painting.wrapped(f"autochthon_{side}", hu, -90.0, 2.5, strands)
    for side, sign in SIDES:
        path = [
            chance.near((sign * 33.0, 44.0, 165.0), 1.5),
            chance.near((sign * 44.0, 40.0, 90.0), 1.5),
            chance.near((sign * 56.0, 28.0, 10.0), 1.5),
            chance.near((sign * 70.0, -2.0, -50.0), 1.5),
            chance.near((sign * 88.0, -38.0, -100.0), 1.5),
            chance.near((sign * 104.0, -18.0, -150.0), 1.5),
        ]
        strands = tube(path, [10.0, 19.0, 22.0, 22.0, 17.0, 12.0])
        painting.wrapped(f"iliopsoas_{side}", hu, -95.0, 2.5, strands)


def paint_spine(painting: Painting, chance: Chance, spine: Spine, bones: Bones) -> None:
    """Paints vertebrae T1 to L5 with their discs, the sacrum, the canal and the cord."""
    bottom = 0.0
    for name, top in zip(VERTEBRAE, vertebra_tops(), strict=True):
        _paint_vertebra(painting, chance, spine, bones, name, bottom, top)
        bottom = top
    _paint_sacrum(painting, chance, spine, bones)
    heights = [-70.0, *np.linspace(-20.0, 520.0, 19)]
    canal = [spine.at(z, 0.0, 26.0 * width_at(z) ** 0.5) for z in heights]
    painting.tissue(5.0, *tube(canal, [5.0] + [9.5] * 19))
    cord = [point for point in canal if point[2] > -5.0]
    painting.structure("spinal_cord", chance.around(40.0, 3.0), *tube(cord, [7.5] * len(cord)))


def _paint_vertebra(
    painting: Painting,
    chance: Chance,
    spine: Spine,
    bones: Bones,
    name: str,
    bottom: float,
    top: float,
) -> None:
    middle, width = 0.5 * (bottom + top) + 0.5 * DISC_MM, width_at(bottom)
    slope = (spine.centre(top)[1] - spine.centre(bottom)[1]) / (top - bottom)
    x, y = spine.centre(middle)
    a, b = 25.0 * width, 18.5 * width
    pillar = Column((bottom, top), (a, a), (b, b), (x, x), (y, y), 0.2)
    floor = Above(bottom + DISC_MM, slopes=(0.0, -slope), at=(x, y))
    body = both(pillar, floor)
    painting.tissue(chance.around(DISC_HU, 8.0), both(pillar.grown(-1.0), floor.flipped()))

    arch_y = 26.0 * width**0.5
    low, high = bottom + DISC_MM + 3.0, top - 2.0
    centre = 0.5 * (low + high)
    arch = tube([spine.at(low + 8, 0, arch_y), spine.at(high - 6, 0, arch_y)], [18.5, 18.5])
    spine_tip = spine.at(centre - 9.0, 0.0, arch_y + 34.0 * width)
    spinous = Capsule(spine.at(centre, 0.0, arch_y + 10.0), spine_tip, 6.5, 6.0)
    reach = 38.0 * max(width, 0.85)
    transverse = Capsule(
        spine.at(centre, -reach, arch_y + 2.0), spine.at(centre, reach, arch_y + 2.0), 6.0, 6.0
    )
    between = both(Column((low, high), (70, 70), (90, 90), (x, x), (y, y)))
    back = [both(solid, *between.solids) for solid in (*arch, spinous, transverse)]
    painting.structure(name, bones.cortex, body, *back)
    inner_floor, ceiling = floor.raised(1.5), floor.flipped().raised(top - bottom - DISC_MM - 1.5)
    painting.detail(bones.marrow, both(pillar.grown(-1.5), inner_floor, ceiling))


def _paint_sacrum(painting: Painting, chance: Chance, spine: Spine, bones: Bones) -> None:
    base_y = spine.centre(0.0)[1]
    z = (-118.0, -90.0, -60.0, -30.0, -1.0)
    centre_y = tuple(base_y + offset for offset in (24.0, 36.0, 34.0, 22.0, 8.0))
    half_x = tuple(chance.between(0.96, 1.06) * a for a in (9.0, 22.0, 36.0, 50.0, 54.0))
    sacrum = Column(z, half_x, (8.0, 12.0, 17.0, 22.0, 26.0), (0.0,) * 5, centre_y, 0.15)
    painting.bone("sacrum", bones.cortex * 0.7, bones.marrow, 2.5, [sacrum])


def paint_pelvis(painting: Painting, chance: Chance, bones: Bones) -> None:
    """Paints hip bones and femurs."""
    for side, sign in SIDES:
        flare = rotation(0.0, sign * 0.22, -sign * chance.around(0.60, 0.05))
        blade = Ellipsoid(
            chance.near((sign * 88.0, 20.0, -24.0), 2.0),
            chance.sized((11.5, 62.0, 62.0), 0.05),
            flare.T,
        )
        socket = Ellipsoid(chance.near((sign * 84.0, 4.0, -92.0), 1.0), (29.0, 31.0, 34.0))
        ischium = tube([(sign * 78, 22, -102), (sign * 66, 36, -150)], [16.0, 14.0])
        pubis = tube([(sign * 72, -16, -100), (sign * 12, -38, -124)], [13.0, 12.0])
        ramus = tube([(sign * 64, 30, -152), (sign * 14, -30, -134)], [10.0, 10.0])
        painting.bone(
            f"hip_{side}",
            bones.cortex,
            bones.marrow + 40.0,
            3.0,
            [blade, socket, *ischium, *pubis, *ramus],
        )
        _paint_femur(painting, chance, bones, side, sign)


def _paint_femur(painting: Painting, chance: Chance, bones: Bones, side: str, sign: float) -> None:
    head = Ellipsoid((sign * 95.0, -1.0, -96.0), (26.0, 26.0, 26.0))
    painting.tissue(60.0, head.grown(2.5))  # the joint's cartilage keeps the two bones apart
    trochanter = chance.near((sign * 132.0, 8.0, -128.0), 1.5)
    knee = chance.near((sign * 108.0, 0.0, -480.0), 2.0)
    shaft = (sign * 126.0, 6.0, -190.0)
    neck = tube([(sign * 97.0, -1.0, -97.0), trochanter], [17.0, 20.0])
    bone = tube([trochanter, shaft, knee], [20.0, 17.0, 17.0])
    painting.bone(f"femur_{side}", bones.cortex, bones.marrow + 60.0, 2.5, [head, *neck])
    painting.bone(f"femur_{side}", bones.cortex + 300.0, bones.marrow - 120.0, 6.0, bone)


def paint_ribs(
    painting: Painting, chance: Chance, spine: Spine, trunk: Trunk, bones: Bones
) -> None:
    """Paints twelve ribs a side, the costal cartilages, sternum, clavicles and scapulae."""
    tops = dict(zip(VERTEBRAE, vertebra_tops(), strict=True))
    drop = chance.between(58.0, 76.0)
    front = trunk.centre_y - trunk.half_depth
    for side, sign in SIDES:
        for number in range(1, RIBS + 1):
            start_z = tops[f"vertebrae_T{number}"] - 6.0
            path, end = _rib_path(spine, trunk, sign, number, start_z, drop)
            if number <= 10:
                goal = (sign * 14.0, front + 11.0, max(end[2] + 8.0 * (number - 1), 265.0))
                painting.structure("costal_cartilages", 110.0, *tube([end, goal], [6.0, 5.5]))
            painting.bone(
                f"rib_{side}_{number}", bones.cortex, bones.marrow, 2.0, tube(path, [6.5] * 40)
            )
    sternum = Ellipsoid(
        chance.near((0.0, front + 10.0, 335.0), 1.0), (18.0, 8.0, 78.0), boxiness=0.6
    )
    painting.bone("sternum", bones.cortex * 0.7, bones.marrow, 2.0, [sternum])
    for side, sign in SIDES:
        clavicle = tube(
            [(sign * 18, front + 30, 422), (sign * 70, front + 44, 438), (sign * 120, 14, 440)],
            [8.0, 6.5, 6.5],
        )
        painting.bone(f"clavicula_{side}", bones.cortex, bones.marrow, 2.0, clavicle)
        blade = Ellipsoid(
            chance.near((sign * 92.0, 6.0 + trunk.half_depth * 0.84, 372.0), 2.0),
            (38.0, 6.5, 58.0),
            rotation(0.0, 0.0, -sign * 0.45).T,
        )
        painting.bone(f"scapula_{side}", bones.cortex, bones.marrow, 2.0, [blade])


def _rib_path(
    spine: Spine, trunk: Trunk, sign: float, number: int, start_z: float, drop: float
) -> tuple[list[Vector], Vector]:
    """Returns the points along a rib, from the spine round the chest, and the last point."""
    reach = {11: 1.45, 12: 1.05}.get(number, 2.35)  # radians round the chest, 0 is the back
    shrink = {1: 0.62, 2: 0.82, 3: 0.92}.get(number, 1.0)
    half_x = (trunk.half_width - 0.5 * trunk.wall_mm) * shrink * 0.985
    half_y = (trunk.half_depth - 0.5 * trunk.wall_mm) * shrink
    points: list[Vector] = [spine.at(start_z, sign * 26.0, 18.0)]
    for angle in np.linspace(0.38, reach, 11):
        fall = drop * (1.0 - np.cos(min(angle * 1.15, np.pi))) / 2.0 * min(1.0, number / 4.0)
        # the corners of a boxy chest lie outside the ellipse
        corner = 1.0 + 0.06 * np.sin(2.0 * angle) ** 2
        points.append(
            (
                sign * float(half_x * corner * np.sin(angle)),
                float(trunk.centre_y + half_y * corner * np.cos(angle)),
                start_z - float(fall),
            )
        )
    return points, points[-1]
