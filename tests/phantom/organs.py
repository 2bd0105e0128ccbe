"""Paints the organs of chest, abdomen and pelvis."""

from __future__ import annotations

from dataclasses import dataclass

from .drawing import SIDES, Chance, Growable, Painting
from .frame import rotation
from .solids import Above, Ellipsoid, Solid, Vector, both, tube
from .torso import Trunk

FISSURE_MM = 1.6  # half the thickness
BOWEL_LOOPS = 16
LUNG_VESSELS = 14
GAS_HU = -900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Blood:
    """The brightness of blood and perfused organs: the phase of a contrast injection."""

    contrast: float  # 0 = none, 1 = a strong portal venous phase
    hu: float

    def perfused(self, plain_hu: float, share: float) -> float:
        """Returns the HU of an organ that takes up a share of the contrast medium."""
        return plain_hu + share * (self.hu - 42.0)


def make_blood(chance: Chance) -> Blood:
    """Returns a random contrast phase."""
    contrast = chance.between(0.0, 1.0)
    return Blood(contrast=contrast, hu=chance.around(42.0 + 130.0 * contrast, 6.0))


def paint_belly(painting: Painting, chance: Chance, trunk: Trunk, blood: Blood) -> None:
    """Paints the organs below the diaphragm; the lungs are painted over their domes later."""
    cavity = trunk.cavity
    _paint_bowel(painting, chance, cavity)
    _paint_kidneys(painting, chance, blood)
    _paint_gut(painting, chance, cavity, blood)
    spleen = Ellipsoid(
        chance.near((104.0, 40.0, 172.0)),
        chance.sized((29.0, 44.0, 52.0)),
        rotation(0.15, 0.0, -0.45).T,
    )
    painting.tissue(-95.0, both(spleen.grown(2.5), cavity))
    painting.structure("spleen", blood.perfused(48.0, 0.6), both(spleen, cavity))

    liver_hu = chance.around(blood.perfused(58.0, 0.5), 6.0)
    right = Ellipsoid(
        chance.near((-62.0, -6.0, 172.0)),
        chance.sized((84.0, 84.0, 74.0), 0.08),
        rotation(0.0, -0.18, 0.0).T,
    )
    left = Ellipsoid(chance.near((-4.0, -48.0, 188.0)), chance.sized((66.0, 40.0, 36.0)))
    painting.structure("liver", liver_hu, both(right, cavity), both(left, cavity))
    _paint_liver_vessels(painting, chance, blood)
    gallbladder = Ellipsoid(
        chance.near((-42.0, -58.0, 116.0)), chance.sized((17.0, 25.0, 22.0)), None
    )
    painting.structure("gallbladder", chance.around(8.0, 4.0), both(gallbladder, cavity))


def _paint_bowel(painting: Painting, chance: Chance, cavity: Solid) -> None:
    """Paints loops of bowel with contents and gas, all without a label."""
    for _ in range(BOWEL_LOOPS):
        x, y = chance.between(-105.0, 105.0), chance.between(-80.0, 5.0)
        z = chance.between(-60.0, 95.0)
        radii = (chance.between(12, 28), chance.between(12, 26), chance.between(12, 26))
        painting.tissue(chance.around(40.0, 6.0), both(Ellipsoid((x, y, z), radii), cavity))
        a, b, c = (0.75 * r for r in radii)
        contents = chance.between(-60.0, 60.0)
        if chance.happens(0.35):
            contents = chance.between(120.0, 260.0)  # oral contrast medium
        painting.tissue(contents, both(Ellipsoid((x, y, z), (a, b, c)), cavity))
        if chance.happens(0.4):
            bubble = Ellipsoid((x, y - 0.35 * b, z), (0.75 * a, 0.5 * b, 0.75 * c))
            painting.tissue(GAS_HU, both(bubble, cavity))


def _paint_kidneys(painting: Painting, chance: Chance, blood: Blood) -> None:
    hu = blood.perfused(34.0, 1.0 if chance.happens(0.5) else 1.4)
    for side, sign in SIDES:
        height = 116.0 if side == "left" else 104.0
        x, y, z = chance.near((sign * 66.0, 44.0, height))
        kidney = Ellipsoid(
            (x, y, z), chance.sized((27.0, 28.0, 54.0)), rotation(0.0, -sign * 0.2, sign * 0.3).T
        )
        painting.wrapped(f"kidney_{side}", hu, -100.0, 4.0, [kidney])
        sinus = Ellipsoid((x - sign * 14.0, y - 3.0, z), (12.0, 9.0, 20.0))
        painting.detail(-20.0, both(sinus, kidney))
        gland = tube(
            [
                chance.near((sign * 40.0, 36.0, 172.0), 1.5),
                chance.near((sign * 50.0, 46.0, 162.0), 1.5),
            ],
            [5.0, 4.5],
        )
        painting.structure(f"adrenal_gland_{side}", 35.0, *gland)


def _paint_gut(painting: Painting, chance: Chance, cavity: Solid, blood: Blood) -> None:
    """Paints pancreas, duodenum and stomach."""
    pancreas = tube(
        [
            chance.near((-28.0, -20.0, 96.0), 2.0),
            chance.near((-22.0, -24.0, 116.0), 2.0),
            chance.near((18.0, -30.0, 128.0), 2.0),
            chance.near((74.0, 6.0, 150.0), 2.0),
        ],
        [15.0, 15.0, 13.0, 11.0],
    )
    hu = blood.perfused(42.0, 0.5)
    painting.wrapped("pancreas", hu, -95.0, 2.0, pancreas)
    duodenum = tube(
        [
            chance.near((-34.0, -42.0, 128.0), 2.0),
            chance.near((-54.0, -18.0, 112.0), 2.0),
            chance.near((-50.0, -8.0, 74.0), 2.0),
            chance.near((-8.0, -4.0, 64.0), 2.0),
        ],
        [12.0, 12.0, 12.0, 11.0],
    )
    painting.structure("duodenum", chance.around(40.0, 5.0), *duodenum)
    painting.detail(chance.between(0.0, 40.0), *(piece.grown(-4.0) for piece in duodenum))

    x, y, z = chance.near((58.0, -34.0, 158.0))
    fundus = Ellipsoid((x, y, z), chance.sized((42.0, 44.0, 54.0)), rotation(0.15, 0.25, 0.0).T)
    antrum = tube(
        [
            (x - 8.0, y - 14.0, z - 38.0),
            (x - 46.0, y - 24.0, z - 52.0),
            (x - 70.0, y - 18.0, z - 40.0),
        ],
        [25.0, 22.0, 17.0],
    )
    pieces: list[Growable] = [fundus, *antrum]
    painting.tissue(-95.0, *(both(piece.grown(2.5), cavity) for piece in pieces))
    painting.structure("stomach", 45.0, *(both(piece, cavity) for piece in pieces))
    contents = chance.between(-10.0, 35.0) if chance.happens(0.7) else chance.between(80.0, 220.0)
    painting.detail(contents, *(both(piece.grown(-4.0), cavity) for piece in pieces))
    bubble = Ellipsoid((x, y - 16.0, z + 4.0), (28.0, 18.0, 34.0))
    if chance.happens(0.7):
        painting.detail(GAS_HU, both(bubble, fundus.grown(-4.0), cavity))


def _paint_liver_vessels(painting: Painting, chance: Chance, blood: Blood) -> None:
    """Paints portal and hepatic veins inside the liver; they belong to the liver's label."""
    trunk_end: Vector = (-40.0, -8.0, 158.0)
    for goal in ((-95.0, 10.0, 165.0), (-80.0, -40.0, 150.0), (-20.0, -45.0, 180.0)):
        painting.detail(blood.hu, *tube([trunk_end, chance.near(goal)], [6.0, 3.0]))
    portal = tube([(22.0, -12.0, 134.0), (-12.0, -14.0, 130.0), trunk_end], [6.5, 7.5, 7.0])
    painting.structure("portal_vein_and_splenic_vein", blood.hu, *portal)


def paint_pelvic_organs(painting: Painting, chance: Chance) -> None:
    """Paints bladder and prostate."""
    bladder = Ellipsoid(chance.near((0.0, -26.0, -86.0)), chance.sized((42.0, 34.0, 33.0), 0.14))
    painting.wrapped("urinary_bladder", 35.0, -90.0, 3.0, [bladder])
    painting.detail(chance.around(6.0, 4.0), bladder.grown(-3.0))
    prostate = Ellipsoid(chance.near((0.0, -16.0, -128.0), 1.5), (22.0, 18.0, 17.0))
    painting.structure("prostate", 42.0, prostate)


def paint_chest(painting: Painting, chance: Chance, trunk: Trunk, blood: Blood) -> None:
    """Paints the mediastinum's tissue, the lobes of the lungs, the heart and the airways."""
    mediastinum = Ellipsoid((0.0, 0.0, 330.0), (46.0, 70.0, 120.0), boxiness=0.5)
    painting.tissue(-40.0, both(mediastinum, trunk.cavity))
    hu = chance.between(-880.0, -790.0)
    tilt = chance.around(1.05, 0.08)
    oblique = Above(chance.around(302.0, 4.0), slopes=(0.0, tilt))
    horizontal = Above(chance.around(332.0, 4.0), slopes=(0.0, 0.08))
    for side, sign in SIDES:
        dome = chance.around(228.0 if side == "left" else 238.0, 4.0)
        lung = Ellipsoid((sign * 86.0, 4.0, 318.0), (67.0, 96.0, 146.0), boxiness=0.45)
        base = Above(dome, bends=(-0.0085, -0.0065), at=(sign * 72.0, -8.0))
        space = both(lung, base, trunk.cavity.grown(-3.0))
        painting.structure(f"lung_lower_lobe_{side}", hu + 45.0, both(space, oblique.flipped()))
        painting.structure(f"lung_upper_lobe_{side}", hu, both(space, oblique))
        sheets = [both(space, oblique.raised(-FISSURE_MM), oblique.raised(FISSURE_MM).flipped())]
        if side == "right":
            middle = both(space, oblique, horizontal.flipped())
            painting.structure("lung_middle_lobe_right", hu + 15.0, middle)
            thin = both(horizontal.raised(-FISSURE_MM), horizontal.raised(FISSURE_MM).flipped())
            sheets.append(both(space, oblique, thin))
        _paint_lung_vessels(painting, chance, sign, space, blood)
        painting.detail(hu + chance.between(220.0, 380.0), *sheets)
    _paint_heart(painting, chance, blood)
    _paint_airways(painting, chance)


def _paint_lung_vessels(
    painting: Painting, chance: Chance, sign: float, space: Solid, blood: Blood
) -> None:
    """Paints vessels from the hilum outwards; they belong to the lobes' labels."""
    hilum = (sign * 34.0, 8.0, 312.0)
    for _ in range(LUNG_VESSELS):
        goal = (
            sign * chance.between(60.0, 135.0),
            chance.between(-75.0, 75.0),
            chance.between(215.0, 430.0),
        )
        pieces = tube([hilum, chance.near(goal)], [5.0, 1.2])
        painting.detail(blood.hu - 20.0, *(both(piece, space) for piece in pieces))


def _paint_heart(painting: Painting, chance: Chance, blood: Blood) -> None:
    """Paints the heart with two bright chambers in its muscle."""
    x, y, z = chance.near((24.0, -32.0, 266.0))
    turn = rotation(0.3, 0.0, 0.55).T
    heart = Ellipsoid((x, y, z), chance.sized((58.0, 46.0, 54.0), 0.08), turn)
    painting.wrapped("heart", blood.perfused(50.0, 0.45), -90.0, 3.0, [heart])
    left = Ellipsoid((x + 22.0, y - 2.0, z - 4.0), (24.0, 18.0, 30.0), turn)
    right = Ellipsoid((x - 22.0, y - 8.0, z + 2.0), (24.0, 28.0, 36.0), turn)
    atrium = Ellipsoid((x - 2.0, y + 26.0, z + 22.0), (28.0, 14.0, 20.0))
    painting.detail(blood.hu, *(both(room, heart) for room in (left, right, atrium)))
    lung_artery = tube([(x - 4.0, -28.0, 312.0), (8.0, -16.0, 336.0)], [13.0, 12.0])
    branches = tube([(-36.0, 2.0, 322.0), (8.0, -10.0, 336.0), (40.0, 6.0, 326.0)], [9, 11, 9])
    painting.tissue(blood.hu, *lung_artery, *branches)


def _paint_airways(painting: Painting, chance: Chance) -> None:
    carina = chance.near((-1.0, 8.0, 368.0), 1.5)
    larynx = chance.near((0.0, -16.0, 540.0), 1.5)
    for sign in (1.0, -1.0):
        bronchus = tube([carina, (sign * 36.0, 12.0, 336.0)], [7.0, 6.0])
        painting.structure("trachea", 0.0, *(piece.grown(1.5) for piece in bronchus))
        painting.detail(-990.0, *bronchus)
    windpipe = tube([carina, larynx], [9.0, 9.5])
    painting.structure("trachea", 0.0, *(piece.grown(1.5) for piece in windpipe))
    painting.detail(-990.0, *windpipe)
    gullet = [
        chance.near((3.0, 12.0, 500.0), 1.0),
        (4.0, 26.0, 400.0),
        (4.0, 28.0, 330.0),
        (8.0, 18.0, 262.0),
        (26.0, -2.0, 216.0),
        (40.0, -14.0, 196.0),
    ]
    painting.structure("esophagus", chance.around(38.0, 4.0), *tube(gullet, [9.0] * 6))
    for sign in (1.0, -1.0):
        lobe = Ellipsoid((sign * 16.0, -12.0, 478.0), (9.0, 11.0, 22.0))
        painting.structure("thyroid_gland", 110.0, lobe)
