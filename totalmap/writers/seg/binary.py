"""Writes BINARY Segmentations (PS3.3 A.51): one segment for each structure, on the source's frames.

Frames have one bit a pixel. A structure fills a small part of most slices, so only the rectangle
around it is packed; the rest of a frame is zeros.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    SegmentationStorage,
)

from totalmap.errors import OutputError
from totalmap.measure.label_statistics import Labels
from totalmap.measure.structure_boxes_in_slices import SliceBox
from totalmap.result_options import SegTransferSyntax
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.structures import chosen
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.header import ObjectKind
from totalmap.writers.dicom.write_file_in_parts import LONGEST_VALUE, element_header
from totalmap.writers.seg.functional_groups import per_frame_groups
from totalmap.writers.seg.header import EncodedSeg, dimensions, seg_header
from totalmap.writers.seg.read_back import compare_seg
from totalmap.writers.seg.split_by_body_system import SegPart, seg_parts

KIND = ObjectKind(name=ResultKind.SEG, sop_class=SegmentationStorage, modality="SEG")

_SYNTAXES: Mapping[SegTransferSyntax, UID] = {
    SegTransferSyntax.NATIVE: ExplicitVRLittleEndian,
    SegTransferSyntax.DEFLATED: DeflatedExplicitVRLittleEndian,
}
# A run of so many frames begins and ends at a whole byte for any size of a frame.
_FRAMES_AT_ONCE = 64
_BITS = 8


def write_seg(
    segmentation: Segmentation, settings: Settings, release: Release
) -> tuple[Result, ...]:
    """Writes the labels as SEGs and compares the files with them, voxel by voxel.

    Frame of reference, position and matrix are those of the source, and every frame names the
    source instance that it lies on (Derivation Image). Empty frames are left out.

    Returns:
        One result, one for each body system if the settings say so, or none if nothing was found.

    Raises:
        OutputError: A structure has no code, the pixel data are larger than DICOM allows, or a
            file that was written differs from the labels.
    """
    results = []
    for seg in encode_segs(segmentation, settings):
        file_name = f"seg_{seg.part.name}.dcm" if seg.part.name else "seg.dcm"
        name = identifiers.result_name(segmentation, file_name)
        staged = release.write(name, seg.write)
        compare_seg(pydicom.dcmread(staged), segmentation, seg.part.structures)
        uid = str(seg.header.SOPInstanceUID)
        results.append(Result(kind=KIND.name, path=f"{RESULTS_NAME}/{name}", sop_instance_uid=uid))
    return tuple(results)


def encode_segs(segmentation: Segmentation, settings: Settings) -> tuple[EncodedSeg, ...]:
    """Returns the SEGs of the structures that were found and are wanted by the settings.

    Raises:
        OutputError: A structure has no code, or the pixel data are larger than an element can be.
    """
    wanted = chosen(segmentation.structures, settings.results.seg_structures)
    boxes = segmentation.slice_boxes
    found = (structure for structure in wanted if structure.label in boxes)
    return tuple(
        _encode(segmentation, settings, part, boxes) for part in seg_parts(found, settings.results)
    )


def _encode(
    segmentation: Segmentation,
    settings: Settings,
    part: SegPart,
    boxes: Mapping[int, Sequence[SliceBox]],
) -> EncodedSeg:
    frames = [
        (number, box)
        for number, structure in enumerate(part.structures, start=1)
        for box in boxes[structure.label]
    ]
    length = len(frames) * segmentation.labels[0].size // 8
    if length >= LONGEST_VALUE:
        raise OutputError(
            f"the pixel data of {len(frames)} frames are {length} bytes, more than the "
            f"{LONGEST_VALUE} of a DICOM element: set results.seg_split to body_system, choose "
            "fewer results.seg_structures, or write a label map"
        )
    header = seg_header(segmentation, settings, KIND, part)
    header.update(dimensions(header.SOPInstanceUID, by_segment=True))
    header.SegmentationType = "BINARY"
    header.BitsAllocated = header.BitsStored = 1
    header.HighBit = 0
    header.NumberOfFrames = len(frames)
    return EncodedSeg(
        part=part,
        header=header,
        large_elements=partial(_large_elements, segmentation, frames),
        syntax=_SYNTAXES[settings.results.seg_transfer_syntax],
    )


def _large_elements(
    segmentation: Segmentation, frames: Sequence[tuple[int, SliceBox]]
) -> Iterator[bytes | memoryview]:
    """Yields the functional groups of the frames, and then their pixels, which are packed now.

    Args:
        segmentation: The labels.
        frames: Segment Number and box of each frame.
    """
    yield per_frame_groups(segmentation.volume, [(box.k, number) for number, box in frames])
    labels = segmentation.labels
    length = -(-len(frames) * labels[0].size // 8)
    odd = length % 2
    yield element_header("PixelData", b"OB", length + odd)
    yield from packed_pixels(labels, [box for _, box in frames])
    yield bytes(odd)


def packed_pixels(labels: Labels, boxes: Sequence[SliceBox]) -> Iterator[memoryview]:
    """Yields the pixel data of frames: one bit a pixel, the first one in the lowest bit.

    Frames follow each other without padding, so one may begin in the middle of a byte (PS3.5
    8.1.1). The last byte is filled up with zeros. Each value is valid until the next one.

    Args:
        labels: (k, j, i).
        boxes: The structure and the slice of each frame.
    """
    size = labels[0].size
    buffer = np.zeros(_FRAMES_AT_ONCE * size // _BITS, dtype=np.uint8)
    pack = _pack_columns if labels.shape[2] % _BITS == 0 else _pack_rows
    for first in range(0, len(boxes), _FRAMES_AT_ONCE):
        run = boxes[first : first + _FRAMES_AT_ONCE]
        for number, box in enumerate(run):
            pack(buffer, number * size, labels[box.k], box)
        yield buffer[: -(-len(run) * size // _BITS)].data
        buffer[:] = 0


def _pack_columns(buffer: NDArray[np.uint8], first_bit: int, labels: Labels, box: SliceBox) -> None:
    """Packs a box of an image in which every row begins at a whole byte."""
    rows, columns = box.box
    width = labels.shape[1] // _BITS
    left, right = columns.start // _BITS, -(-columns.stop // _BITS)
    mask = labels[rows, left * _BITS : right * _BITS] == box.label
    image = buffer[first_bit // _BITS :][: labels.size // _BITS].reshape(-1, width)
    image[rows, left:right] = np.packbits(mask, axis=1, bitorder="little")


def _pack_rows(buffer: NDArray[np.uint8], first_bit: int, labels: Labels, box: SliceBox) -> None:
    """Packs whole rows, which may begin in the middle of a byte."""
    rows, _ = box.box
    mask = (labels[rows] == box.label).ravel()
    byte, bit = divmod(first_bit + rows.start * labels.shape[1], _BITS)
    bits = np.zeros(bit + mask.size, dtype=np.bool_)
    bits[bit:] = mask
    packed = np.packbits(bits, bitorder="little")
    buffer[byte : byte + packed.size] |= packed
