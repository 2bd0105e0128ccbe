"""The functional groups of a SEG's frames (PS3.3 C.7.6.16), encoded once a slice.

Frames of one slice differ in two numbers alone. To have pydicom write some thousand items anew is
most of the time that a SEG takes; here the two numbers are put into bytes that it wrote once.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.tag import Tag

from totalmap.dicom.stacks import Slice
from totalmap.dicom.volume import Volume
from totalmap.writers.coded import coded
from totalmap.writers.encoding import element_header, encoded, item
from totalmap.writers.seg_frames import SegFrame
from totalmap.writers.source_headers import pixel_measures, plane_orientation, plane_position

_PER_FRAME = Tag("PerFrameFunctionalGroupsSequence")

# CID 7203 Image Derivation; CID 7202 Source Image Purposes of Reference.
_SEGMENTATION = Code("113076", "DCM", "Segmentation")
_SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")

_INDEX = struct.Struct("<LL")
_NUMBER = struct.Struct("<H")
# Numbers that stand nowhere else, to be found again in the encoded item.
_SOME_INDEX = (0xA5C3E1F7, 0xB6D4F2E8)
_SOME_NUMBER = 0xC7E5


def shared_groups(volume: Volume) -> Dataset:
    """Returns the groups that hold for all frames: how large pixels are, how slices lie."""
    shared = Dataset()
    shared.PixelMeasuresSequence = [pixel_measures(volume)]
    shared.PlaneOrientationSequence = [plane_orientation(volume)]
    return shared


def per_frame_groups(volume: Volume, frames: Sequence[SegFrame]) -> bytes:
    """Returns the whole element Per-Frame Functional Groups Sequence.

    Dimension index values are the Segment Number and the place of the slice among those that hold
    any frame, from 1, in the order of the stack.
    """
    used = sorted({frame.k for frame in frames})
    place = {k: number for number, k in enumerate(used, start=1)}
    templates = {k: _Template.of(volume.slices[k]) for k in used}
    items = b"".join(templates[frame.k].filled(frame.segment, place[frame.k]) for frame in frames)
    return element_header(_PER_FRAME, "SQ", len(items)) + items


@dataclass(frozen=True, slots=True)
class _Template:
    """The item of a slice, cut at its dimension index and its segment number."""

    before: bytes
    between: bytes
    after: bytes

    @classmethod
    def of(cls, one: Slice) -> "_Template":
        groups = source_groups(one, _SOME_INDEX)
        segment = Dataset()
        segment.ReferencedSegmentNumber = _SOME_NUMBER
        groups.SegmentIdentificationSequence = [segment]
        whole = item(encoded(groups))
        before, rest = whole.split(_INDEX.pack(*_SOME_INDEX))
        between, after = rest.split(_NUMBER.pack(_SOME_NUMBER))
        return cls(before, between, after)

    def filled(self, segment: int, place: int) -> bytes:
        index, number = _INDEX.pack(segment, place), _NUMBER.pack(segment)
        return self.before + index + self.between + number + self.after


def source_groups(one: Slice, index: Sequence[int]) -> Dataset:
    """Returns the groups of a frame that lies on a slice, but for the segment.

    Args:
        index: Dimension Index Values.
    """
    groups = Dataset()
    groups.DerivationImageSequence = [_derivation(one)]
    content = Dataset()
    content.DimensionIndexValues = list(index)
    groups.FrameContentSequence = [content]
    groups.PlanePositionSequence = [plane_position(one)]
    return groups


def _derivation(one: Slice) -> Dataset:
    source = Dataset()
    source.ReferencedSOPClassUID = one.instance.sop_class_uid
    source.ReferencedSOPInstanceUID = one.instance.sop_instance_uid
    if len(one.instance.frames) > 1:
        source.ReferencedFrameNumber = one.frame.number
    source.PurposeOfReferenceCodeSequence = [coded(_SOURCE_IMAGE)]
    derivation = Dataset()
    derivation.SourceImageSequence = [source]
    derivation.DerivationCodeSequence = [coded(_SEGMENTATION)]
    return derivation
