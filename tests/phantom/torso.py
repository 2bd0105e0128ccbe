"""Paints skin, fat, muscle wall and cavities of the trunk, with legs, neck and head."""

from __future__ import annotations

from dataclasses import dataclass

from .drawing import SIDES, Chance, Growable, Painting
from .solids import Capsule, Column, Ellipsoid, Solid, both

FAT_HU = -100.0
MUSCLE_HU = 55.0
SKIN_MM = 2.0

TRUNK_Z = (-190.0, -100.0, 0.0, 90.0, 190.0, 290.0, 380.0, 430.0, 470.0, 500.0)
TRUNK_WIDTH = (1.00, 1.05, 1.00, 0.94, 0.98, 1.00, 0.98, 0.88, 0.62, 0.38)
TRUNK_DEPTH = (1.00, 1.02, 1.00, 0.97, 1.00, 1.02, 0.96, 0.84, 0.68, 0.58)
TRUNK_BOXINESS = 0.35
CAVITY_Z = (-135.0, -90.0, -40.0, 20.0, 90.0, 190.0, 290.0, 380.0, 430.0, 462.0)
CAVITY_WIDTH = (0.30, 0.52, 0.70, 0.86, 0.96, 1.00, 1.00, 0.96, 0.78, 0.40)
CAVITY_DEPTH = (0.45, 0.80, 0.95, 1.00, 1.00, 1.00, 1.00, 0.92, 0.75, 0.50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """The trunk's envelopes, outermost first; organs are kept inside the cavity."""

    half_width: float  # mm, to the muscle's outer surface at the height of the heart
    half_depth: float
    wall_mm: float
    centre_y: float
    muscle: Column
    cavity: Column


def make_trunk(chance: Chance) -> Trunk:
    """Returns the envelopes of a random trunk."""
    width, depth = chance.between(152.0, 174.0), chance.between(102.0, 118.0)
    wall, centre = chance.between(15.0, 20.0), 6.0
    muscle = _column(TRUNK_Z, TRUNK_WIDTH, TRUNK_DEPTH, width, depth, centre)
    cavity = _column(CAVITY_Z, CAVITY_WIDTH, CAVITY_DEPTH, width - wall, depth - wall, centre)
    return Trunk(
        half_width=width,
        half_depth=depth,
        wall_mm=wall,
        centre_y=centre,
        muscle=muscle,
        cavity=cavity,
    )


def paint_torso(painting: Painting, chance: Chance, trunk: Trunk) -> None:
    """Paints everything that is not an organ: skin, fat, muscle, fat of the cavities."""
    fat_mm = chance.between(7.0, 24.0)
    fat_hu, muscle_hu = chance.around(FAT_HU, 6.0), chance.around(MUSCLE_HU, 5.0)
    limbs: list[Growable] = []
    for _side, sign in SIDES:
        limbs.append(Capsule((sign * 86, 6, -165), (sign * 96, 8, -520), 74.0, 58.0))
    limbs.append(Capsule((0.0, 22.0, 440.0), (0.0, 18.0, 590.0), 52.0, 50.0))
    limbs.append(Ellipsoid((0.0, 5.0, 640.0), (74.0, 92.0, 92.0)))
    trunk_and_limbs: list[Growable] = [trunk.muscle, *limbs]

    painting.tissue(20.0, *(solid.grown(fat_mm + SKIN_MM) for solid in trunk_and_limbs))
    painting.tissue(fat_hu, *(solid.grown(fat_mm) for solid in trunk_and_limbs))
    painting.tissue(muscle_hu, *trunk_and_limbs)
    painting.tissue(fat_hu, trunk.cavity)
    _paint_head(painting, chance)
    _paint_buttocks(painting, chance, trunk, muscle_hu, fat_hu)


def _paint_head(painting: Painting, chance: Chance) -> None:
    """Paints a simple skull with a brain, for scans that reach the head."""
    skull = Ellipsoid((0.0, 5.0, 655.0), (68.0, 84.0, 72.0))
    painting.structure("skull", 800.0, skull)
    painting.structure("brain", chance.around(36.0, 2.0), skull.grown(-7.0))


def _paint_buttocks(
    painting: Painting, chance: Chance, trunk: Trunk, muscle_hu: float, fat_hu: float
) -> None:
    """Paints the gluteal muscles, with fat between them."""
    for side, sign in SIDES:
        medius = Ellipsoid(
            chance.near((sign * 116.0, 26.0, -34.0)), chance.sized((24.0, 50.0, 48.0))
        )
        maximus = Ellipsoid(
            chance.near((sign * 66.0, 88.0, -92.0)), chance.sized((54.0, 28.0, 74.0))
        )
        for name, solid in (("gluteus_medius", medius), ("gluteus_maximus", maximus)):
            rim: Solid = both(solid.grown(3.5), trunk.muscle)
            painting.tissue(fat_hu, rim)
            painting.structure(f"{name}_{side}", muscle_hu, both(solid, trunk.muscle.grown(-3.0)))


def _column(
    z: tuple[float, ...],
    width: tuple[float, ...],
    depth: tuple[float, ...],
    half_width: float,
    half_depth: float,
    centre_y: float,
) -> Column:
    zero = (0.0,) * len(z)
    return Column(
        z,
        tuple(half_width * w for w in width),
        tuple(half_depth * d for d in depth),
        zero,
        (centre_y,) * len(z),
        TRUNK_BOXINESS,
    )
