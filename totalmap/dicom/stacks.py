"""Splits a series into stacks: sets of slices that can form one volume each.

A series may hold several volumes: phases, echoes, energies, time points, repeated acquisitions,
slices of another orientation or size. Slices that differ in a property that all slices of a volume
share are always separated. Otherwise a series is split by an attribute only if slices of one value
lie between slices of another value and do not fill one grid with them. Parts of a scan that follow
each other, or were acquired in turns, stay together. Each image of a series belongs to one stack,
or is left out of one with a reason.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from totalmap.dicom.image_kinds import kind_of
from totalmap.dicom.separating_attributes import differing_attributes, read_distinctions
from totalmap.dicom.slices import (
    COSINE_TOLERANCE,
    SAME_EXTENT_MM,
    LeftOut,
    Slice,
    by_place,
    extent_mm,
    in_order,
    numbered_places,
    places_mm,
)
from totalmap.dicom.split_criteria import (
    DISTINCTIONS,
    Distinction,
    Groups,
    are_interleaved,
    are_volumes,
    grouped,
    repeated_at_seams,
)
from totalmap.dicom.study import Series

AT_SEAM = "they repeat slices at the seam of two acquisitions"
FOREIGN = "they have no position, and another size or kind than the slices"
# So many stacks of one slice each are listed as one stack, since they are no volumes.
SINGLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Slices of one series that can form one volume.

    Attributes:
        number: Number from 1 among the stacks of the series, by decreasing number of slices.
        of: Number of stacks of the series.
        split_by: Values that distinguish this stack, as text; empty for the only stack.
        differs_in: Names of the attributes that distinguish it.
        slices: All its slices, unordered, including slices with a fault.
        left_out: Images that belong to no stack; each is listed by one stack.
        fault: Why the slices can't form a volume under any rule; empty if they may.
    """

    series: Series
    number: int
    of: int
    split_by: str
    slices: tuple[Slice, ...]
    differs_in: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    fault: str = ""

    @property
    def placed(self) -> tuple[Slice, ...]:
        """The slices with a position, usable or not."""
        return tuple(item for item in self.slices if item.frame.plane)

    @property
    def usable(self) -> tuple[Slice, ...]:
        """The slices without a fault."""
        return tuple(item for item in self.slices if not item.frame.fault)

    @property
    def first(self) -> Slice:
        """A slice with the common properties of all; a usable one if possible."""
        return min(self.usable or self.placed or self.slices, key=in_order)


Slices = list[Slice]
Places = dict[tuple[str, int], int]
"""The number of the position of each slice, by the key of the slice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Some slices of a series, with the values that distinguish them.

    Attributes:
        labels: Name and text of each attribute by which the series was split.
    """

    slices: Slices
    labels: tuple[tuple[str, str], ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    fault: str = ""

    @property
    def words(self) -> str:
        return ", ".join(words for _, words in self.labels)

    def split(self, distinction: Distinction, groups: Groups) -> "list[_Part]":
        """Returns a part for each group; images left out stay with the largest part."""
        if len(groups) < 2:
            return [self]
        largest = max(range(len(groups)), key=lambda index: (len(groups[index][1]), -index))
        return [
            _Part(
                slices=slices,
                labels=(
                    *self.labels,
                    (distinction.name, distinction.words(value if distinction.is_shown else n + 1)),
                ),
                left_out=self.left_out if n == largest else (),
            )
            for n, (value, slices) in enumerate(groups)
        ]

    def without(self, slices: Slices, reason: str) -> "_Part":
        """Returns the part without some slices, which it lists as left out."""
        gone = {item.key for item in slices}
        return replace(
            self,
            slices=[item for item in self.slices if item.key not in gone],
            left_out=(*self.left_out, *(LeftOut(slice=i, reason=reason) for i in slices)),
        )


def split_into_stacks(series: Series) -> tuple[Stack, ...]:
    """Returns the stacks of a series, the largest first; () for a series without images."""
    slices = [
        Slice(instance=instance, frame=frame)
        for instance in series.instances
        for frame in instance.frames
    ]
    if not slices:
        return ()
    parts = [_Part(slices=[item for item in slices if item.frame.plane])]
    for split in (*_SHARED, _by_distinction, _by_attributes, _by_order):
        parts = [deeper for part in parts for deeper in split(part)]
    parts = sorted(_without_singles(parts), key=_largest_first)
    parts[0] = _with_unplaced(parts[0], [item for item in slices if not item.frame.plane])
    return tuple(
        Stack(
            series=series,
            number=number,
            of=len(parts),
            split_by=part.words,
            differs_in=tuple(name for name, _ in part.labels),
            slices=tuple(part.slices),
            left_out=part.left_out,
            fault=part.fault,
        )
        for number, part in enumerate(parts, start=1)
    )


def _largest_first(part: _Part) -> tuple[object, ...]:
    return bool(part.fault), -len(part.slices), part.words, sorted(i.key for i in part.slices)


def _without_singles(parts: list[_Part]) -> list[_Part]:
    """Returns the parts; many parts of one slice each become one part with a fault."""
    singles = [part for part in parts if len(part.slices) == 1]
    if len(singles) < SINGLES or 2 * len(singles) <= len(parts):
        return parts
    names = list(dict.fromkeys(name for part in singles for name, _ in part.labels))
    merged = _Part(
        slices=[item for part in singles for item in part.slices],
        labels=tuple((name, f"{name} of its own in each image") for name in names),
        left_out=tuple(item for part in singles for item in part.left_out),
        fault=f"each of {len(singles)} images differs from the others in {' and '.join(names)}",
    )
    return [part for part in parts if len(part.slices) != 1] + [merged]


def _with_unplaced(part: _Part, unplaced: Slices) -> _Part:
    """Returns the largest part with the slices without a position.

    Slices that look like those of the part count as missing in it; others are left out.
    """
    if not part.slices:
        return replace(part, slices=unplaced)

    def look(item: Slice) -> tuple[int, int, str]:
        return item.instance.rows, item.instance.columns, kind_of(item)

    wanted = look(part.slices[0])
    alike = [item for item in unplaced if look(item) == wanted]
    foreign = [item for item in unplaced if look(item) != wanted]
    return replace(part, slices=part.slices + alike).without(foreign, FOREIGN)


_Split = Callable[[_Part], list[_Part]]


def _by_value(distinction: Distinction) -> _Split:
    return lambda part: part.split(distinction, grouped(part.slices, distinction.value_of))


def _by_likeness(
    distinction: Distinction, vector_of: Callable[[Slice], tuple[float, ...]], tolerance: float
) -> _Split:
    """Splits slices whose values differ by more than rounding."""

    def split(part: _Part) -> list[_Part]:
        groups: Groups = []
        group_of: dict[tuple[float, ...], int] = {}
        vectors = np.empty((0, 0))
        for item in part.slices:
            vector = vector_of(item)
            if vector not in group_of:
                vectors = vectors.reshape(len(groups), len(vector))
                near = np.abs(vectors - vector).max(axis=1) <= tolerance
                group_of[vector] = int(near.argmax()) if near.any() else len(groups)
            if group_of[vector] == len(groups):
                groups.append((distinction.value_of(item), []))
                vectors = np.vstack([vectors, vector])
            groups[group_of[vector]][1].append(item)
        return part.split(distinction, groups)

    return split


# Properties that all slices of a volume share.
_SHARED: tuple[_Split, ...] = (
    _by_likeness(
        Distinction(name="orientation", value_of=lambda item: item.plane.orientation),
        lambda item: item.plane.cosines,
        COSINE_TOLERANCE,
    ),
    _by_value(
        Distinction(
            name="pixels",
            value_of=lambda item: f"{item.instance.rows} x {item.instance.columns}",
        )
    ),
    _by_value(Distinction(name="kind", value_of=lambda item: kind_of(item) or "as scanned")),
    _by_likeness(
        Distinction(name="pixel spacing", value_of=lambda item: item.plane.pixel_spacing_mm),
        extent_mm,
        SAME_EXTENT_MM,
    ),
)


def _by_distinction(
    part: _Part, distinctions: tuple[Distinction, ...] = DISTINCTIONS
) -> list[_Part]:
    """Splits until no slices of another value lie between those of a part, unless they fill it."""
    if not part.slices or _is_one_place(part.slices):
        return [part]
    for distinction in distinctions:
        groups = grouped(part.slices, distinction.value_of)
        volumes = [slices for _, slices in groups]
        if len(groups) < 2:
            continue
        if repeated := repeated_at_seams(volumes):
            part = part.without(repeated, AT_SEAM)
        elif are_volumes(volumes) and not (
            distinction.may_interleave and are_interleaved(part.slices)
        ):
            return [
                deeper
                for whole in part.split(distinction, groups)
                for deeper in _by_distinction(whole, distinctions)
            ]
    return [part]


def _by_attributes(part: _Part) -> list[_Part]:
    """Splits slices at the same positions by any attribute in which they differ."""
    groups = by_place(part.slices)
    largest = max(groups, key=len, default=[])
    if len(largest) < 2 or len(groups) == 1:
        return [part]
    keywords = differing_attributes(largest)
    if not keywords:
        return [part]
    return _by_distinction(part, tuple(read_distinctions(part.slices, keywords)))


def _is_one_place(slices: Slices) -> bool:
    return len(set(numbered_places(places_mm(slices)))) == 1


def _by_order(part: _Part) -> list[_Part]:
    """Splits slices at the same positions that differ in no attribute.

    By instance number, either whole volumes follow each other or the images of one position do. In
    all other cases the slices stay together, and the audit refuses them.
    """
    ordered = sorted(part.slices, key=in_order)
    numbers = numbered_places(places_mm(ordered))
    places = dict(zip([item.key for item in ordered], numbers, strict=True))
    most = max(Counter(numbers).values(), default=1)
    has_order = len({item.frame.instance_number for item in ordered}) == len(ordered)
    if most == 1 or len(set(numbers)) == 1 or not has_order:
        return [part]
    runs = _runs(ordered, places)
    if len(runs) != most or not _are_repetitions(runs, places):
        runs = _layers(ordered, places)
    if len(runs) != most:
        return [part]
    repetition = Distinction(name="repetition", value_of=lambda item: places[item.key])
    return part.split(repetition, list(enumerate(runs, start=1)))


def _runs(ordered: Slices, places: Places) -> list[Slices]:
    """Returns runs of slices; a slice at a position of the current run begins the next run."""
    runs: list[Slices] = []
    seen: set[int] = set()
    for item in ordered:
        if not runs or places[item.key] in seen:
            runs.append([])
            seen.clear()
        runs[-1].append(item)
        seen.add(places[item.key])
    return runs


def _layers(ordered: Slices, places: Places) -> list[Slices]:
    """Returns the first slice of every position, the second of every position, and so on.

    Empty if the positions have different numbers of slices.
    """
    seen: Counter[int] = Counter()
    layers: dict[int, Slices] = defaultdict(list)
    for item in ordered:
        seen[places[item.key]] += 1
        layers[seen[places[item.key]]].append(item)
    return list(layers.values()) if len(set(seen.values())) == 1 else []


def _are_repetitions(runs: list[Slices], places: Places) -> bool:
    """Returns whether all runs have one direction each and mostly the same positions."""
    steps = [np.diff(places_mm(run)) for run in runs]
    if not all((step > 0).all() or (step < 0).all() for step in steps):
        return False
    covered = [{places[item.key] for item in run} for run in runs]
    return all(2 * len(a & b) > min(len(a), len(b)) for a, b in pairwise(covered))
