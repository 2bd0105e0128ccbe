"""Writes the Label Map Segmentation (PS3.3 A.51, Supplement 243): pixels are Segment Numbers.

It is far smaller than BINARY, but fewer readers know it: docs/results.md.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.sr.coding import Code
from pydicom.uid import UID, RLELossless

from totalmap.dicom.functional_groups import FunctionalGroups
from totalmap.errors import OutputError
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.structures import Structure
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.codes import code_item
from totalmap.writers.dicom.header import ObjectKind
from totalmap.writers.dicom.run_lengths import run_lengths
from totalmap.writers.dicom.write_file_in_parts import encapsulated_pixels
from totalmap.writers.seg.functional_groups import per_frame_groups
from totalmap.writers.seg.header import EncodedSeg, dimensions, seg_header
from totalmap.writers.seg.split_by_body_system import SegPart, seg_parts, undivided

FILE_NAME = "seg_labelmap.dcm"
LABEL_MAP_SEGMENTATION_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")  # PS3.6 A; not in pydicom yet
KIND = ObjectKind(
    name=ResultKind.SEG_LABELMAP,
    sop_class=LABEL_MAP_SEGMENTATION_STORAGE,
    modality="SEG",
    title="label map",
)

SegmentNumbers = NDArray[np.unsignedinteger[Any]]

_BACKGROUND = Code("125040", "DCM", "Background")


def write_seg_labelmap(
    segmentation: Segmentation, settings: Settings, release: Release
) -> tuple[Result, ...]:
    """Writes the labels as a label map and compares the file with them, voxel by voxel.

    Pixels are Segment Numbers, the same as in one BINARY object. Empty slices are left out.

    Returns:
        One result, or none if no wanted structure was found.

    Raises:
        OutputError: A structure has no code, or the file that was written differs from the labels.
    """
    results = []
    for seg in encode_seg_labelmaps(segmentation, settings):
        name = identifiers.result_name(segmentation, FILE_NAME)
        staged = release.write(name, seg.write)
        compare_seg_labelmap(pydicom.dcmread(staged), segmentation, seg.part.structures)
        uid = str(seg.header.SOPInstanceUID)
        results.append(Result(kind=KIND.name, path=f"{RESULTS_NAME}/{name}", sop_instance_uid=uid))
    return tuple(results)


def encode_seg_labelmaps(segmentation: Segmentation, settings: Settings) -> tuple[EncodedSeg, ...]:
    """Returns the label map of the structures that were found and are wanted, if there are any.

    A label map is never split: it has no more frames than the source has slices.

    Raises:
        OutputError: A structure has no code.
    """
    found = (measured.structure for measured in segmentation.found())
    parts = seg_parts(found, undivided(settings.results))
    return tuple(_encode(segmentation, settings, part) for part in parts)


def _encode(segmentation: Segmentation, settings: Settings, part: SegPart) -> EncodedSeg:
    number_of = _segment_numbers(part.structures, segmentation)
    used = [k for k, labels in enumerate(segmentation.labels) if number_of[labels].any()]
    seg = seg_header(segmentation, settings, KIND, part)
    seg.SegmentSequence.append(_background(seg.SegmentSequence[0]))
    seg.update(dimensions(seg.SOPInstanceUID, by_segment=False))
    seg.SegmentationType = "LABELMAP"
    seg.BitsAllocated = seg.BitsStored = number_of.itemsize * 8
    seg.HighBit = seg.BitsStored - 1
    seg.PixelPaddingValue = 0
    seg.NumberOfFrames = len(used)

    def large_elements() -> Iterator[bytes]:
        yield per_frame_groups(segmentation.volume, [(k, None) for k in used])
        pixels = [run_lengths(number_of[segmentation.labels[k]]) for k in used]
        yield encapsulated_pixels(pixels)

    return EncodedSeg(part=part, header=seg, large_elements=large_elements, syntax=RLELossless)


def compare_seg_labelmap(
    written: Dataset, segmentation: Segmentation, structures: tuple[Structure, ...]
) -> None:
    """Compares a label map with the labels it was made from, frame by frame.

    Args:
        written: The label map, as pydicom reads it.
        segmentation: The source of the label map.
        structures: The expected structures, by Segment Number, from 1.

    Raises:
        OutputError: A frame differs, lies on an unknown slice, or slices are missing.
    """
    number_of = _segment_numbers(structures, segmentation)
    slice_of = {slice_.key: k for k, slice_ in enumerate(segmentation.volume.slices)}
    missing = {k for k, labels in enumerate(segmentation.labels) if number_of[labels].any()}
    groups = FunctionalGroups(written)
    for index in range(int(written.NumberOfFrames)):
        frame = pixel_array(written, index=index)
        key = groups.source(index)
        if key not in slice_of:
            raise OutputError(f"{FILE_NAME}: a frame refers to an image that is not a source")
        if not np.array_equal(frame, number_of[segmentation.labels[slice_of[key]]]):
            raise OutputError(f"{FILE_NAME}: frame {index + 1} differs from its labels")
        missing.discard(slice_of[key])
    if missing:
        raise OutputError(f"{FILE_NAME}: {len(missing)} slices with labels have no frame")


def _segment_numbers(
    structures: tuple[Structure, ...], segmentation: Segmentation
) -> SegmentNumbers:
    """Returns the Segment Number of each label, 0 for none, in the smallest possible data type."""
    highest = max(structure.label for structure in segmentation.structures)
    numbers = np.zeros(highest + 1, dtype=np.min_scalar_type(len(structures)))
    numbers[[structure.label for structure in structures]] = np.arange(1, len(structures) + 1)
    return numbers


def _background(first: Dataset) -> Dataset:
    """Returns segment 0, the background.

    PS3.3 C.8.20.2.3 requires an item for every pixel value and prescribes no order. This item has
    to be the last: OHIF 3.13 takes the position of an item, from 1, for its Segment Number, so
    every segment after this one would get the colour of another.
    """
    background = Dataset()
    background.SegmentNumber = 0
    background.SegmentLabel = "Background"
    background.SegmentAlgorithmType = first.SegmentAlgorithmType
    if "SegmentAlgorithmName" in first:
        background.SegmentAlgorithmName = first.SegmentAlgorithmName
    background.SegmentedPropertyCategoryCodeSequence = [code_item(_BACKGROUND)]
    background.SegmentedPropertyTypeCodeSequence = [code_item(_BACKGROUND)]
    return background
