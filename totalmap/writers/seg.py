"""A DICOM Segmentation (PS3.3 A.51): BINARY, one segment a structure, on the source's frames."""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    SegmentationStorage,
)

from totalmap.errors import OutputError
from totalmap.journal import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, SegTransferSyntax, Settings
from totalmap.structures import Structure
from totalmap.writers import provenance
from totalmap.writers.derived import Kind
from totalmap.writers.encoding import LONGEST_VALUE, element_header
from totalmap.writers.frames import functional_group
from totalmap.writers.placement import Sample, check_placement
from totalmap.writers.release import RESULTS_NAME, Release
from totalmap.writers.seg_frames import SegFrame, packed_pixels, seg_frames
from totalmap.writers.seg_groups import per_frame_groups
from totalmap.writers.seg_header import EncodedSeg, dimensions, require_some, seg_header

FILE_NAME = "seg.dcm"
KIND = Kind(name=ResultKind.SEG, sop_class=SegmentationStorage, modality="SEG")

_SYNTAXES: Mapping[SegTransferSyntax, UID] = {
    SegTransferSyntax.NATIVE: ExplicitVRLittleEndian,
    SegTransferSyntax.DEFLATED: DeflatedExplicitVRLittleEndian,
}
_PIXEL_DATA = Tag("PixelData")


def write_seg(segmentation: Segmentation, settings: Settings, release: Release) -> Result:
    """Writes the labels as a SEG and compares the file with them, voxel by voxel.

    Frame of reference, position and matrix are the source's, and every frame names the source
    instance it lies on (Derivation Image). Empty frames are left out.

    Raises:
        OutputError: No structure was found, a structure has no code, the pixel data are larger
            than DICOM allows, or the file that was written differs from the labels.
    """
    seg = encode_seg(segmentation, settings)
    name = provenance.result_name(segmentation, FILE_NAME)
    aside = release.write(name, seg.write)
    check_seg(pydicom.dcmread(aside), segmentation, seg.structures)
    uid = str(seg.header.SOPInstanceUID)
    return Result(kind=KIND.name, path=f"{RESULTS_NAME}/{name}", sop_instance_uid=uid)


def encode_seg(segmentation: Segmentation, settings: Settings) -> EncodedSeg:
    """Returns the SEG of all structures that were found.

    Raises:
        OutputError: No structure was found, a structure has no code, or the pixel data are larger
            than an element can be.
    """
    frames = seg_frames(segmentation.labels, [one.label for one in segmentation.structures])
    found = {frame.label for frame in frames}
    structures = tuple(one for one in segmentation.structures if one.label in found)
    require_some(structures, segmentation)
    length = len(frames) * segmentation.labels[0].size // 8
    if length >= LONGEST_VALUE:
        raise OutputError(
            f"the pixel data of {len(frames)} frames are {length} bytes, more than the "
            f"{LONGEST_VALUE} of a DICOM element: choose fewer structures, or a label map"
        )
    header = seg_header(segmentation, settings, KIND, structures)
    header.update(dimensions(header.SOPInstanceUID, by_segment=True))
    header.SegmentationType = "BINARY"
    header.BitsAllocated = header.BitsStored = 1
    header.HighBit = 0
    header.NumberOfFrames = len(frames)
    return EncodedSeg(
        structures=structures,
        header=header,
        large_elements=partial(_large_elements, segmentation, frames),
        syntax=_SYNTAXES[settings.results.seg_transfer_syntax],
    )


def _large_elements(
    segmentation: Segmentation, frames: list[SegFrame]
) -> Iterator[bytes | memoryview]:
    """Yields the functional groups of the frames, and their pixels, packed only now."""
    yield per_frame_groups(segmentation.volume, [(frame.k, frame.segment) for frame in frames])
    labels = segmentation.labels
    length = -(-len(frames) * labels[0].size // 8)
    odd = length % 2
    yield element_header(_PIXEL_DATA, "OB", length + odd)
    yield from packed_pixels(labels, frames)
    yield bytes(odd)


def check_seg(
    written: Dataset, segmentation: Segmentation, structures: tuple[Structure, ...]
) -> None:
    """Compares a SEG with the labels it was made from, frame by frame, and with their places.

    Raises:
        OutputError: A frame differs, lies on an unknown slice, voxels are missing, or they do
            not lie where the network put them.
    """
    slice_of = {one.key: k for k, one in enumerate(segmentation.volume.slices)}
    covered = 0
    samples: list[Sample] = []
    for number, (segment_number, source, frame) in enumerate(_frames(written)):
        if source not in slice_of:
            raise OutputError(f"{FILE_NAME}: a frame refers to an image that is not a source")
        structure = structures[segment_number - 1]
        expected = segmentation.labels[slice_of[source]] == structure.label
        if not np.array_equal(frame, expected):
            raise OutputError(f"{FILE_NAME}: a frame of {structure.name} differs from its labels")
        covered += int(np.count_nonzero(frame))
        samples += _ends(frame, number, structure.label)
    total = int(np.count_nonzero(segmentation.labels))
    if covered != total:
        raise OutputError(f"{FILE_NAME} holds {covered} voxels, the labels {total}")
    check_placement(written, samples, segmentation.inference)


def _ends(frame: NDArray[np.bool_], number: int, label: int) -> list[Sample]:
    """Returns a pixel at each of the four ends of what is labelled in a frame."""
    rows, columns = np.flatnonzero(frame.any(axis=1)), np.flatnonzero(frame.any(axis=0))
    if not rows.size:
        return []
    places = [(row, frame[row].argmax()) for row in (rows[0], rows[-1])]
    places += [(frame[:, column].argmax(), column) for column in (columns[0], columns[-1])]
    return [
        Sample(label=label, frame=number, row=int(row), column=int(column))
        for row, column in places
    ]


def _frames(seg: Dataset) -> Iterator[tuple[int, tuple[str, int], NDArray[np.bool_]]]:
    """Yields segment number, key of the source slice and (rows, columns) of each frame.

    Frames of BINARY pixel data follow each other without padding, first pixel in the lowest
    bit (PS3.5 8.1.1), so a frame may begin in the middle of a byte.
    """
    shape = (int(seg.Rows), int(seg.Columns))
    size = shape[0] * shape[1]
    packed = np.frombuffer(seg.PixelData, dtype=np.uint8)
    for number in range(len(seg.PerFrameFunctionalGroupsSequence)):
        first = number * size
        chunk = packed[first // 8 : -(-(first + size) // 8)]
        bits = np.unpackbits(chunk, bitorder="little")[first % 8 : first % 8 + size]
        (source,) = functional_group(seg, number, "DerivationImageSequence").SourceImageSequence
        key = str(source.ReferencedSOPInstanceUID), int(source.get("ReferencedFrameNumber", 1))
        segment = functional_group(seg, number, "SegmentIdentificationSequence")
        yield int(segment.ReferencedSegmentNumber), key, bits.astype(bool).reshape(shape)
