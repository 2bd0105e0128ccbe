"""Audits the slices of a stack: whether they form a volume, and its geometry.

Reads headers only, so a series can be assessed before its pixels are read.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.geometry import NEGLIGIBLE_TILT_DEGREES, Geometry, stack_affine
from totalmap.dicom.separating_attributes import differing_attributes, in_words
from totalmap.dicom.slices import (
    GAP_SHARE,
    MAX_SHIFT_MM,
    SAME_PLACE_MM,
    LeftOut,
    Slice,
    by_place,
    grid_step_mm,
    is_close,
)
from totalmap.dicom.stacks import Stack
from totalmap.errors import IncompleteSeries, UnsupportedGeometry
from totalmap.settings import GapPolicy, GeometrySection
from totalmap.texts.catalogue import Message

# Two voxels of TotalSegmentator's coarsest network.
MIN_EXTENT_MM = 12.0
NAMED_FILES = 3
BYTES_PER_GB = 1_000_000_000
ALLOW_GAPS = "geometry.gaps is `reject`, `fill` would allow it"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceAudit:
    """The slices of a volume in the order of its array, and their geometry.

    Attributes:
        slices: The slices, ordered along their normal.
        findings: Sentences for the reader of the result.
        notes: Sentences about images that were left out of a volume that is complete without them.
    """

    slices: tuple[Slice, ...]
    geometry: Geometry
    findings: tuple[str, ...]
    notes: tuple[str, ...] = ()


def audit_stack(stack: Stack, policy: GeometrySection) -> SliceAudit:
    """Sorts the slices of a stack along their normal and measures their positions.

    Raises:
        IncompleteSeries: Slices can't be used, are missing or doubled, or their distances vary,
            and the policy does not allow it.
        UnsupportedGeometry: The slices are shifted against each other, or the volume or its files
            are larger than the policy allows.
    """
    if stack.fault:
        raise UnsupportedGeometry(f"the slices form no volume: {stack.fault}")
    _refuse_bytes(stack.slices, policy)
    faults = _audit_faults(stack, policy)
    if len(stack.usable) < 2:
        raise UnsupportedGeometry(f"{len(stack.usable)} usable slice; a volume needs two")
    normal = stack.first.plane.normal
    distances, slices = _sorted_along(normal, stack.usable)
    _refuse_doubled(distances, slices)
    steps, gaps = _steps(distances, policy)
    positions = np.array([item.plane.position_mm for item in slices])
    step_mm = (positions[-1] - positions[0]) / steps[-1]
    _refuse_shifts(positions - positions[0] - steps[:, None] * step_mm)
    geometry = Geometry(
        affine_lps=stack_affine(slices[0].plane, step_mm),
        shape=(len(slices), slices[0].instance.rows, slices[0].instance.columns),
        slice_steps=tuple(steps.tolist()),
    )
    refuse_size(geometry, policy)
    findings = (*faults, *gaps, *tilt_findings(geometry), *_rescales(slices))
    notes = tuple(_notes(stack.left_out))
    return SliceAudit(slices=slices, geometry=geometry, findings=findings, notes=notes)


def unpacked_gb(slices: Iterable[Slice]) -> float:
    """Returns the decompressed size of the pixels of slices in GB, by their headers."""
    of_file = {item.instance.sop_instance_uid: item.instance.pixel_bytes for item in slices}
    return sum(of_file.values()) / BYTES_PER_GB


def _refuse_bytes(slices: Iterable[Slice], policy: GeometrySection) -> None:
    gigabytes = unpacked_gb(slices)
    if gigabytes > policy.max_series_gb:
        raise UnsupportedGeometry(
            f"the files of the series unpack to {gigabytes:.1f} GB; geometry.max_series_gb allows "
            f"at most {policy.max_series_gb:g} GB"
        )


def typical_spacing_mm(stack: Stack) -> float | None:
    """Returns the median distance of neighbouring slices, to 1 um; None for a single slice."""
    placed = stack.placed
    if len(placed) < 2:
        return None
    distances, _ = _sorted_along(placed[0].plane.normal, placed)
    return round(float(np.median(np.diff(distances))), 3)


def _sorted_along(
    normal: NDArray[np.float64], slices: Iterable[Slice]
) -> tuple[NDArray[np.float64], tuple[Slice, ...]]:
    """Returns ascending positions of slices along a normal, in mm, and the slices."""
    along = sorted((float(normal @ item.plane.position_mm), item.key, item) for item in slices)
    return np.array([place for place, _, _ in along]), tuple(item for _, _, item in along)


def describe_faults(stack: Stack) -> str:
    """Returns a sentence about images that can't be used; empty if there are none."""
    faulty = [item for item in stack.slices if item.frame.fault]
    if not faulty:
        return ""
    named = _named(faulty, lambda item: f"{item.instance.file_name} ({item.frame.fault})")
    return Message("warning.faulty", faulty=len(faulty), of=len(stack.slices), names=named)


def _named(slices: Iterable[Slice], name_of: Callable[[Slice], str]) -> str:
    names: dict[str, None] = {}
    for item in sorted(slices, key=lambda item: item.instance.number):
        # The label of a file reads its content, and a file may have thousands of slices.
        names[name_of(item)] = None
        if len(names) > NAMED_FILES:
            return ", ".join(list(names)[:NAMED_FILES]) + ", ..."
    return ", ".join(names)


def _audit_faults(stack: Stack, policy: GeometrySection) -> list[str]:
    finding = describe_faults(stack)
    if not finding:
        return []
    if policy.gaps is GapPolicy.REJECT and not _is_complete_without_faulty(stack):
        raise IncompleteSeries(f"{finding}; {ALLOW_GAPS}")
    return [Message("warning.left_out", finding=finding)]


def _is_complete_without_faulty(stack: Stack) -> bool:
    """Returns whether all images with a fault have no position and the usable slices no gap."""
    usable = stack.usable
    if len(stack.placed) > len(usable):
        return False
    step_mm = grid_step_mm(usable)
    if step_mm is None:
        return False
    distances, _ = _sorted_along(usable[0].plane.normal, usable)
    return round(float(distances[-1] - distances[0]) / step_mm) == len(usable) - 1


def _notes(left_out: tuple[LeftOut, ...]) -> Iterator[str]:
    for reason in dict.fromkeys(item.reason for item in left_out):
        slices = [item.slice for item in left_out if item.reason == reason]
        named = _named(slices, lambda item: item.instance.file_name)
        yield Message("warning.images", count=len(slices), reason=reason, names=named)


def _refuse_doubled(distances: NDArray[np.float64], slices: tuple[Slice, ...]) -> None:
    doubled = int((np.diff(distances) <= SAME_PLACE_MM).sum())
    if not doubled:
        return
    groups = by_place(slices)
    if len(groups) == 1:
        raise IncompleteSeries(f"all {len(slices)} slices have the same Image Position (Patient)")
    raise IncompleteSeries(
        f"{doubled} of {len(distances)} slices have the position of another slice and other "
        f"pixels; {_difference(differing_attributes(max(groups, key=len)))}"
    )


def _difference(keywords: tuple[str, ...]) -> str:
    if not keywords:
        return "they differ in no attribute"
    return f"they differ in {in_words(keywords)}, which does not split them into volumes"


def _steps(
    distances: NDArray[np.float64], policy: GeometrySection
) -> tuple[NDArray[np.float64], list[str]]:
    """Returns the position of each slice in steps of the stack, and findings.

    Equal distances give 0, 1, 2, ...; missing slices leave gaps. If the distances vary, a step is
    the smallest distance, and positions are fractions.
    """
    places, gaps = distances - distances[0], np.diff(distances)
    count = len(places) - 1
    equal = np.arange(count + 1, dtype=np.float64)
    if is_close(equal, places):
        return equal, []
    typical, largest = float(np.median(gaps)), float(gaps.max())
    whole = np.rint(places / typical)
    missing = int(whole[-1]) - count
    if is_close(whole, places) and missing <= GAP_SHARE * count:
        finding = Message("warning.missing", missing=missing, largest=largest, typical=typical)
    else:
        finding = Message("warning.distances", smallest=float(gaps.min()), largest=largest)
        whole = places / float(gaps.min())
    if policy.gaps is GapPolicy.REJECT:
        raise IncompleteSeries(f"{finding}; {ALLOW_GAPS}")
    if largest > policy.max_gap_mm:
        raise IncompleteSeries(
            f"{finding}; geometry.max_gap_mm allows at most {policy.max_gap_mm:g} mm"
        )
    return whole, [Message("warning.interpolated", finding=finding)]


def _refuse_shifts(deviations: NDArray[np.float64]) -> None:
    shift_mm = float(np.abs(deviations).max())
    if shift_mm > MAX_SHIFT_MM:
        raise UnsupportedGeometry(
            f"slices are shifted against each other by up to {shift_mm:.2f} mm; at most "
            f"{MAX_SHIFT_MM} mm are allowed"
        )


def refuse_size(geometry: Geometry, policy: GeometrySection) -> None:
    """Makes sure that a volume is neither too small for a network nor too large.

    Raises:
        UnsupportedGeometry: The volume is too small or too large.
    """
    slices, rows, columns = geometry.shape
    counts = columns, rows, geometry.slice_steps[-1] + 1
    smallest_mm = min(n * mm for n, mm in zip(counts, geometry.spacing_mm, strict=True))
    if smallest_mm < MIN_EXTENT_MM or min(geometry.shape) < 2:
        raise UnsupportedGeometry(
            f"the smallest side of {slices} slices of {rows} x {columns} pixels is "
            f"{smallest_mm:.1f} mm; a network needs at least {MIN_EXTENT_MM:g} mm and two pixels"
        )
    corners = np.array([[0, 0, 0], [size - 1 for size in geometry.shape]])
    low, high = geometry.positions_lps(corners)
    extent_mm = float(np.abs(high - low).max())
    if extent_mm > policy.max_extent_mm:
        raise UnsupportedGeometry(
            f"the longest side of the volume is {extent_mm:.0f} mm; geometry.max_extent_mm allows "
            f"at most {policy.max_extent_mm:g} mm"
        )
    voxels = math.prod(geometry.shape)
    if voxels > policy.max_voxels:
        raise UnsupportedGeometry(
            f"the volume has {voxels} voxels; geometry.max_voxels allows at most "
            f"{policy.max_voxels}"
        )


def tilt_findings(geometry: Geometry) -> list[str]:
    """Returns sentences about slices that are not stacked along their normal."""
    if geometry.tilt_degrees <= NEGLIGIBLE_TILT_DEGREES:
        return []
    return [Message("warning.tilt", degrees=geometry.tilt_degrees)]


def _rescales(slices: tuple[Slice, ...]) -> list[str]:
    without = sum(item.frame.rescale is None for item in slices)
    if slices[0].instance.modality != "CT" or not without:
        return []
    return [Message("warning.rescale", without=without, of=len(slices))]
