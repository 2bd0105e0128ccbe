"""Lists the attributes by which a series may be split, and decides whether a split is right.

Slices that differ in an attribute may form several volumes, or parts of one volume.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from totalmap.dicom.slices import SAME_PLACE_MM, Slice, grid_step_mm, places_mm

# Consecutive acquisitions repeat at most this share of the shorter one.
SEAM_SHARE = 0.25
# Interleaved slices that fill a grid are as thick as its step, times these factors: MR leaves gaps
# of up to half a slice. Slices of volumes that are shifted against each other are thicker.
FILLING_THICKNESS = 0.5, 1.25

Groups = list[tuple[Hashable, list[Slice]]]
"""Slices by the value of an attribute, in the order of the values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distinction:
    """An attribute that may distinguish the volumes of a series.

    Attributes:
        name: Name in messages.
        value_of: Returns its value in a slice.
        may_interleave: Whether the slices of one volume may be acquired in turns, each turn with
            its own value. False if the value changes the appearance of tissue.
        is_shown: Whether messages may show a value; otherwise the values are numbered.
    """

    name: str
    value_of: Callable[[Slice], Hashable]
    may_interleave: bool = False
    is_shown: bool = True

    def words(self, value: Hashable) -> str:
        """Returns the name with a value, as text."""
        if value is None or value == "":
            return f"no {self.name}"
        if isinstance(value, tuple):
            value = " x ".join(f"{number:g}" for number in value)
        return f"{self.name} {value:g}" if isinstance(value, float) else f"{self.name} {value}"


def _file(item: Slice) -> str:
    return item.instance.sop_instance_uid if len(item.instance.frames) > 1 else ""


# In the order in which they are tried.
DISTINCTIONS: tuple[Distinction, ...] = (
    Distinction(
        name="time point",
        value_of=lambda item: item.frame.temporal_position,
        may_interleave=True,
    ),
    Distinction(name="echo time", value_of=lambda item: item.frame.echo_time_ms),
    Distinction(name="b-value", value_of=lambda item: item.frame.b_value),
    Distinction(
        name="cardiac phase",
        value_of=lambda item: item.frame.cardiac_phase_percent,
        may_interleave=True,
    ),
    Distinction(name="tube voltage", value_of=lambda item: item.frame.kvp),
    Distinction(name="image type", value_of=lambda item: "/".join(item.frame.image_type)),
    Distinction(name="kernel", value_of=lambda item: item.frame.kernel),
    Distinction(
        name="frame of reference",
        value_of=lambda item: item.instance.frame_of_reference_uid,
        may_interleave=True,
        is_shown=False,
    ),
    Distinction(
        name="acquisition",
        value_of=lambda item: item.frame.acquisition_number,
        may_interleave=True,
    ),
    Distinction(
        name="trigger time", value_of=lambda item: item.frame.trigger_time_ms, may_interleave=True
    ),
    Distinction(
        name="acquisition time",
        value_of=lambda item: item.frame.acquisition_time,
        may_interleave=True,
    ),
    Distinction(
        name="series number",
        value_of=lambda item: item.instance.series_number,
        may_interleave=True,
    ),
    Distinction(
        name="series description",
        value_of=lambda item: item.instance.series_description,
        may_interleave=True,
        is_shown=False,
    ),
    Distinction(name="slice thickness", value_of=lambda item: item.frame.slice_thickness_mm),
    Distinction(name="file", value_of=_file, may_interleave=True, is_shown=False),
)


def grouped(slices: Sequence[Slice], value_of: Callable[[Slice], Hashable]) -> Groups:
    """Returns the slices by value, in the order of the values; slices without a value come last."""
    groups: dict[Hashable, list[Slice]] = defaultdict(list)
    for item in slices:
        groups[value_of(item)].append(item)
    return sorted(groups.items(), key=lambda group: (group[0] is None, group[0]))


def are_volumes(groups: list[list[Slice]]) -> bool:
    """Returns whether the groups are volumes that overlap in space.

    They are not if a value belongs to single slices or rotations of the tube, or if the groups
    follow each other because the table moved between acquisitions.
    """
    if min(map(len, groups)) < 2:
        return False
    places = [places_mm(group) for group in groups]
    ends = [(min(span) + SAME_PLACE_MM, 1) for span in places]
    ends += [(max(span) - SAME_PLACE_MM, -1) for span in places]
    # Largest number of groups that overlap at one position.
    deepest = int(np.cumsum([change for _, change in sorted(ends)]).max())
    return deepest > 1 and len(groups) <= 2 * deepest


def are_interleaved(slices: Sequence[Slice]) -> bool:
    """Returns whether the slices together fill one grid and are as thick as its step."""
    step_mm = grid_step_mm(slices)
    if step_mm is None:
        return False
    extents = [item.frame.slice_thickness_mm or item.frame.slice_spacing_mm for item in slices]
    low, high = FILLING_THICKNESS
    return all(
        extent is not None and low < abs(extent) / step_mm <= high for extent in set(extents)
    )


def repeated_at_seams(groups: list[list[Slice]]) -> list[Slice]:
    """Returns the slices that consecutive groups along one grid repeat.

    Empty if the groups are not consecutive, or no slice is repeated.
    """
    if min(map(len, groups)) < 2:
        return []
    normal = groups[0][0].plane.normal
    ordered = sorted(groups, key=lambda group: float(places_mm(group, normal).min()))
    kept, repeated = list(ordered[0]), list[Slice]()
    for before, group in pairwise(ordered):
        covered = places_mm(kept, normal)
        places = places_mm(group, normal)
        is_seam = places <= covered.max() + SAME_PLACE_MM
        seam = places[is_seam]
        if len(seam) > max(1, SEAM_SHARE * min(len(before), len(group))) or is_seam.all():
            return []
        if any(np.abs(covered - place).min() > SAME_PLACE_MM for place in seam):
            return []
        for item, is_repeated in zip(group, is_seam, strict=True):
            (repeated if is_repeated else kept).append(item)
    return repeated if repeated and grid_step_mm(kept) else []
