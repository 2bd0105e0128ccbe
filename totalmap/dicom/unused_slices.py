"""Counts the slices of a series that a chosen stack covers, so that missing parts are reported."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.image_kinds import kind_of
from totalmap.dicom.slices import (
    POSITION_TOLERANCE_STEPS,
    SAME_PLACE_MM,
    Slice,
    has_same_direction,
    has_same_matrix,
    numbered_places,
    places_mm,
)
from totalmap.dicom.stacks import Stack
from totalmap.texts.catalogue import Joined, Language, Message, texts_in

# Fewer slices of another size are planning or timing images.
FEWEST_SLICES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Number of slices of a series along the direction of a chosen stack.

    Attributes:
        used: Slice positions of the stack.
        of: Slice positions of the series.
        elsewhere: A sentence about the other slices, without values of attributes.
    """

    used: int
    of: int
    elsewhere: str

    @property
    def is_whole(self) -> bool:
        """Whether the stack has all slice positions of its series."""
        return self.used >= self.of

    def __str__(self) -> str:
        """Returns the coverage as text."""
        where = f": {self.elsewhere}" if self.elsewhere else ""
        return f"uses {self.used} of {self.of} slices of the series{where}"


def cover(stack: Stack, slices: tuple[Slice, ...], siblings: Iterable[Stack]) -> Coverage:
    """Counts the slice positions of a series that a volume covers.

    Positions along the same direction count: those of slices with the same matrix, and those of
    volumes with another matrix that reach beyond this one. Images of another kind do not count.

    Args:
        stack: The chosen stack.
        slices: The slices of the stack that the volume is made of, in order.
        siblings: The other stacks of the series.
    """
    first, used = slices[0], len(slices)
    normal = first.plane.normal
    covered = places_mm(slices, normal)
    step_mm = float(np.median(np.diff(covered)))
    tolerance_mm = max(SAME_PLACE_MM, POSITION_TOLERANCE_STEPS * step_mm)

    def lost(items: list[Slice]) -> int:
        places = places_mm(items, normal)
        if not len(places):
            return 0
        after = np.searchsorted(covered, places).clip(1, used - 1)
        distances = np.minimum(abs(places - covered[after - 1]), abs(places - covered[after]))
        away = places[distances > tolerance_mm]
        return len(set(numbered_places(away)))

    unused = {item.key for item in stack.slices} - {item.key for item in slices}
    faulty = [item for item in stack.placed if item.key in unused]
    count = lost(faulty) + len(stack.slices) - len(stack.placed)
    reasons = [Message("coverage.unusable", count=count)] if count else []
    others: list[Slice] = []
    names: dict[str, None] = {}
    for sibling in siblings:
        beyond = list(_comparable(first, covered, step_mm, sibling))
        if lost(beyond):
            others += beyond
            names |= dict.fromkeys(sibling.differs_in)
    if others:
        told = Joined(tuple(map(_told, names)), with_and=True)
        differ = told if names else Message("coverage.order")
        reasons.append(Message("coverage.other_volumes", count=lost(others), names=differ))
    elsewhere: str = ""
    if len(reasons) == 1:
        (elsewhere,) = reasons
    elif reasons:
        elsewhere = Message("coverage.both", first=reasons[0], second=reasons[1])
    return Coverage(used=used, of=used + count + lost(others), elsewhere=elsewhere)


def _told(name: str) -> str:
    """Returns what two volumes differ in; names of attributes in the standard stay English."""
    key = f"difference.{re.sub('[ -]', '_', name)}"
    return Message(key) if key in texts_in(Language.ENGLISH).entries else name


def _comparable(
    first: Slice,
    covered: NDArray[np.float64],
    step_mm: float,
    other: Stack,
) -> Iterator[Slice]:
    """Yields slices of another stack that may belong to the same volume or continue it."""

    def is_alike(item: Slice) -> bool:
        return has_same_direction(first, item) and kind_of(item) == kind_of(first)

    # The slices of a stack without a fault all have the same direction, matrix and kind.
    representatives = other.placed if other.fault else [other.first] * len(other.placed)
    alike = [
        (item, has_same_matrix(first, representative))
        for item, representative in zip(other.placed, representatives, strict=True)
        if is_alike(representative)
    ]
    places = places_mm([item for item, _ in alike], first.plane.normal)
    for (item, is_same), place in zip(alike, places, strict=True):
        is_beyond = place < covered[0] - step_mm / 2 or place > covered[-1] + step_mm / 2
        if is_same or (is_beyond and len(alike) >= FEWEST_SLICES):
            yield item
