"""Reads the SEG objects of an existing result, ours or another tool's, and assesses them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from totalmap.dicom.geometry import Geometry, canonical_affine_lps, to_canonical
from totalmap.dicom.header import BROKEN_FILE
from totalmap.dicom.series_selection import Selection
from totalmap.dicom.slice_audit import audit_stack
from totalmap.dicom.split_study_into_stacks import split_study
from totalmap.dicom.stacks import Stack
from totalmap.dicom.study import Study
from totalmap.dicom.volume import build_volume
from totalmap.display_names import is_structure
from totalmap.errors import InputError
from totalmap.finding import Assessment, Finding, Severity
from totalmap.measure.label_statistics import Labels
from totalmap.origin_in_dicom import Origin, origin_of
from totalmap.quality.assess import assess
from totalmap.quality.plausibility.anatomy_table import known_structures, vertebra_name
from totalmap.quality.plausibility.structure_statistics_lookup import vertebrae_in
from totalmap.quality.suitability.assess_suitability import with_suitability
from totalmap.segmentation import InferenceLabels, Segmentation
from totalmap.settings import GeometrySection
from totalmap.structures import Structure

_LABEL_MAP_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")  # PS3.6 A; not in pydicom yet
_SEG_CLASSES = (SegmentationStorage, _LABEL_MAP_STORAGE)
# A result of another tool with so many structures of task `total` is one of the whole task.
_WHOLE_TASK = 60
# With so many vertebrae, a tool segments the spine.
_SPINE = 3
_SIDES = ("left", "right")
# A frame lies on a slice if their distance is at most this share of a voxel.
_SAME_PLACE = 0.1
# A SEG of a hundred structures has more frames than any image, with ten items each.
_MAX_ITEMS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExistingResult:
    """The labels of SEG objects, and the segments that no rule can assess.

    Attributes:
        segmentation: Labels on the grid of the source. `task` and `variant` are empty for objects
            of another tool.
        unknown: Names of segments that are neither in anatomy.csv nor in the task.
    """

    segmentation: Segmentation
    unknown: tuple[str, ...]


def seg_objects(result: Path) -> tuple[Path, ...]:
    """Returns the paths of the SEG objects of a result: of a file, or of all files below a folder.

    Raises:
        InputError: There is no SEG object.
    """
    files = sorted(result.rglob("*")) if result.is_dir() else [result]
    found = tuple(path for path in files if path.is_file() and _is_seg(path))
    if not found:
        raise InputError("the result holds no SEG object")
    return found


def read_existing_result(segs: Sequence[Path], source: Study) -> ExistingResult:
    """Reads SEG objects onto the grid of their source.

    Raises:
        InputError: The source is missing, a SEG is damaged, or its frames lie on another grid.
    """
    datasets = [
        _read_seg_header(path, number, len(segs)) for number, path in enumerate(segs, start=1)
    ]
    origin = next(filter(None, map(origin_of, datasets)), None)
    stack, *siblings = _source_stacks(datasets, source)
    policy = GeometrySection()
    selection = Selection(
        folder="", stack=stack, audit=audit_stack(stack, policy), siblings=tuple(siblings)
    )
    volume = build_volume(selection, policy)
    numbers: dict[str, int] = {}
    labels: NDArray[np.uint16] = np.zeros(volume.geometry.shape, dtype=np.uint16)
    for number, (path, dataset) in enumerate(zip(segs, datasets, strict=True), start=1):
        with _errors_naming_seg(number, len(segs)):
            _paint(path, dataset, volume.geometry, numbers, labels)
    names = _looked_for(datasets, numbers)
    segmentation = Segmentation(
        task=origin.task if origin else "",
        variant=origin.variant if origin else "",
        volume=with_suitability(volume, origin.task) if origin else volume,
        labels=labels,
        inference=InferenceLabels(
            labels=to_canonical(labels, volume.geometry),
            affine_lps=canonical_affine_lps(volume.geometry),
        ),
        structures=_structures(numbers, names),
        models=(),
    )
    known = {*known_structures(), *names}
    unknown = tuple(name for name in numbers if name not in known)
    return ExistingResult(segmentation=segmentation, unknown=unknown)


def assess_existing_result(existing: ExistingResult) -> Assessment:
    """Returns the findings about an existing result, from which the verdict follows.

    For a result of TotalMAP these are the findings of its own run, without those of a second
    opinion, which needs the networks. The suitability of another tool's images is not assessed.
    """
    findings = assess(existing.segmentation).findings
    return Assessment(findings=(*_about_segments(existing), *findings))


def structure_name(segment: Dataset) -> str:
    """Returns TotalSegmentator's name of a segment, else its label.

    A tracking identifier that is one of TotalSegmentator's names decides: TotalMAP writes it. Else
    label, tracking identifier and coded type with its side are compared in turn: `Left kidney`,
    `kidney_left` and (Kidney, Left) name the same structure.
    """
    tracking_id = str(segment.get("TrackingID", ""))
    if is_structure(tracking_id):
        return tracking_id
    type_item = (segment.get("SegmentedPropertyTypeCodeSequence") or [Dataset()])[0]
    side = (type_item.get("SegmentedPropertyTypeModifierCodeSequence") or [Dataset()])[0]
    coded = f"{type_item.get('CodeMeaning', '')} {side.get('CodeMeaning', '')}"
    label = str(segment.get("SegmentLabel", ""))
    for name in (label, tracking_id, coded):
        if _normal(name) in _normal_names():
            return _normal_names()[_normal(name)]
    return label or f"segment {segment.SegmentNumber}"


def _about_segments(existing: ExistingResult) -> Iterator[Finding]:
    if not existing.segmentation.labels.any():
        yield Finding(
            code="EMPTY", severity=Severity.REVIEW, sentence="The result holds no structure."
        )
    if existing.unknown:
        yield Finding(
            code="UNKNOWN",
            severity=Severity.INFORMATION,
            sentence=f"{len(existing.unknown)} structures have names that TotalMAP does not know; "
            "they are not assessed.",
            value=float(len(existing.unknown)),
        )


def _structures(numbers: Mapping[str, int], looked_for: Iterable[str]) -> tuple[Structure, ...]:
    """Returns the structures that were found, then those that were looked for and not found."""
    missing = [name for name in dict.fromkeys(looked_for) if name not in numbers]
    first = 1 + max(numbers.values(), default=0)
    labels = dict(numbers) | {name: label for label, name in enumerate(missing, start=first)}
    return tuple(Structure(label=label, name=name) for name, label in labels.items())


def _is_seg(path: Path) -> bool:
    try:
        dataset = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
    except (InvalidDicomError, EOFError):
        return False
    return dataset.get("SOPClassUID") in _SEG_CLASSES


def _source_stacks(segs: Sequence[Dataset], source: Study) -> tuple[Stack, ...]:
    """Returns the largest stack that the SEGs refer to, then the other stacks of its series."""
    wanted = {
        str(reference.get("SeriesInstanceUID"))
        for seg in segs
        for reference in seg.get("ReferencedSeriesSequence", ())
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
    """Writes the segments of a SEG into `labels`; adds new names to `numbers`."""
    label_of: dict[int, int] = {}
    for segment in seg.SegmentSequence:
        if int(segment.SegmentNumber) > 0:  # 0 is the background of a labelmap
            name = structure_name(segment)
            label_of[int(segment.SegmentNumber)] = numbers.setdefault(name, len(numbers) + 1)
    is_labelmap = seg.get("SegmentationType") == "LABELMAP"
    half = int(seg.get("MaximumFractionalValue", 1)) / 2
    table = np.zeros(1 + max(label_of, default=0), dtype=labels.dtype)
    table[list(label_of)] = list(label_of.values())
    if (seg.Rows, seg.Columns) != geometry.shape[1:]:
        raise InputError(
            f"the SEG has {seg.Rows} x {seg.Columns} voxels a slice, its source "
            f"{geometry.shape[1]} x {geometry.shape[2]}"
        )
    for frame, pixels in zip(range(seg.NumberOfFrames), iter_pixels(path), strict=True):
        slice_labels = labels[_slice_of(seg, frame, geometry)]
        if is_labelmap:
            values = table[np.minimum(pixels, len(table) - 1)]
            slice_labels[values > 0] = values[values > 0]
        else:
            item = _functional_group(seg, frame, "SegmentIdentificationSequence")
            number = int(item.ReferencedSegmentNumber)
            if number not in label_of:
                raise InputError(
                    f"frame {frame + 1} of the SEG belongs to segment {number}, which is missing"
                )
            slice_labels[pixels > half] = label_of[number]


def _looked_for(segs: Iterable[Dataset], found: Mapping[str, int]) -> tuple[str, ...]:
    """Returns the names of the structures that a result was made to find."""
    origins = tuple(filter(None, map(origin_of, segs)))
    return _recorded(origins) if origins else tuple(_guessed(found))


def _recorded(origins: Iterable[Origin]) -> tuple[str, ...]:
    """Returns the structures on record in our objects; older objects record the task only."""
    return tuple(
        name
        for origin in origins
        for label, name in class_map.get(origin.task, {}).items()
        if not origin.looked_for or label in origin.labels
    )


def _guessed(found: Mapping[str, int]) -> Iterator[str]:
    """Yields the structures that another tool probably looked for, judging by what it found."""
    known = [name for name in found if name in known_structures()]
    if len(known) >= _WHOLE_TASK:
        yield from known_structures()
    elif len(vertebrae := vertebrae_in(known)) >= _SPINE:
        yield from (vertebra_name(n) for n in range(vertebrae[0], vertebrae[-1] + 1))


def _normal(name: str) -> tuple[str, ...]:
    """Returns the words of a name, its side last."""
    words = name.lower().replace("_", " ").split()
    sides = [word for word in words if word in _SIDES]
    return (*(word for word in words if word not in _SIDES), *sides)


@cache
def _normal_names() -> dict[tuple[str, ...], str]:
    return {_normal(name): name for name in known_structures()}


@contextmanager
def _errors_naming_seg(number: int, of: int) -> Iterator[None]:
    """Turns errors of reading a SEG into InputErrors that name it by its number.

    pydicom raises many kinds of errors for damaged files.

    Args:
        number: Number of the SEG, from 1; its path may hold a patient's name.
        of: Number of all SEGs.

    Raises:
        InputError: The SEG can't be read.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"SEG file {number} of {of}: {error}") from error
    except BROKEN_FILE as error:
        raise InputError(f"SEG file {number} of {of} is broken ({type(error).__name__})") from error


def _read_seg_header(path: Path, number: int, of: int) -> Dataset:
    """Returns the attributes of a SEG without its pixels, and makes sure that all pixels are there.

    Args:
        path: The SEG file.
        number: Number of the SEG, from 1, for messages.
        of: Number of all SEGs.

    Raises:
        InputError: Pixels are missing, or the file is damaged.
    """
    with _errors_naming_seg(number, of), path.open("rb") as file:
        seg, element = read_all(file, max_items=_MAX_ITEMS)
        pixels = native_pixels(element, syntax_of(seg, seg.file_meta.TransferSyntaxUID, element))
        bits = seg.Rows * seg.Columns * int(seg.NumberOfFrames) * seg.BitsAllocated
        if pixels is not None and pixels.length < bits / 8:
            raise InputError(
                f"the SEG has {pixels.length} bytes of pixels and needs {ceil(bits / 8)}"
            )
        placed = len(seg.PerFrameFunctionalGroupsSequence)
        if placed != seg.NumberOfFrames:
            raise InputError(
                f"the SEG has {seg.NumberOfFrames} frames and positions for {placed} of them"
            )
        return seg


def _slice_of(seg: Dataset, frame: int, geometry: Geometry) -> int:
    """Returns the index of the slice that a frame lies on.

    Raises:
        InputError: The frame lies on no slice, or has no position.
    """
    position = _functional_group(seg, frame, "PlanePositionSequence").ImagePositionPatient
    cosines = _functional_group(seg, frame, "PlaneOrientationSequence").ImageOrientationPatient
    spacing = _functional_group(seg, frame, "PixelMeasuresSequence").PixelSpacing
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
    """Returns (i, j, s) of points, (n, 3) mm in LPS."""
    homogeneous = np.column_stack([points, np.ones(len(points))])
    indices: NDArray[np.float64] = (homogeneous @ np.linalg.inv(geometry.affine_lps).T)[:, :3]
    return indices


def _functional_group(seg: Dataset, frame: int, sequence: str) -> Dataset:
    """Returns the item of a functional group that applies to a frame (PS3.3 C.7.6.16).

    Raises:
        InputError: There is no such item.
    """
    own = seg.PerFrameFunctionalGroupsSequence[frame]
    shared = seg.SharedFunctionalGroupsSequence[0]
    if sequence not in own and sequence not in shared:
        raise InputError(f"frame {frame + 1} of the SEG has no {sequence}")
    item: Dataset = (own if sequence in own else shared)[sequence].value[0]
    return item
