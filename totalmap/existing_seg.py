"""Reads SEG objects, ours or another tool's, onto the grid of the images they were made from."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, SegmentationStorage

from totalmap.dicom.file_reader import native_pixels, read_all, syntax_of
from totalmap.dicom.frame_positions import places_of_frames
from totalmap.dicom.functional_groups import FunctionalGroups
from totalmap.dicom.geometry import Geometry
from totalmap.dicom.header import BROKEN_FILE
from totalmap.dicom.series_selection import Selection
from totalmap.dicom.slice_audit import audit_stack
from totalmap.dicom.split_study_into_stacks import split_study
from totalmap.dicom.stacks import Stack
from totalmap.dicom.study import Study
from totalmap.display_names import is_structure, known_name
from totalmap.errors import InputError
from totalmap.seg_frames import (
    MAX_ITEMS,
    ExistingSeg,
    masks_of_frames,
    pixel_bytes,
    pixels_of_frames,
    segments_of_frames,
)
from totalmap.settings import GeometrySection

LabelArray = NDArray[np.unsignedinteger[Any]]
_LABEL_MAP_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")  # PS3.6 A; not in pydicom yet
_SEG_CLASSES = (SegmentationStorage, _LABEL_MAP_STORAGE)
_REQUIRED = (
    "BitsStored",
    "PhotometricInterpretation",
    "PixelRepresentation",
    "SamplesPerPixel",
    "SegmentSequence",
)
_REFERENCES = "ReferencedSeriesSequence"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegLabels:
    """The segments of SEG objects as one volume of labels.

    Attributes:
        labels: (k, j, i) on the grid of the source; where segments overlap, the last one counts.
        numbers: The label of each structure, from 1, by TotalSegmentator's name, or by its name in
            the SEG.
    """

    labels: LabelArray
    numbers: Mapping[str, int]


class SegFrame(NamedTuple):
    """The labelled pixels of a frame of a SEG.

    Attributes:
        k: The slice of the source.
        rows: The rows of the slice that `pixels` covers.
        columns: The columns of the slice that `pixels` covers.
        pixels: (row, column) whether a pixel has a label.
        labels: Their label: of all, or (n,) of each in the order of the array.
    """

    k: int
    rows: slice
    columns: slice
    pixels: NDArray[np.bool_]
    labels: int | LabelArray


def seg_objects(result: Path) -> tuple[Path, ...]:
    """Returns the paths of the SEG objects of a result: of a file, or of all files below a folder.

    Raises:
        InputError: There is no SEG object.
    """
    files = sorted(result.rglob("*")) if result.is_dir() else [result]
    found = tuple(path for path in files if path.is_file() and is_seg(path))
    if not found:
        raise InputError("the result holds no SEG object")
    return found


def read_segs(paths: Sequence[Path]) -> tuple[ExistingSeg, ...]:
    """Returns SEG objects without their pixels.

    Raises:
        InputError: A SEG is damaged, or pixels are missing.
    """
    return tuple(_read(path, number, len(paths)) for number, path in enumerate(paths, start=1))


def read_referenced_series(paths: Sequence[Path]) -> frozenset[str]:
    """Returns the UIDs of the series that SEG objects were made from, without reading the rest.

    Raises:
        InputError: A SEG is damaged.
    """
    headers = []
    for number, path in enumerate(paths, start=1):
        with errors_naming_seg(number, len(paths)):
            headers.append(pydicom.dcmread(path, specific_tags=[_REFERENCES]))
    return referenced_series(headers)


def referenced_series(headers: Iterable[Dataset]) -> frozenset[str]:
    """Returns the UIDs of the series that SEG objects were made from.

    A corrected SEG also refers to the SEG before the correction, which is no source of images.
    """
    return frozenset(
        str(reference.get("SeriesInstanceUID"))
        for header in headers
        for reference in header.get(_REFERENCES, ())
        if not _is_of_segs(reference)
    )


def source_of(series: Collection[str], study: Study, policy: GeometrySection) -> Selection:
    """Returns the largest stack of some series of a study.

    Raises:
        InputError: The study holds no such series, or its slices can't be used.
    """
    stack, *siblings = _source_stacks(series, study)
    audit = audit_stack(stack, policy)
    return Selection(folder="", stack=stack, audit=audit, siblings=tuple(siblings))


def read_labels(segs: Sequence[ExistingSeg], geometry: Geometry) -> SegLabels:
    """Returns the segments of SEGs on the grid of their source.

    Raises:
        InputError: A SEG is damaged, or its frames lie on another grid.
    """
    numbers: dict[str, int] = {}
    labels: LabelArray = np.zeros(geometry.shape, dtype=np.min_scalar_type(most_labels(segs)))
    for frame in read_frames(segs, geometry, numbers):
        labels[frame.k][frame.rows, frame.columns][frame.pixels] = frame.labels
    return SegLabels(labels=labels, numbers=numbers)


def most_labels(segs: Iterable[ExistingSeg]) -> int:
    """Returns the number of segments of SEGs, which is their largest possible label."""
    return sum(len(seg.header.SegmentSequence) for seg in segs)


def read_frames(
    segs: Sequence[ExistingSeg], geometry: Geometry, numbers: dict[str, int]
) -> Iterator[SegFrame]:
    """Yields the labelled pixels of all frames; adds the structures of the SEGs to `numbers`.

    Raises:
        InputError: A SEG is damaged, or its frames lie on another grid.
    """
    for number, seg in enumerate(segs, start=1):
        with errors_naming_seg(number, len(segs)):
            yield from _frames_on_grid(seg, geometry, numbers)


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
        if known := known_name(name):
            return known
    return label or f"segment {segment.SegmentNumber}"


def is_seg(path: Path) -> bool:
    """Returns whether a file is a SEG object."""
    try:
        dataset = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
    except (InvalidDicomError, EOFError):
        return False
    return dataset.get("SOPClassUID") in _SEG_CLASSES


def _is_of_segs(reference: Dataset) -> bool:
    instances = reference.get("ReferencedInstanceSequence") or ()
    classes = {instance.get("ReferencedSOPClassUID") for instance in instances}
    return bool(classes) and classes <= set(_SEG_CLASSES)


def _source_stacks(wanted: Collection[str], source: Study) -> tuple[Stack, ...]:
    """Returns the largest stack of the wanted series, then the other stacks of its series."""
    stacks_of = split_study(source, may_decode=lambda stack: stack.series.uid in wanted)
    split = [stacks for uid, stacks in stacks_of.items() if uid in wanted and stacks]
    if not split:
        raise InputError("the source holds none of the series that the result was made from")
    largest = max((stack for stacks in split for stack in stacks), key=lambda s: len(s.usable))
    series = next(stacks for stacks in split if largest in stacks)
    return (largest, *(stack for stack in series if stack is not largest))


def _frames_on_grid(
    existing: ExistingSeg, geometry: Geometry, numbers: dict[str, int]
) -> Iterator[SegFrame]:
    """Yields the labelled pixels of the frames of a SEG; adds new names to `numbers`."""
    seg = existing.header
    label_of: dict[int, int] = {}
    for segment in seg.SegmentSequence:
        if int(segment.SegmentNumber) > 0:  # 0 is the background of a labelmap
            name = structure_name(segment)
            label_of[int(segment.SegmentNumber)] = numbers.setdefault(name, len(numbers) + 1)
    groups = FunctionalGroups(seg)
    places = places_of_frames(seg, groups, geometry)
    if seg.get("SegmentationType") == "LABELMAP":
        labelled = _label_map_frames(existing, label_of)
    else:
        segments = segments_of_frames(seg, groups)
        labelled = (
            (mask.rows, mask.pixels, label_of[segment])
            for mask, segment in zip(masks_of_frames(existing), segments, strict=True)
        )
    for (k, j, i), (within, pixels, labels) in zip(places, labelled, strict=True):
        first = int(j) + (within.start or 0)
        rows = slice(first, first + len(pixels))
        yield SegFrame(int(k), rows, slice(int(i), int(i) + seg.Columns), pixels, labels)


def _label_map_frames(
    existing: ExistingSeg, label_of: Mapping[int, int]
) -> Iterator[tuple[slice, NDArray[np.bool_], int | LabelArray]]:
    most = max(label_of.values(), default=0)
    table = np.zeros(1 + max(label_of, default=0), dtype=np.min_scalar_type(most))
    table[list(label_of)] = list(label_of.values())
    for pixels in pixels_of_frames(existing):
        values = table[np.minimum(pixels, len(table) - 1)]
        yield slice(None), values > 0, values[values > 0]


@contextmanager
def errors_naming_seg(number: int, of: int) -> Iterator[None]:
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
    except (*BROKEN_FILE, InvalidDicomError) as error:
        raise InputError(f"SEG file {number} of {of} is broken ({type(error).__name__})") from error


def _read(path: Path, number: int, of: int) -> ExistingSeg:
    """Returns a SEG without its pixels, and makes sure that all pixels are there.

    Args:
        path: The SEG file.
        number: Number of the SEG, from 1, for messages.
        of: Number of all SEGs.

    Raises:
        InputError: Pixels are missing, or the file is damaged.
    """
    with errors_naming_seg(number, of), path.open("rb") as file:
        seg, element = read_all(file, max_items=MAX_ITEMS)
        _require_attributes(seg)
        pixels = native_pixels(element, syntax_of(seg, seg.file_meta.TransferSyntaxUID, element))
        needed = pixel_bytes(seg)
        if pixels is not None and pixels.length < needed:
            raise InputError(f"the SEG has {pixels.length} bytes of pixels and needs {needed}")
        placed = len(seg.PerFrameFunctionalGroupsSequence)
        if placed != seg.NumberOfFrames:
            raise InputError(
                f"the SEG has {seg.NumberOfFrames} frames and positions for {placed} of them"
            )
        return ExistingSeg(path=path, header=seg, pixels=pixels)


def _require_attributes(seg: Dataset) -> None:
    """Raises KeyError if attributes are missing without which pixels or names mean nothing."""
    for keyword in _REQUIRED:
        seg[keyword]
