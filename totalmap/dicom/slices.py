"""Describes single slices and their positions relative to each other along their normal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.frame import Frame
from totalmap.dicom.geometry import Plane
from totalmap.dicom.instance import Instance

# Two slices closer than this have the same position; positions may be rounded to one decimal.
SAME_PLACE_MM = 0.1
# Above the error of positions rounded to one decimal, far below a missing slice.
POSITION_TOLERANCE_MM = 0.1
# For thin slices, a quarter of their distance.
POSITION_TOLERANCE_STEPS = 0.25
# If a larger share of the distances is irregular, the spacing varies; otherwise slices are missing.
GAP_SHARE = 0.25
# Largest deviation from a straight line along the normal or along a constant tilt.
MAX_SHIFT_MM = 0.25
# Cosines have at least four decimals.
COSINE_TOLERANCE = 5e-4
# A rounded Pixel Spacing changes the width of an image by less than this.
SAME_EXTENT_MM = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One image of a stack, and the file that holds it."""

    instance: Instance
    frame: Frame

    @property
    def key(self) -> tuple[str, int]:
        """Identifies the slice in its study."""
        return self.instance.sop_instance_uid, self.frame.number

    @property
    def plane(self) -> Plane:
        """Position and orientation of the slice."""
        if self.frame.plane is None:
            raise ValueError("a slice without a position")
        return self.frame.plane


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A slice that belongs to no volume, with the reason."""

    slice: Slice
    reason: str


def in_order(item: Slice) -> tuple[int, str, tuple[str, int]]:
    """Returns the sort key of a slice: Instance Number, acquisition time, UID."""
    return item.frame.instance_number, item.frame.acquisition_time, item.key


def extent_mm(item: Slice) -> tuple[float, float]:
    """Returns the height and the width of an image in mm."""
    rows_mm, columns_mm = item.plane.pixel_spacing_mm
    return rows_mm * item.instance.rows, columns_mm * item.instance.columns


def has_same_direction(first: Slice, second: Slice) -> bool:
    """Returns whether two slices are parallel and their rows have the same direction."""
    difference = np.subtract(first.plane.cosines, second.plane.cosines)
    return bool(np.abs(difference).max() <= COSINE_TOLERANCE)


def has_same_matrix(first: Slice, second: Slice) -> bool:
    """Returns whether two slices have the same number and size of pixels."""
    sizes = first.instance.rows, first.instance.columns
    if sizes != (second.instance.rows, second.instance.columns):
        return False
    difference = np.subtract(extent_mm(first), extent_mm(second))
    return bool(np.abs(difference).max() <= SAME_EXTENT_MM)


def places_mm(
    slices: Sequence[Slice], normal: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Returns the positions of slices along a normal (default: that of the first slice), in mm."""
    if not slices:
        return np.empty(0)
    positions = np.array([item.plane.position_mm for item in slices])
    places: NDArray[np.float64] = positions @ (slices[0].plane.normal if normal is None else normal)
    return places


def numbered_places(places: NDArray[np.float64]) -> list[int]:
    """Numbers the positions; neighbours within SAME_PLACE_MM have the same number."""
    order = np.argsort(places, kind="stable")
    numbers = np.empty(len(places), dtype=int)
    numbers[order] = np.cumsum(np.diff(places[order], prepend=-np.inf) > SAME_PLACE_MM)
    return [int(number) for number in numbers]


def by_place(slices: Iterable[Slice]) -> list[list[Slice]]:
    """Returns the slices of each position along the normal of the first slice."""
    items = list(slices)
    groups: dict[int, list[Slice]] = {}
    for number, item in zip(numbered_places(places_mm(items)), items, strict=True):
        groups.setdefault(number, []).append(item)
    return [groups[number] for number in sorted(groups)]


def is_close(steps: NDArray[np.float64], places: NDArray[np.float64]) -> bool:
    """Returns whether ascending positions, the first at 0 mm, are multiples of one step."""
    if len(set(steps.tolist())) < len(steps):
        return False
    step = places[-1] / steps[-1]
    tolerance = min(POSITION_TOLERANCE_MM, POSITION_TOLERANCE_STEPS * step)
    return bool(np.abs(places - steps * step).max() <= tolerance)


def grid_step_mm(slices: Sequence[Slice]) -> float | None:
    """Returns the step of slices that form one grid, of which some may be missing.

    None if slices have the same position, are shifted against each other, or vary in distance.
    """
    if len(slices) < 2:
        return None
    places = places_mm(slices)
    order = np.argsort(places, kind="stable")
    places = places[order] - places[order[0]]
    gaps = np.diff(places)
    if gaps.min() <= SAME_PLACE_MM:
        return None
    count = len(gaps)
    whole = np.rint(places / float(np.median(gaps)))
    if int(whole[-1]) - count > GAP_SHARE * count or not is_close(whole, places):
        return None
    positions = np.array([slices[index].plane.position_mm for index in order])
    positions -= positions[0]
    shifts = positions - whole[:, None] * (positions[-1] / whole[-1])
    is_shifted = float(np.abs(shifts).max()) > MAX_SHIFT_MM
    return None if is_shifted else float(places[-1] / whole[-1])
