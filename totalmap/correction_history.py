"""Defines what is known of labels that a person has corrected: which result, and what was changed.

Contributing Equipment Sequence (PS3.3 C.12.1) of every corrected object has a text for each
correction, the latest first (`totalmap.origin_in_dicom`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from totalmap.reviewer import Reviewer
from totalmap.structures import Structure

_TEXT = re.compile(
    r"TotalMAP; corrected by a person: labels (?P<touched>[0-9,-]+) of "
    r"(?P<predecessors>[0-9., ]+); SHA-256 of the labels (?P<labels>[0-9a-f]{64})"
)


class AlgorithmType(StrEnum):
    """Who made a segment: Segment Algorithm Type (PS3.3 C.8.20.2)."""

    AUTOMATIC = "AUTOMATIC"
    SEMIAUTOMATIC = "SEMIAUTOMATIC"
    MANUAL = "MANUAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRecord:
    """A correction, as every corrected object states it.

    Attributes:
        predecessors: SOP Instance UIDs of the SEGs that were corrected.
        labels_sha256: SHA-256 of the corrected labels (k, j, i) on the grid of the source, without
            those of structures that the object does not hold.
        touched: Labels of the structures that have changed voxels, as `1-3,5`.
    """

    predecessors: tuple[str, ...]
    labels_sha256: str
    touched: str

    def text(self) -> str:
        """Returns the record as a text, which `read` understands."""
        return (
            f"TotalMAP; corrected by a person: labels {self.touched} of "
            f"{', '.join(self.predecessors)}; SHA-256 of the labels {self.labels_sha256}"
        )

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Returns the record from its text; None: it is another text."""
        found = _TEXT.fullmatch(text)
        if found is None:
            return None
        return cls(
            predecessors=tuple(found["predecessors"].split(", ")),
            labels_sha256=found["labels"],
            touched=found["touched"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SegReference:
    """A SEG object."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonsCorrection:
    """The correction that made the labels of a segmentation.

    Attributes:
        reviewer: The person.
        predecessors: The SEGs that were corrected.
        touched: The structures that have changed voxels, by label.
        algorithm_types: Who made each structure, by name; AUTOMATIC if it is not named.
        tracking_uids: The Tracking UIDs of the predecessor, by the name of the structure.
        version: Version of TotalMAP that ran the networks.
        settings_sha256: `Settings.fingerprint` of that run.
        earlier: The corrections of the predecessor, the latest first.
    """

    reviewer: Reviewer
    predecessors: tuple[SegReference, ...]
    touched: tuple[Structure, ...]
    algorithm_types: Mapping[str, AlgorithmType]
    tracking_uids: Mapping[str, str]
    version: str
    settings_sha256: str
    earlier: tuple[CorrectionRecord, ...] = ()

    def algorithm_type(self, structure: Structure) -> AlgorithmType:
        """Returns who made a structure."""
        return self.algorithm_types.get(structure.name, AlgorithmType.AUTOMATIC)

    def record(self, labels_sha256: str) -> CorrectionRecord:
        """Returns the record for an object with labels of a SHA-256."""
        return CorrectionRecord(
            predecessors=tuple(seg.sop_instance_uid for seg in self.predecessors),
            labels_sha256=labels_sha256,
            touched=label_ranges(structure.label for structure in self.touched),
        )

    @property
    def uid_parts(self) -> tuple[str, ...]:
        """What distinguishes its objects from those of other corrections, besides the labels."""
        predecessors = (seg.sop_instance_uid for seg in self.predecessors)
        return ("corrected", self.reviewer.uid_key, *predecessors)


def label_ranges(labels: Iterable[int]) -> str:
    """Returns labels as a text of runs of consecutive ones, such as `1-3,5`."""
    return ",".join(_ranges(labels))


def labels_in(ranges: str) -> frozenset[int]:
    """Returns the labels of a text of `label_ranges`."""
    ends = [part.partition("-") for part in ranges.split(",") if part]
    return frozenset(
        label for first, _, last in ends for label in range(int(first), int(last or first) + 1)
    )


def _ranges(labels: Iterable[int]) -> Iterator[str]:
    rest = sorted(set(labels))
    while rest:
        length = next((n for n, label in enumerate(rest) if label != rest[0] + n), len(rest))
        first, last = rest[0], rest[length - 1]
        yield str(first) if first == last else f"{first}-{last}"
        rest = rest[length:]
