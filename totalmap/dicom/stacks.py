"""Splits a series into stacks: sets of slices that can form one volume each.

A series may hold more than one volume: phases, echoes, energies, time points, repeated
acquisitions, slices of another orientation or size. Slices that differ in what the slices of a
volume share are always kept apart. Beyond that, a series is only split where slices of one value
would lie among slices of another: parts of one scan that follow each other stay together.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.frame import Frame
from totalmap.dicom.geometry import Plane
from totalmap.dicom.instance import Instance
from totalmap.dicom.study import Series

# Two slices at one place: above what writing positions with one decimal can do.
SAME_PLACE_MM = 0.1
# Cosines are written with four decimals or more.
COSINE_TOLERANCE = 5e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One image of a stack, and the file that holds it."""

    instance: Instance
    frame: Frame

    @property
    def key(self) -> tuple[str, int]:
        """What names the slice in its study."""
        return self.instance.sop_instance_uid, self.frame.number

    @property
    def plane(self) -> Plane:
        """Where the slice lies."""
        if self.frame.plane is None:
            raise ValueError("a slice without a place")
        return self.frame.plane


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Slices of one series that can form one volume.

    Attributes:
        number: From 1 among the stacks of the series, the one with the most slices first.
        of: How many stacks the series has.
        split_by: What tells this stack from the others, in words; empty in a series of one.
        slices: All that belong here, in no order; those with a fault are missed here.
    """

    series: Series
    number: int
    of: int
    split_by: str
    slices: tuple[Slice, ...]

    @property
    def usable(self) -> tuple[Slice, ...]:
        """The slices without a fault."""
        return tuple(one for one in self.slices if not one.frame.fault)

    @property
    def first(self) -> Slice:
        """The slice that speaks for what all have in common; a usable one if there is any."""
        return min(self.usable or self.slices, key=_in_order)


Slices = list[Slice]
Part = tuple[str, Slices]
"""What tells some slices from the others, in words, and these slices."""
Places = dict[tuple[str, int], int]
"""The number of the place at which a slice lies, by the slice's key."""


def split_into_stacks(series: Series) -> tuple[Stack, ...]:
    """Returns the stacks of a series, the largest first; () for a series without images."""
    slices = [
        Slice(instance=instance, frame=frame)
        for instance in series.instances
        for frame in instance.frames
    ]
    if not slices:
        return ()
    parts: list[Part] = [("", [one for one in slices if one.frame.plane])]
    for split in (_by_orientation, *map(_by_value, _SHARED), _by_distinction):
        parts = [
            (", ".join(filter(None, (words, deeper))), part)
            for words, whole in parts
            for deeper, part in split(whole)
        ]
    parts = sorted(parts, key=_largest_first) or [("", [])]
    # Nobody knows where slices without a place belong; in the largest part they are missed.
    parts[0][1].extend(one for one in slices if not one.frame.plane)
    return tuple(
        Stack(series=series, number=number, of=len(parts), split_by=words, slices=tuple(part))
        for number, (words, part) in enumerate(parts, start=1)
    )


def _largest_first(part: Part) -> tuple[object, ...]:
    words, slices = part
    return -len(slices), words, sorted(one.key for one in slices)


# What the slices of a volume always share. Frames of several multi-frame files stay apart.
_SHARED: tuple[tuple[str, Callable[[Slice], Hashable]], ...] = (
    ("pixels", lambda one: f"{one.instance.rows} x {one.instance.columns}"),
    ("pixel spacing", lambda one: one.plane.pixel_spacing_mm),
    ("frame of reference", lambda one: one.instance.frame_of_reference_uid),
    ("file", lambda one: one.instance.sop_instance_uid if len(one.instance.frames) > 1 else ""),
)

# What may tell volumes apart that lie among each other, in the order in which it is tried.
_DISTINCTIONS: tuple[tuple[str, Callable[[Slice], Hashable]], ...] = (
    ("time point", lambda one: one.frame.temporal_position),
    ("echo time", lambda one: one.frame.echo_time_ms),
    ("b-value", lambda one: one.frame.b_value),
    ("cardiac phase", lambda one: one.frame.cardiac_phase_percent),
    ("tube voltage", lambda one: one.frame.kvp),
    ("image type", lambda one: "/".join(one.frame.image_type)),
    ("kernel", lambda one: one.frame.kernel),
    ("acquisition", lambda one: one.frame.acquisition_number),
    ("trigger time", lambda one: one.frame.trigger_time_ms),
    ("acquisition time", lambda one: one.frame.acquisition_time),
)


def _by_orientation(slices: Slices) -> list[Part]:
    groups: list[Slices] = []
    for one in slices:
        for group in groups:
            difference = np.subtract(one.plane.cosines, group[0].plane.cosines)
            if np.abs(difference).max() <= COSINE_TOLERANCE:
                group.append(one)
                break
        else:
            groups.append([one])
    return _named("orientation", [(group[0].plane.orientation, group) for group in groups])


def _by_value(feature: tuple[str, Callable[[Slice], Hashable]]) -> Callable[[Slices], list[Part]]:
    name, value_of = feature
    return lambda slices: _named(name, _grouped(slices, value_of))


def _by_distinction(slices: Slices) -> list[Part]:
    """Splits until no slices of another value lie among those of a part."""
    for name, value_of in _DISTINCTIONS:
        groups = _grouped(slices, value_of)
        if len(groups) > 1 and _are_volumes([group for _, group in groups]):
            return [
                (", ".join(filter(None, (words, deeper))), part)
                for words, whole in _named(name, groups)
                for deeper, part in _by_distinction(whole)
            ]
    return _by_order(slices)


def _are_volumes(groups: list[Slices]) -> bool:
    """Whether slices of one value form a volume that shares its room with another one.

    They do not where the value belongs to single slices or rotations of the tube, or where the
    groups follow each other, as from a table that moves between acquisitions.
    """
    if min(map(len, groups)) < 2:
        return False
    places = [_places(group) for group in groups]
    ends = [(min(span) + SAME_PLACE_MM, 1) for span in places]
    ends += [(max(span) - SAME_PLACE_MM, -1) for span in places]
    # The most groups that lie over one place, as the ends of their spans are passed.
    deepest = int(np.cumsum([change for _, change in sorted(ends)]).max())
    return deepest > 1 and len(groups) <= 2 * deepest


def _by_order(slices: Slices) -> list[Part]:
    """Splits slices that lie on each other and that no attribute tells apart.

    Either whole volumes follow each other in the order of the instance numbers, or the images
    of one place do. Where neither holds, the slices stay together, and the audit refuses them.
    """
    ordered = sorted(slices, key=_in_order)
    places = dict(zip([one.key for one in ordered], _rounded(_places(ordered)), strict=True))
    most = max(Counter(places.values()).values(), default=1)
    if most == 1 or len({one.frame.instance_number for one in slices}) < len(slices):
        return [("", slices)]
    runs = _runs(ordered, places)
    if len(runs) != most or not _are_repetitions(runs, places):
        runs = _layers(ordered, places)
    if len(runs) != most:
        return [("", slices)]
    return _named("repetition", list(enumerate(runs, start=1)))


def _runs(ordered: Slices, places: Places) -> list[Slices]:
    """Returns slices that follow each other; one at a place that was seen begins the next run."""
    runs: list[Slices] = []
    seen: set[int] = set()
    for one in ordered:
        if not runs or places[one.key] in seen:
            runs.append([])
            seen.clear()
        runs[-1].append(one)
        seen.add(places[one.key])
    return runs


def _layers(ordered: Slices, places: Places) -> list[Slices]:
    """Returns the first slice of every place, the second of every place, and so on.

    Empty where places have different numbers of slices: nobody knows what is missing where.
    """
    seen: Counter[int] = Counter()
    layers: dict[int, Slices] = defaultdict(list)
    for one in ordered:
        seen[places[one.key]] += 1
        layers[seen[places[one.key]]].append(one)
    return list(layers.values()) if len(set(seen.values())) == 1 else []


def _are_repetitions(runs: list[Slices], places: Places) -> bool:
    """Whether runs lead along the stack one way each, and over mostly the same places."""
    steps = [np.diff(_places(run)) for run in runs]
    if not all((one > 0).all() or (one < 0).all() for one in steps):
        return False
    covered = [{places[one.key] for one in run} for run in runs]
    return all(2 * len(a & b) > min(len(a), len(b)) for a, b in pairwise(covered))


def _grouped(
    slices: Slices, value_of: Callable[[Slice], Hashable]
) -> list[tuple[Hashable, Slices]]:
    """Returns the slices by value, in the order of the values."""
    groups: dict[Hashable, Slices] = defaultdict(list)
    for one in slices:
        groups[value_of(one)].append(one)
    return sorted(groups.items(), key=lambda group: (group[0] is None, group[0]))


def _named(name: str, groups: list[tuple[Hashable, Slices]]) -> list[Part]:
    """Names groups by their values; UIDs and multi-frame files are counted instead."""
    if len(groups) < 2:
        return [("", group) for _, group in groups]
    if name in {"frame of reference", "file"}:
        groups = [(number, group) for number, (_, group) in enumerate(groups, start=1)]
    return [(_words(name, value), group) for value, group in groups]


def _words(name: str, value: Hashable) -> str:
    if value is None or value == "":
        return f"no {name}"
    if isinstance(value, tuple):
        value = " x ".join(f"{one:g}" for one in value)
    return f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"


def _places(slices: Slices) -> NDArray[np.float64]:
    """Returns where slices lie along the normal of the first one, in mm."""
    positions = np.array([one.plane.position_mm for one in slices]).reshape(-1, 3)
    places: NDArray[np.float64] = positions @ slices[0].plane.normal if slices else np.empty(0)
    return places


def _rounded(places: NDArray[np.float64]) -> list[int]:
    """Numbers the places; those within SAME_PLACE_MM of their neighbour are the same."""
    order = np.argsort(places, kind="stable")
    numbers = np.empty(len(places), dtype=int)
    numbers[order] = np.cumsum(np.diff(places[order], prepend=-np.inf) > SAME_PLACE_MM)
    return [int(number) for number in numbers]


def _in_order(one: Slice) -> tuple[int, str, tuple[str, int]]:
    return one.frame.instance_number, one.frame.acquisition_time, one.key
