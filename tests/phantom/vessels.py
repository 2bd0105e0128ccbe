"""Paints the large vessels."""

from __future__ import annotations

from .drawing import SIDES, Chance, Painting
from .organs import Blood
from .solids import Vector, tube


def paint_vessels(painting: Painting, chance: Chance, blood: Blood) -> None:
    """Paints aorta, venae cavae and the iliac vessels."""
    arterial = blood.hu + (chance.between(20.0, 90.0) if chance.happens(0.4) else 0.0)
    arterial = arterial if blood.contrast > 0.3 else blood.hu
    size = chance.between(0.94, 1.12)
    aorta: list[tuple[Vector, float]] = [
        ((0.0, -22.0, 288.0), 16.0),
        ((-14.0, -26.0, 330.0), 16.0),
        ((-12.0, -18.0, 366.0), 15.0),
        ((4.0, 2.0, 388.0), 14.0),
        ((22.0, 28.0, 378.0), 13.5),
        ((26.0, 38.0, 340.0), 13.5),
        ((24.0, 34.0, 270.0), 13.0),
        ((14.0, 16.0, 205.0), 12.5),
        ((10.0, 8.0, 110.0), 11.5),
        ((8.0, 12.0, 22.0), 10.5),
    ]
    path = [chance.near(point, 1.5) for point, _radius in aorta]
    veins = blood.hu - 8.0
    cava: list[Vector] = [
        (-20.0, 14.0, 18.0),
        (-22.0, 10.0, 120.0),
        (-26.0, 4.0, 190.0),
        (-22.0, -10.0, 248.0),
    ]
    upper = [chance.near((-30.0, -20.0, 296.0), 1.5), chance.near((-32.0, -14.0, 400.0), 1.5)]
    painting.structure("superior_vena_cava", veins, *tube(upper, [10.0, 9.0]))
    lower = [chance.near(point, 1.5) for point in cava]
    painting.structure("inferior_vena_cava", veins, *tube(lower, [12.0, 12.0, 13.0, 13.0]))
    for side, sign in SIDES:
        goal = chance.near((sign * 66.0, -34.0, -112.0), 1.5)
        bend = (sign * 42.0, 16.0, -44.0)
        artery = tube([path[-1], bend, goal], [6.5, 6.0, 5.5])
        behind = (sign * 42.0, 27.0, -48.0)
        vein = tube([lower[0], behind, (goal[0] - sign * 14.0, goal[1], goal[2])], [7.5, 7.0, 6.5])
        painting.structure(f"iliac_vena_{side}", veins, *vein)
        painting.structure(f"iliac_artery_{side}", arterial, *artery)
    radii = [radius * size for _point, radius in aorta]
    painting.structure("aorta", arterial, *tube(path, radii))
