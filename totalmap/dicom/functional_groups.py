"""Reads the functional groups of the frames of a multi-frame object (PS3.3 C.7.6.16).

A SEG has thousands of frames on a few hundred slices, so most of their items are the same bytes.
pydicom would take most of the time of reading a SEG to read each item. Here equal items are read
once.
"""

from collections.abc import Callable
from typing import TypeVar, cast

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

T = TypeVar("T")

_DERIVATION = Tag("DerivationImageSequence")
_SEGMENT = Tag("SegmentIdentificationSequence")
_PLANE = Tag("PlanePositionSequence")
_SHARED = b""


class FunctionalGroups:
    """The functional groups of the frames of an object; equal items are read once."""

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
        return _first(own if sequence in own else self._shared, Tag(sequence))

    def source(self, frame: int) -> tuple[str, int]:
        """Returns the source of a frame as `Slice.key`: instance and frame number, from 1.

        It stands in Derivation Image (PS3.3 C.7.6.16.2.6).
        """
        return self.read_once(frame, _DERIVATION, _source)

    def segment_number(self, frame: int) -> int:
        """Returns the Segment Number of a frame (PS3.3 C.8.20.3.2)."""
        return self.read_once(frame, _SEGMENT, _segment_number)

    def position_mm(self, frame: int) -> tuple[float, ...]:
        """Returns the position of the first pixel of a frame, mm in LPS (PS3.3 C.7.6.16.2.3)."""
        return self.read_once(frame, _PLANE, _position_mm)

    def read_once(self, frame: int, sequence: BaseTag, read: Callable[[Dataset], T]) -> T:
        """Returns what is read of the item of a group; equal items of frames are read once.

        Args:
            frame: Index of the frame, from 0.
            sequence: Tag of the group's sequence.
            read: Reads an item; the same function for the same group.

        Raises:
            KeyError: The frame has no such group.
        """
        own = self._frames[frame]
        element = own.get_item(sequence)
        if element is None:
            return self._known(_SHARED, self._shared, sequence, read)
        if isinstance(element, RawDataElement) and element.value:
            return self._known(element.value, own, sequence, read)
        return read(_first(own, sequence))

    def _known(
        self, content: bytes, groups: Dataset, sequence: BaseTag, read: Callable[[Dataset], T]
    ) -> T:
        key = read, content
        if key not in self._read:
            self._read[key] = read(_first(groups, sequence))
        return cast(T, self._read[key])


def _source(derivation: Dataset) -> tuple[str, int]:
    (image,) = derivation.SourceImageSequence
    return str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 1))


def _segment_number(identification: Dataset) -> int:
    return int(identification.ReferencedSegmentNumber)


def _position_mm(plane: Dataset) -> tuple[float, ...]:
    return tuple(map(float, plane.ImagePositionPatient))


def _first(groups: Dataset, sequence: BaseTag) -> Dataset:
    item: Dataset = groups[sequence].value[0]
    return item
