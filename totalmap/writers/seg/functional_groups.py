"""Writes and reads the functional groups of the frames of a SEG (PS3.3 C.7.6.16).

A SEG has thousands of frames on a few hundred slices, so most of their items are the same bytes.
pydicom would take most of the time of a SEG to write each item, and most of the time of the
comparison to read it. Here equal items are encoded once and read once.
"""

from collections.abc import Sequence
from struct import pack

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.valuerep import DSfloat

from totalmap.dicom.slices import Slice
from totalmap.dicom.volume import Volume
from totalmap.writers.dicom.codes import code_item
from totalmap.writers.dicom.copied_attributes import (
    pixel_measures,
    plane_orientation,
    plane_position,
)
from totalmap.writers.dicom.encoding import element, encoded, sequence

# CID 7203 Image Derivation; CID 7202 Source Image Purposes of Reference.
_SEGMENTATION = encoded(code_item(Code("113076", "DCM", "Segmentation")))
_SOURCE_IMAGE = encoded(
    code_item(Code("121322", "DCM", "Source image for image processing operation"))
)


def shared_groups(volume: Volume) -> Dataset:
    """Returns the groups that are the same for all frames: pixel measures and orientation."""
    shared = Dataset()
    shared.PixelMeasuresSequence = [pixel_measures(volume)]
    shared.PlaneOrientationSequence = [plane_orientation(volume)]
    return shared


def per_frame_groups(volume: Volume, frames: Sequence[tuple[int, int | None]]) -> bytes:
    """Returns the whole element Per-Frame Functional Groups Sequence.

    Dimension index values are the Segment Number, if a frame has one, and the number of the slice
    among the slices that have frames, from 1, in the order of the stack.

    Args:
        volume: The source.
        frames: Index k of the slice and Segment Number of each frame; None in a label map.
    """
    used = sorted({k for k, _ in frames})
    number_of = {k: number for number, k in enumerate(used, start=1)}
    derivations = {k: _derivation(volume.slices[k]) for k in used}
    positions = {k: _position(volume.slices[k]) for k in used}
    segments = {segment for _, segment in frames if segment is not None}
    identifications = {segment: _identification(segment) for segment in segments}
    items = []
    for k, segment in frames:
        index = (number_of[k],) if segment is None else (segment, number_of[k])
        groups = derivations[k] + _content(index) + positions[k]
        items.append(groups if segment is None else groups + identifications[segment])
    return sequence("PerFrameFunctionalGroupsSequence", *items)


class FunctionalGroups:
    """The functional groups of the frames of a SEG that we wrote; equal items are read once."""

    def __init__(self, dataset: Dataset) -> None:
        self._frames = dataset.PerFrameFunctionalGroupsSequence
        self._shared = dataset.SharedFunctionalGroupsSequence[0]
        self._read: dict[tuple[str, bytes], Dataset] = {}

    def __len__(self) -> int:
        """The number of frames that have groups."""
        return len(self._frames)

    def item(self, frame: int, sequence: str) -> Dataset:
        """Returns the item of a group for a frame: its own, or else the shared one.

        Do not change the item: other frames may have the same.

        Args:
            frame: Index of the frame, from 0.
            sequence: Keyword of the group's sequence.
        """
        own = self._frames[frame]
        if sequence not in own:
            return _first(self._shared, sequence)
        element = own.get_item(Tag(sequence))
        if not isinstance(element, RawDataElement) or element.value is None:
            return _first(own, sequence)
        key = sequence, element.value
        if key not in self._read:
            self._read[key] = _first(own, sequence)
        return self._read[key]

    def source(self, frame: int) -> tuple[str, int]:
        """Returns the source of a frame as `Slice.key`: instance and frame number, from 1.

        It stands in Derivation Image (PS3.3 C.7.6.16.2.6).
        """
        (image,) = self.item(frame, "DerivationImageSequence").SourceImageSequence
        return str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 1))


def _derivation(slice_: Slice) -> bytes:
    """Returns Derivation Image (PS3.3 C.7.6.16.2.6): the image that a frame was made from."""
    source = element("ReferencedSOPClassUID", slice_.instance.sop_class_uid)
    source += element("ReferencedSOPInstanceUID", slice_.instance.sop_instance_uid)
    if len(slice_.instance.frames) > 1:
        source += element("ReferencedFrameNumber", str(slice_.frame.number))
    source += sequence("PurposeOfReferenceCodeSequence", _SOURCE_IMAGE)
    derivation = sequence("SourceImageSequence", source)
    derivation += sequence("DerivationCodeSequence", _SEGMENTATION)
    return sequence("DerivationImageSequence", derivation)


def _position(slice_: Slice) -> bytes:
    (position,) = plane_position(slice_)
    return sequence("PlanePositionSequence", element(position.keyword, _text(position.value)))


def _text(values: Sequence[DSfloat]) -> str:
    return "\\".join(map(str, values))


def _content(index: tuple[int, ...]) -> bytes:
    values = pack(f"<{len(index)}L", *index)
    return sequence("FrameContentSequence", element("DimensionIndexValues", values))


def _identification(segment: int) -> bytes:
    number = element("ReferencedSegmentNumber", pack("<H", segment))
    return sequence("SegmentIdentificationSequence", number)


def _first(dataset: Dataset, sequence: str) -> Dataset:
    item: Dataset = dataset[sequence].value[0]
    return item
