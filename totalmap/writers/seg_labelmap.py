"""A Label Map Segmentation (PS3.3 A.51, Supplement 243): pixels are Segment Numbers.

Far smaller than BINARY, for readers that know it: docs/results.md.
"""

from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.sr.coding import Code
from pydicom.uid import UID, RLELossless

from totalmap.errors import OutputError
from totalmap.journal import Result
from totalmap.segmentation import Segmentation, Structure
from totalmap.writers import provenance
from totalmap.writers.coded import coded
from totalmap.writers.derived import Kind
from totalmap.writers.encoding import encapsulated_pixels
from totalmap.writers.frames import functional_group
from totalmap.writers.release import RESULTS_NAME, Release
from totalmap.writers.seg_groups import per_frame_groups
from totalmap.writers.seg_header import EncodedSeg, dimensions, require_some, seg_header

FILE_NAME = "seg_labelmap.dcm"
LABEL_MAP_SEGMENTATION_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")  # PS3.6 A; not in pydicom yet
KIND = Kind(
    name="seg_labelmap",
    sop_class=LABEL_MAP_SEGMENTATION_STORAGE,
    modality="SEG",
    series_number=9002,
)

SegmentNumbers = NDArray[np.unsignedinteger[Any]]

_BACKGROUND = Code("125040", "DCM", "Background")
_RLE_HEADER_BYTES = 64  # PS3.5 G.5: number of segments, and where up to 15 of them begin


def write_seg_labelmap(segmentation: Segmentation, release: Release) -> Result:
    """Writes the labels as a label map and compares the file with them, voxel by voxel.

    Pixels are Segment Numbers, the same as in the BINARY object. Empty slices are left out.

    Raises:
        OutputError: No structure was found, a structure has no code, or the file that was
            written differs from the labels.
    """
    seg = encode_seg_labelmap(segmentation)
    name = provenance.result_name(segmentation, FILE_NAME)
    aside = release.write(name, seg.write)
    check_seg_labelmap(pydicom.dcmread(aside), segmentation)
    return Result(
        kind=KIND.name,
        path=f"{RESULTS_NAME}/{name}",
        sop_instance_uid=str(seg.header.SOPInstanceUID),
    )


def encode_seg_labelmap(segmentation: Segmentation) -> EncodedSeg:
    """Returns the label map of all structures that were found.

    Raises:
        OutputError: No structure was found, or a structure has no code.
    """
    structures = tuple(found.structure for found in segmentation.found())
    require_some(structures, segmentation)
    number_of = _segment_numbers(structures)
    used = [k for k, one in enumerate(segmentation.labels) if one.any()]
    seg = seg_header(segmentation, KIND, structures)
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

    return EncodedSeg(
        structures=structures, header=seg, large_elements=large_elements, syntax=RLELossless
    )


def check_seg_labelmap(written: Dataset, segmentation: Segmentation) -> None:
    """Compares a label map with the labels it was made from, frame by frame.

    Raises:
        OutputError: A frame differs, lies on an unknown slice, or slices are missing.
    """
    number_of = _segment_numbers(tuple(found.structure for found in segmentation.found()))
    slice_of = {one.key: k for k, one in enumerate(segmentation.volume.slices)}
    missing = {k for k, one in enumerate(segmentation.labels) if one.any()}
    for place in range(int(written.NumberOfFrames)):
        frame = pixel_array(written, index=place)
        (source,) = functional_group(written, place, "DerivationImageSequence").SourceImageSequence
        key = str(source.ReferencedSOPInstanceUID), int(source.get("ReferencedFrameNumber", 1))
        if key not in slice_of:
            raise OutputError(f"{FILE_NAME}: a frame refers to an image that is not a source")
        if not np.array_equal(frame, number_of[segmentation.labels[slice_of[key]]]):
            raise OutputError(f"{FILE_NAME}: frame {place + 1} differs from its labels")
        missing.discard(slice_of[key])
    if missing:
        raise OutputError(f"{FILE_NAME}: {len(missing)} slices with labels have no frame")


def _segment_numbers(structures: tuple[Structure, ...]) -> SegmentNumbers:
    """Returns the Segment Number of each label, in as few bytes as hold them all."""
    highest = max(one.label for one in structures)
    numbers = np.zeros(highest + 1, dtype=np.min_scalar_type(len(structures)))
    numbers[[one.label for one in structures]] = np.arange(1, len(structures) + 1)
    return numbers


def _background(first: Dataset) -> Dataset:
    """Returns segment 0: all that no segment is.

    PS3.3 C.8.20.2.3 wants an item for every pixel value that occurs, and orders no items. This one
    is the last: OHIF 3.13 takes the place of an item for its Segment Number, counted from 1, so
    that behind this one every segment would have the colour of another.
    """
    background = Dataset()
    background.SegmentNumber = 0
    background.SegmentLabel = "Background"
    background.SegmentAlgorithmType = first.SegmentAlgorithmType
    background.SegmentAlgorithmName = first.SegmentAlgorithmName
    background.SegmentedPropertyCategoryCodeSequence = [coded(_BACKGROUND)]
    background.SegmentedPropertyTypeCodeSequence = [coded(_BACKGROUND)]
    return background


def run_lengths(frame: NDArray[np.unsignedinteger[Any]]) -> bytes:
    """Returns a frame as RLE (PS3.5 G): each byte of a pixel, the highest first, row by row."""
    planes = frame.astype(frame.dtype.newbyteorder(">")).view(np.uint8)
    planes = planes.reshape(*frame.shape, frame.itemsize)
    segments = [
        _even(imagecodecs.packbits_encode(np.ascontiguousarray(planes[..., byte]), axis=-1))
        for byte in range(frame.itemsize)
    ]
    offsets = np.zeros(_RLE_HEADER_BYTES // 4, dtype="<u4")
    offsets[0] = len(segments)
    lengths = [_RLE_HEADER_BYTES, *map(len, segments)]
    offsets[1 : 1 + len(segments)] = np.cumsum(lengths[:-1])
    return offsets.tobytes() + b"".join(segments)


def _even(data: bytes | bytearray) -> bytes:
    return bytes(data) + bytes(len(data) % 2)
