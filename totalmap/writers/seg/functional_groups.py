"""Writes and reads the functional groups of the frames of a SEG (PS3.3 C.7.6.16).

A SEG has thousands of frames on a few hundred slices, so most of their items are the same bytes.
pydicom would take most of the time of a SEG to write each item, and most of the time of the
comparison to read it. Here equal items are encoded once and read once.
"""

from collections.abc import Callable, Sequence
from struct import pack
from typing import TypeVar, cast

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import DSfloat

from totalmap.dicom.slices import Slice
from totalmap.dicom.volume import Volume
from totalmap.writers.dicom.codes import code_item
from totalmap.writers.dicom.copied_attributes import (
    pixel_measures,
    plane_orientation,
    plane_position,
)
from totalmap.writers.dicom.dataset_encoding import encoded
from totalmap.writers.dicom.encoding import element, sequence

T = TypeVar("T")

_DERIVATION = Tag("DerivationImageSequence")
_SEGMENT = Tag("SegmentIdentificationSequence")
_PLANE = Tag("PlanePositionSequence")
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
        self._read: dict[tuple[Callable[[Dataset], object], bytes], object] = {}

    def __len__(self) -> int:
        """The number of frames that have groups."""
        return len(self._frames)

    def item(self, frame: int, sequence: str) -> Dataset:
        """Returns the item of a group for a frame: its own, or else the shared one.

        Args:
            frame: Index of the frame, from 0.
            sequence: Keyword of the group's sequence.
        """
        own = self._frames[frame]
        return _first(own if sequence in own else self._shared, sequence)

    def source(self, frame: int) -> tuple[str, int]:
        """Returns the source of a frame as `Slice.key`: instance and frame number, from 1.

        It stands in Derivation Image (PS3.3 C.7.6.16.2.6).
        """
        return self._read_once(frame, _DERIVATION, _source)

    def segment_number(self, frame: int) -> int:
        """Returns the Segment Number of a frame (PS3.3 C.8.20.3.2)."""
        return self._read_once(frame, _SEGMENT, _segment_number)

    def position_mm(self, frame: int) -> tuple[float, ...]:
        """Returns the position of the first pixel of a frame, mm in LPS (PS3.3 C.7.6.16.2.3)."""
        return self._read_once(frame, _PLANE, _position_mm)

    def _read_once(self, frame: int, sequence: BaseTag, read: Callable[[Dataset], T]) -> T:
        """Returns what is read of the item of a group; equal items of frames are read once.

        Args:
            frame: Index of the frame, from 0.
            sequence: Tag of the group's sequence.
            read: Reads an item.
        """
        own = self._frames[frame]
        element = own.get_item(sequence)
        if not isinstance(element, RawDataElement) or element.value is None:
            return read((own if element is not None else self._shared)[sequence].value[0])
        key = read, element.value
        if key not in self._read:
            self._read[key] = read(own[sequence].value[0])
        return cast(T, self._read[key])


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


def _source(derivation: Dataset) -> tuple[str, int]:
    (image,) = derivation.SourceImageSequence
    return str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 1))


def _segment_number(identification: Dataset) -> int:
    return int(identification.ReferencedSegmentNumber)


def _position_mm(plane: Dataset) -> tuple[float, ...]:
    return tuple(map(float, plane.ImagePositionPatient))


def _first(dataset: Dataset, sequence: str) -> Dataset:
    item: Dataset = dataset[sequence].value[0]
    return item
