"""Reads the functional groups of the frames of a multi-frame object that we wrote."""

from pydicom.dataset import Dataset


def functional_group(dataset: Dataset, frame: int, sequence: str) -> Dataset:
    """Returns the item of a functional group that holds for a frame (PS3.3 C.7.6.16).

    What is the same in all frames may stand in the shared groups.

    Args:
        frame: The place of the frame, from 0.
        sequence: Keyword of the group's sequence.
    """
    own = dataset.PerFrameFunctionalGroupsSequence[frame]
    shared = dataset.SharedFunctionalGroupsSequence[0]
    item: Dataset = (own if sequence in own else shared)[sequence].value[0]
    return item
