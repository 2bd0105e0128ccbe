"""Collects the parts of a body in the order of painting, and varies them at random."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from totalsegmentator.map_to_binary import class_map

from .solids import Solid, Vector

LABELS: dict[str, int] = {name: number for number, name in class_map["total"].items()}
"""TotalSegmentator's structures of the task `total`, by name."""

SIDES = (("left", 1.0), ("right", -1.0))
"""The name of each side with the sign of its x: the patient's left is +x in DICOM's LPS."""

MAX_DEVIATIONS = 2.0


@dataclass(frozen=True, slots=True)
class Part:
    """Solids of one material. Later parts cover earlier ones.

    label is a class number, 0 for tissue without a label, None to keep the label beneath.
    """

    solids: tuple[Solid, ...]
    hu: float
    label: int | None


class Growable(Solid, Protocol):
    """A solid whose surface can be moved."""

    def grown(self, by_mm: float) -> Growable:
        """Returns the solid with its surface moved outwards by so many mm."""
        ...


class Chance:
    """Draws the small differences between one body and the next."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def between(self, low: float, high: float) -> float:
        """Returns a number drawn evenly from an interval."""
        return float(self._rng.uniform(low, high))

    def around(self, mean: float, deviation: float) -> float:
        """Returns a number from a normal distribution that is cut off at two deviations."""
        draw = np.clip(self._rng.normal(), -MAX_DEVIATIONS, MAX_DEVIATIONS)
        return float(mean + deviation * draw)

    def happens(self, share: float) -> bool:
        """Returns True with a probability from 0 to 1."""
        return bool(self._rng.uniform() < share)

    def near(self, point: Vector, deviation_mm: float = 2.5) -> Vector:
        """Returns a point at most some mm away from a given point."""
        x, y, z = point
        return (
            self.around(x, deviation_mm),
            self.around(y, deviation_mm),
            self.around(z, deviation_mm),
        )

    def sized(self, radii: Vector, share: float = 0.10) -> Vector:
        """Returns three radii, each changed by at most the share."""
        a, b, c = (r * self.between(1.0 - share, 1.0 + share) for r in radii)
        return (a, b, c)


@dataclass(slots=True)
class Painting:
    """The parts of a body, in the order in which they are painted."""

    parts: list[Part] = field(default_factory=list)

    def tissue(self, hu: float, *solids: Solid) -> None:
        """Adds tissue without a label."""
        self.parts.append(Part(solids, hu, 0))

    def detail(self, hu: float, *solids: Solid) -> None:
        """Changes the HU inside the solids and keeps the labels that are there."""
        self.parts.append(Part(solids, hu, None))

    def structure(self, name: str, hu: float, *solids: Solid) -> None:
        """Adds a structure under TotalSegmentator's name."""
        self.parts.append(Part(solids, hu, LABELS[name]))

    def wrapped(
        self, name: str, hu: float, rim_hu: float, rim_mm: float, solids: Iterable[Growable]
    ) -> None:
        """Adds a structure inside a thin unlabelled rim, such as the fat around a muscle."""
        inner = tuple(solids)
        self.tissue(rim_hu, *(solid.grown(rim_mm) for solid in inner))
        self.structure(name, hu, *inner)

    def bone(
        self,
        name: str,
        cortex_hu: float,
        marrow_hu: float,
        cortex_mm: float,
        solids: Iterable[Growable],
    ) -> None:
        """Adds a bone: a dense shell with marrow inside, all under one label."""
        outer = tuple(solids)
        self.structure(name, cortex_hu, *outer)
        self.detail(marrow_hu, *(solid.grown(-cortex_mm) for solid in outer))
