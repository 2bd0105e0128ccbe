"""Reads the functional groups of the frames of a multi-frame object (PS3.3 C.7.6.16).

A SEG has thousands of frames on a few hundred slices, so most of their items are the same bytes.
pydicom would take most of the time of reading a SEG to read each item. Here equal items are read
once.
"""

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag


class FunctionalGroups:
    """The functional groups of the frames of an object; equal items are read once."""

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


def _first(dataset: Dataset, sequence: str) -> Dataset:
    item: Dataset = dataset[sequence].value[0]
    return item
