"""DICOM Segmentations (PS3.3 A.51): BINARY, one segment a structure, on the source's frames."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import pydicom
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    SegmentationStorage,
)

from totalmap.errors import OutputError
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, SegTransferSyntax, Settings
from totalmap.writers.dicom import provenance
from totalmap.writers.dicom.derived import Kind
from totalmap.writers.dicom.encoding import LONGEST_VALUE, element_header
from totalmap.writers.dicom.frames import SegFrame, packed_pixels, seg_frames
from totalmap.writers.release import RESULTS_NAME, Release
from totalmap.writers.seg.functional_groups import per_frame_groups
from totalmap.writers.seg.header import EncodedSeg, dimensions, seg_header
from totalmap.writers.seg.parts import SegPart, chosen, seg_parts
from totalmap.writers.seg.read_back import check_seg

KIND = Kind(name=ResultKind.SEG, sop_class=SegmentationStorage, modality="SEG")

_SYNTAXES: Mapping[SegTransferSyntax, UID] = {
    SegTransferSyntax.NATIVE: ExplicitVRLittleEndian,
    SegTransferSyntax.DEFLATED: DeflatedExplicitVRLittleEndian,
}


def write_seg(
    segmentation: Segmentation, settings: Settings, release: Release
) -> tuple[Result, ...]:
    """Writes the labels as SEGs and compares the files with them, voxel by voxel.

    Frame of reference, position and matrix are the source's, and every frame names the source
    instance it lies on (Derivation Image). Empty frames are left out.

    Returns:
        One result, one a body system if the settings say so, or none where nothing was found.

    Raises:
        OutputError: A structure has no code, the pixel data are larger than DICOM allows, or a
            file that was written differs from the labels.
    """
    results = []
    for seg in encode_segs(segmentation, settings):
        file_name = f"seg_{seg.part.name}.dcm" if seg.part.name else "seg.dcm"
        name = provenance.result_name(segmentation, file_name)
        aside = release.write(name, seg.write)
        check_seg(pydicom.dcmread(aside), segmentation, seg.part.structures)
        uid = str(seg.header.SOPInstanceUID)
        results.append(Result(kind=KIND.name, path=f"{RESULTS_NAME}/{name}", sop_instance_uid=uid))
    return tuple(results)


def encode_segs(segmentation: Segmentation, settings: Settings) -> tuple[EncodedSeg, ...]:
    """Returns the SEGs of the structures that were found and are wanted.

    Raises:
        OutputError: A structure has no code, or the pixel data are larger than an element can be.
    """
    wanted = chosen(segmentation.structures, settings.results.seg_structures)
    frames = seg_frames(segmentation.labels)
    found = (one for one in wanted if one.label in frames)
    return tuple(
        _encode(segmentation, settings, part, frames) for part in seg_parts(found, settings.results)
    )


def _encode(
    segmentation: Segmentation,
    settings: Settings,
    part: SegPart,
    frames_of: Mapping[int, Sequence[SegFrame]],
) -> EncodedSeg:
    frames = [
        (number, frame)
        for number, structure in enumerate(part.structures, start=1)
        for frame in frames_of[structure.label]
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
    segmentation: Segmentation, frames: Sequence[tuple[int, SegFrame]]
) -> Iterator[bytes | memoryview]:
    """Yields the functional groups of the frames, and their pixels, packed only now.

    Args:
        frames: With their Segment Numbers.
    """
    yield per_frame_groups(segmentation.volume, [(frame.k, number) for number, frame in frames])
    labels = segmentation.labels
    length = -(-len(frames) * labels[0].size // 8)
    odd = length % 2
    yield element_header("PixelData", b"OB", length + odd)
    yield from packed_pixels(labels, [frame for _, frame in frames])
    yield bytes(odd)
