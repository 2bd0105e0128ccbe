"""Labels of an existing result, ours or another tool's: SEG objects on their source's grid."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import UID, SegmentationStorage
from totalsegmentator.map_to_binary import class_map

from totalmap.dicom.file_reader import native_pixels, read_all, syntax_of
from totalmap.dicom.geometry import Geometry
from totalmap.dicom.header import BROKEN_FILE
from totalmap.dicom.series_selection import Selection
from totalmap.dicom.slice_audit import audit_stack
from totalmap.dicom.split_study import split_study
from totalmap.dicom.stacks import Stack
from totalmap.dicom.study import Study
from totalmap.dicom.volume import Volume, build_volume
from totalmap.errors import InputError
from totalmap.finding import Finding, Severity
from totalmap.measure.label_statistics import Labels, label_statistics
from totalmap.origin import Origin, origin_of
from totalmap.quality.plausibility.anatomy import known_structures, vertebra_name
from totalmap.quality.plausibility.body import vertebrae_in
from totalmap.quality.plausibility.rules import implausible
from totalmap.quality.suitability.rules import unsuitable
from totalmap.settings import GeometrySection
from totalmap.structures import Structure

_LABEL_MAP_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")  # PS3.6 A; not in pydicom yet
_SEG_CLASSES = (SegmentationStorage, _LABEL_MAP_STORAGE)
# With so many of its structures, a result is one of task `total`: it looked for all of them.
_WHOLE_TASK = 60
_SPINE = 3
_SIDES = ("left", "right")


@dataclass(frozen=True, kw_only=True, eq=False)
class Existing:
    """What SEG objects hold.

    Attributes:
        labels: (k, j, i) on the grid of the volume.
        structures: What the labels are, and what was looked for and not found.
        unknown: Segments whose names neither a rule nor the task knows.
        task: The task of TotalSegmentator that TotalMAP ran; None for another tool's objects.
    """

    volume: Volume
    labels: Labels
    structures: tuple[Structure, ...]
    unknown: tuple[str, ...]
    task: str | None = None


def seg_objects(result: Path) -> tuple[Path, ...]:
    """Returns the SEG objects of a result: a file, or all below a folder.

    Raises:
        InputError: There is none.
    """
    files = sorted(result.rglob("*")) if result.is_dir() else [result]
    found = tuple(path for path in files if path.is_file() and _is_seg(path))
    if not found:
        raise InputError("the result holds no SEG object")
    return found


def read_existing(segs: Sequence[Path], source: Study) -> Existing:
    """Reads SEG objects onto the grid of their source.

    Raises:
        InputError: The source isn't there, a SEG is not whole, or its frames lie on another grid.
    """
    datasets = [read_header(path, number, len(segs)) for number, path in enumerate(segs, start=1)]
    stack, *siblings = _source_stacks(datasets, source)
    policy = GeometrySection()
    selection = Selection(
        folder="", stack=stack, audit=audit_stack(stack, policy), siblings=tuple(siblings)
    )
    volume = build_volume(selection, policy)
    numbers: dict[str, int] = {}
    labels: NDArray[np.uint16] = np.zeros(volume.geometry.shape, dtype=np.uint16)
    for number, (path, dataset) in enumerate(zip(segs, datasets, strict=True), start=1):
        with named(number, len(segs)):
            _paint(path, dataset, volume.geometry, numbers, labels)
    origins = tuple(filter(None, map(origin_of, datasets)))
    names = _on_record(origins) if origins else tuple(_guessed(numbers))
    looked_for = numbers | {name: 0 for name in names if name not in numbers}
    free = 1 + max(numbers.values(), default=0)
    structures = tuple(
        Structure(label=label or free + n, name=name)
        for n, (name, label) in enumerate(looked_for.items())
    )
    known = {*known_structures(), *names}
    return Existing(
        volume=volume,
        labels=labels,
        structures=structures,
        unknown=tuple(name for name in numbers if name not in known),
        task=origins[0].task if origins else None,
    )


def findings_of(existing: Existing) -> tuple[Finding, ...]:
    """Returns what is to be said of an existing result.

    Of a result of TotalMAP it is what the run itself said, but for what a second opinion found:
    that takes the networks.
    """
    volume = existing.volume
    labels, geometry = existing.labels, volume.geometry
    table = label_statistics(labels, volume.voxels, geometry, labels)
    findings = implausible(table, existing.structures, is_hu=volume.modality == "CT")
    suitability = unsuitable(volume, existing.task) if existing.task else ()
    return (*_about_names(existing), *findings, *suitability)


def structure_name(segment: Dataset) -> str:
    """Returns what a segment is called, by TotalSegmentator's name if one of its names is that.

    Tried are label, tracking identifier and coded type with its side: `Left kidney`,
    `kidney_left` and (Kidney, Left) are the same.
    """
    type_item = (segment.get("SegmentedPropertyTypeCodeSequence") or [Dataset()])[0]
    side = (type_item.get("SegmentedPropertyTypeModifierCodeSequence") or [Dataset()])[0]
    coded = f"{type_item.get('CodeMeaning', '')} {side.get('CodeMeaning', '')}"
    label = str(segment.get("SegmentLabel", ""))
    for name in (label, str(segment.get("TrackingID", "")), coded):
        if _normal(name) in _normal_names():
            return _normal_names()[_normal(name)]
    return label or f"segment {segment.SegmentNumber}"


def _about_names(existing: Existing) -> Iterator[Finding]:
    if not existing.labels.any():
        yield Finding(
            code="EMPTY", severity=Severity.REVIEW, sentence="No structure was found at all."
        )
    if existing.unknown:
        yield Finding(
            code="UNKNOWN",
            severity=Severity.INFORMATION,
            sentence=f"{len(existing.unknown)} structures are not known and not judged.",
            value=float(len(existing.unknown)),
        )


def _is_seg(path: Path) -> bool:
    try:
        dataset = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
    except (InvalidDicomError, EOFError):
        return False
    return dataset.get("SOPClassUID") in _SEG_CLASSES


def _source_stacks(segs: Sequence[Dataset], source: Study) -> tuple[Stack, ...]:
    """Returns the stack that SEGs were made from, the largest one, and the others of its series."""
    wanted = {
        str(one.get("SeriesInstanceUID"))
        for seg in segs
        for one in seg.get("ReferencedSeriesSequence", ())
    }
    stacks_of = split_study(source, may_decode=lambda stack: stack.series.uid in wanted)
    split = [stacks for uid, stacks in stacks_of.items() if uid in wanted and stacks]
    if not split:
        raise InputError("the source holds none of the series that the SEG was made from")
    largest = max((stack for stacks in split for stack in stacks), key=lambda s: len(s.usable))
    series = next(stacks for stacks in split if largest in stacks)
    return (largest, *(stack for stack in series if stack is not largest))


def _paint(
    path: Path, seg: Dataset, geometry: Geometry, numbers: dict[str, int], labels: Labels
) -> None:
    """Puts the segments of a SEG into labels; numbers new names."""
    of_segment: dict[int, int] = {}
    for segment in seg.SegmentSequence:
        if int(segment.SegmentNumber) > 0:  # 0 is the background of a labelmap
            name = structure_name(segment)
            of_segment[int(segment.SegmentNumber)] = numbers.setdefault(name, len(numbers) + 1)
    is_labelmap = seg.get("SegmentationType") == "LABELMAP"
    half = int(seg.get("MaximumFractionalValue", 1)) / 2
    table = np.zeros(1 + max(of_segment, default=0), dtype=labels.dtype)
    table[list(of_segment)] = list(of_segment.values())
    if (seg.Rows, seg.Columns) != geometry.shape[1:]:
        raise InputError(
            f"the SEG has {seg.Rows} x {seg.Columns} voxels a slice, its source "
            f"{geometry.shape[1]} x {geometry.shape[2]}"
        )
    for frame, pixels in zip(range(seg.NumberOfFrames), iter_pixels(path), strict=True):
        slice_labels = labels[slice_of(seg, frame, geometry)]
        if is_labelmap:
            named = table[np.minimum(pixels, len(table) - 1)]
            slice_labels[named > 0] = named[named > 0]
        else:
            item = group(seg, frame, "SegmentIdentificationSequence")
            number = int(item.ReferencedSegmentNumber)
            if number not in of_segment:
                raise InputError(f"frame {frame + 1} of the SEG is of segment {number}: not there")
            slice_labels[pixels > half] = of_segment[number]


def _on_record(origins: Sequence[Origin]) -> tuple[str, ...]:
    """Returns what TotalMAP looked for, as its objects say; objects of older versions: the task."""
    return tuple(
        name
        for origin in origins
        for label, name in class_map.get(origin.task, {}).items()
        if not origin.looked_for or label in origin.labels
    )


def _guessed(numbers: dict[str, int]) -> Iterator[str]:
    """Yields what a tool must have looked for that found these structures."""
    known = [name for name in numbers if name in known_structures()]
    if len(known) >= _WHOLE_TASK:
        yield from known_structures()
    elif len(vertebrae := vertebrae_in(known)) >= _SPINE:
        yield from (vertebra_name(n) for n in range(vertebrae[0], vertebrae[-1] + 1))


def _normal(name: str) -> tuple[str, ...]:
    """Returns the words of a name, its side last."""
    words = name.lower().replace("_", " ").split()
    return (*(one for one in words if one not in _SIDES), *(one for one in words if one in _SIDES))


@cache
def _normal_names() -> dict[tuple[str, ...], str]:
    return {_normal(name): name for name in known_structures()}


# A frame lies on a slice if it is no further from it than this share of a voxel.
_SAME_PLACE = 0.1
# A SEG of a hundred structures has more frames than any image, with ten items each.
_MAX_ITEMS = 1_000_000


@contextmanager
def named(number: int, of: int) -> Iterator[None]:
    """Has errors say which SEG they are about; pydicom raises many kinds on a broken one.

    Args:
        number: Of the SEG, from 1; its path may hold a patient's name.
        of: How many SEGs there are.

    Raises:
        InputError: Instead of all of them.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"SEG file {number} of {of}: {error}") from error
    except BROKEN_FILE as error:
        raise InputError(f"SEG file {number} of {of} is broken ({type(error).__name__})") from error


def read_header(path: Path, number: int, of: int) -> Dataset:
    """Returns all of a SEG but its pixels, which are all in the file.

    Args:
        path: Of the SEG.
        number: As `named`.
        of: The same.

    Raises:
        InputError: They are not, or the file is broken.
    """
    with named(number, of), path.open("rb") as file:
        seg, element = read_all(file, max_items=_MAX_ITEMS)
        pixels = native_pixels(element, syntax_of(seg, seg.file_meta.TransferSyntaxUID, element))
        bits = seg.Rows * seg.Columns * int(seg.NumberOfFrames) * seg.BitsAllocated
        if pixels is not None and pixels.length < bits / 8:
            raise InputError(
                f"the SEG has {pixels.length} bytes of pixels and needs {ceil(bits / 8)}"
            )
        placed = len(seg.PerFrameFunctionalGroupsSequence)
        if placed != seg.NumberOfFrames:
            raise InputError(f"the SEG has {seg.NumberOfFrames} frames and places {placed}")
        return seg


def slice_of(seg: Dataset, frame: int, geometry: Geometry) -> int:
    """Returns the slice that a frame lies on.

    Raises:
        InputError: It lies on none, or does not say where.
    """
    position = group(seg, frame, "PlanePositionSequence").ImagePositionPatient
    cosines = group(seg, frame, "PlaneOrientationSequence").ImageOrientationPatient
    spacing = group(seg, frame, "PixelMeasuresSequence").PixelSpacing
    row, column = np.reshape(np.array(cosines, dtype=float), (2, 3))
    ends = np.array(position, dtype=float) + np.array(
        [np.zeros(3), row * float(spacing[1]), column * float(spacing[0])]
    )
    at = _indices(ends, geometry)
    k = int(np.abs(np.subtract(geometry.slice_steps, at[0, 2])).argmin())
    step = geometry.slice_steps[k]
    expected = np.array([[0.0, 0.0, step], [1.0, 0.0, step], [0.0, 1.0, step]])
    if np.abs(at - expected).max() > _SAME_PLACE:
        raise InputError(f"frame {frame + 1} of the SEG lies on another grid than its source")
    return k


def _indices(points: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float64]:
    """Returns i, j and steps of points, (n, 3) mm in LPS."""
    homogeneous = np.column_stack([points, np.ones(len(points))])
    indices: NDArray[np.float64] = (homogeneous @ np.linalg.inv(geometry.affine_lps).T)[:, :3]
    return indices


def group(seg: Dataset, frame: int, sequence: str) -> Dataset:
    """Returns the item of a functional group that holds for a frame (PS3.3 C.7.6.16).

    Raises:
        InputError: There is none.
    """
    own = seg.PerFrameFunctionalGroupsSequence[frame]
    shared = seg.SharedFunctionalGroupsSequence[0]
    if sequence not in own and sequence not in shared:
        raise InputError(f"frame {frame + 1} of the SEG does not say where it lies")
    item: Dataset = (own if sequence in own else shared)[sequence].value[0]
    return item
