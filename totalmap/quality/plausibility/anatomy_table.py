"""Reads anatomy.csv: where structures usually lie, how large and how dense they are.

The table has one row for each structure of TotalSegmentator's task `total`, with its source.
`levels: textbook` are the levels in textbooks of anatomy (such as Gray's), widened by a vertebra or
more, since breathing, age and build move organs. `mL: after` uses the means or the 95 % range of
the named study, rounded outwards. An `estimate` has no published table behind it; it is so wide
that only a gross error lies outside.

Levels are places on the scale of vertebrae: C1 is 1, T1 is 8, L1 is 20, and L5 is 24, each at the
centre of mass of its label. Below L5 the scale continues in steps of a lumbar vertebra: L7 is two
steps below L5. Fractions are places in between.
"""

import csv
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

from totalmap.texts.catalogue import Message

_TABLE = "anatomy.csv"

# Number of vertebrae above the first one of each part of the spine.
_ABOVE = {"C": 0, "T": 7, "L": 19}
CERVICAL, THORACIC, LUMBAR = 7, 12, 5
LOWEST_VERTEBRA = CERVICAL + THORACIC + LUMBAR
RIBS = 12
_SACRUM_LEVELS = 3  # length of the sacrum, in lumbar vertebrae

LEFT, RIGHT = "_left", "_right"


class Presence(StrEnum):
    """USUAL: everybody has the structure, and a network finds it if it is in view."""

    USUAL = "usual"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The usual range of a value."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """The middle of the range."""
        return (self.low + self.high) / 2

    def excess(self, value: float) -> float:
        """Returns how far a value lies outside the range; 0 inside."""
        return max(self.low - value, value - self.high, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """The usual place, size and density of a structure; None where unknown or too variable.

    Attributes:
        levels: Range of its centre of mass on the scale of vertebrae, if it is complete.
        left_mm: Distance of its centre to the left of the spine; negative: to the right.
        back_mm: Distance behind the middle of the vertebrae; negative: in front.
        presence: Whether it may be missing.
        is_one_piece: Whether it is one connected piece.
        volume_ml: Range of 95 % of adults.
        hu: Range of the first and the third quartile of its values.
    """

    levels: Range | None
    left_mm: float | None
    back_mm: float | None
    presence: Presence
    is_one_piece: bool
    volume_ml: Range | None
    hu: Range | None


def anatomy(name: str) -> Anatomy | None:
    """Returns the anatomy of a structure by TotalSegmentator's name; None if unknown."""
    return known_structures().get(name)


@cache
def known_structures() -> dict[str, Anatomy]:
    """Returns the table, by TotalSegmentator's names."""
    text = (files("totalmap.quality.plausibility") / _TABLE).read_text(encoding="utf-8")
    return {row["structure"]: _read(row) for row in csv.DictReader(text.splitlines())}


def vertebra_name(number: int) -> str:
    """Returns TotalSegmentator's name of a vertebra by its number, 1 (C1) to 24 (L5)."""
    return f"vertebrae_{level_name(number)}"


def level_name(level: float) -> str:
    """Returns the name of the vertebra closest to a level."""
    number = max(round(level), 1)
    if number > LOWEST_VERTEBRA:
        is_sacrum = number <= LOWEST_VERTEBRA + _SACRUM_LEVELS
        return Message("level.sacrum" if is_sacrum else "level.below_sacrum")
    part = max((part for part, above in _ABOVE.items() if above < number), key=_ABOVE.__getitem__)
    return f"{part}{number - _ABOVE[part]}"


def _level(text: str) -> float:
    return _ABOVE[text[0]] + float(text[1:])


def _read(row: dict[str, str]) -> Anatomy:
    levels = None
    if row["highest_level"]:  # the scale counts downwards
        levels = Range(low=_level(row["highest_level"]), high=_level(row["lowest_level"]))
    return Anatomy(
        levels=levels,
        left_mm=_number(row["left_mm"]),
        back_mm=_number(row["back_mm"]),
        presence=Presence(row["presence"]),
        is_one_piece=row["pieces"] == "one",
        volume_ml=_range(row["lowest_ml"], row["highest_ml"]),
        hu=_range(row["lowest_hu"], row["highest_hu"]),
    )


def _range(low: str, high: str) -> Range | None:
    return Range(low=float(low), high=float(high)) if low else None


def _number(text: str) -> float | None:
    return float(text) if text else None
