"""Reads a correction of our result from SEGs of another tool, or from labels that were edited.

A segment that is missing was not touched; one without pixels was deleted. A voxel that a person
gave to a structure belongs to it, whatever it was before; one that was taken away is background.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from totalmap.corrections.label_changes import StructureChange, count_changes
from totalmap.corrections.match_structures import match_structure
from totalmap.corrections.predecessor import Predecessor, read_predecessor
from totalmap.dicom.functional_groups import FunctionalGroups
from totalmap.dicom.patient_comparison import Patient, disagreements, read_patient
from totalmap.dicom.study import Series, Study
from totalmap.errors import InputError, NothingCorrected
from totalmap.existing_seg import errors_naming_seg, read_segs, referenced_series
from totalmap.measure.label_statistics import Labels
from totalmap.seg_frames import ExistingSeg, placed_frames
from totalmap.structures import Structure


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignSegment:
    """A segment that is no structure of the result: number of its SEG, from 1, and its own."""

    seg: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Correction:
    """A correction of the labels of a result.

    Attributes:
        predecessor: The SEGs before the correction.
        labels: (k, j, i) corrected labels on the grid of the source.
        changes: The change of each structure that has changed voxels, by label.
        labels_sha256: SHA-256 of the corrected labels.
        not_taken: Segments that are no structures of the result, such as a tumour.
    """

    predecessor: Predecessor
    labels: Labels
    changes: tuple[StructureChange, ...]
    labels_sha256: str
    not_taken: tuple[ForeignSegment, ...] = ()

    @property
    def touched(self) -> tuple[Structure, ...]:
        """The structures that have changed voxels, by label."""
        return tuple(change.structure for change in self.changes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _MatchedSeg:
    """A SEG, and the label of the structure of each Segment Number; 0: it is none of ours."""

    seg: ExistingSeg
    labels: Labels


def read_correction(
    segs: Sequence[Path], results: Path | Sequence[Path], source: Study
) -> Correction:
    """Reads a correction of a result of ours from SEGs that came back.

    Args:
        segs: SEGs of another tool: BINARY, FRACTIONAL (above half of the largest value) or
            LABELMAP, with frames of the size of the slices or cropped.
        results: The folder of the result that was corrected, or its SEG files.
        source: The study with the images.

    Raises:
        NothingCorrected: The SEGs are those of the result, or have the same labels.
        InputError: A SEG is of another patient, study or series, lies on another grid, is damaged,
            or has no structure of the result.
    """
    arrived = read_segs(segs)
    series = [_source_series(seg, n, len(arrived), source) for n, seg in enumerate(arrived, 1)]
    predecessor = read_predecessor(results, source, frozenset().union(*series))
    if any(predecessor.source.stack.series.uid not in uids for uids in series):
        raise InputError("the corrected SEGs were drawn on several series: send one at a time")
    matched, foreign = _matched(arrived, predecessor)
    changed = [one for one in matched if not _is_own(one.seg, predecessor)]
    for one in matched:
        if one not in changed and _painted([one], predecessor) is not None:
            raise InputError(
                "a SEG has the SOP Instance UID of our result and other labels: the tool has to "
                "give it a new one"
            )
    labels = _painted(changed, predecessor)
    if labels is None:
        raise NothingCorrected("the corrected SEG changes nothing: it has the labels of the result")
    return _correction(predecessor, labels, foreign)


def correction_of(predecessor: Predecessor, labels: NDArray[np.integer]) -> Correction:
    """Returns the correction of a result by labels that were edited.

    Args:
        predecessor: The SEGs before the correction.
        labels: (k, j, i) on the grid of the source, with the labels of the task.

    Raises:
        InputError: The labels are of another size, or one is no structure of the result.
        NothingCorrected: They are the labels of the result.
    """
    if labels.shape != predecessor.labels.shape:
        raise InputError(
            f"the corrected labels have {labels.shape} voxels, the result "
            f"{predecessor.labels.shape} (slices, rows, columns)"
        )
    unknown = np.setdiff1d(labels, [0, *(one.label for one in predecessor.structures)])
    if unknown.size:
        raise InputError(f"the corrected label {unknown[0]} is no structure of the result")
    edited = cast(Labels, np.ascontiguousarray(labels, dtype=predecessor.labels.dtype))
    if np.array_equal(edited, predecessor.labels):
        raise NothingCorrected("the corrected labels change nothing: they are those of the result")
    return _correction(predecessor, edited, ())


def _correction(
    predecessor: Predecessor, labels: Labels, foreign: tuple[ForeignSegment, ...]
) -> Correction:
    changes = count_changes(
        predecessor.labels,
        labels,
        predecessor.structures,
        predecessor.geometry.voxel_volumes_ml,
    )
    return Correction(
        predecessor=predecessor,
        labels=labels,
        changes=changes,
        labels_sha256=hashlib.sha256(np.ascontiguousarray(labels).data).hexdigest(),
        not_taken=foreign,
    )


def _source_series(seg: ExistingSeg, number: int, of: int, source: Study) -> Collection[str]:
    """Returns the UIDs of the series that a SEG was drawn on.

    Raises:
        InputError: It is of another patient or study, or names no series.
    """
    with errors_naming_seg(number, of):
        patient = read_patient(seg.header)
        wrong = [disagreements([patient, other]) for other in _patients(source)]
        if all(wrong):
            raise InputError(f"it is of another patient: {', '.join(wrong[0])} differs")
        studies = {series.study_instance_uid for series in source.series}
        if str(seg.header.get("StudyInstanceUID")) not in studies:
            raise InputError("it is of another study than the images")
        series = referenced_series([seg.header]) or _series_of_frames(seg, source.series)
        if not series:
            raise InputError("it does not say which series it was drawn on")
        return series


def _patients(source: Study) -> list[Patient]:
    every = (instance.patient for series in source.series for instance in series.instances)
    return list(dict.fromkeys(every))


def _series_of_frames(seg: ExistingSeg, series: Sequence[Series]) -> frozenset[str]:
    """Returns the series of the images that frames name in Derivation Image."""
    series_of = {one.sop_instance_uid: each.uid for each in series for one in each.instances}
    groups = FunctionalGroups(seg.header)
    try:
        sources = {groups.source(frame)[0] for frame in range(len(groups))}
    except (KeyError, AttributeError, ValueError):
        return frozenset()
    return frozenset(series_of[uid] for uid in sources if uid in series_of)


def _matched(
    arrived: Sequence[ExistingSeg], predecessor: Predecessor
) -> tuple[list[_MatchedSeg], tuple[ForeignSegment, ...]]:
    """Returns the SEGs with the labels of their segments, and the segments that are none of ours.

    Raises:
        InputError: No segment is one of ours.
    """
    matched, foreign = [], []
    for place, seg in enumerate(arrived, start=1):
        segments = {int(item.SegmentNumber): item for item in seg.header.SegmentSequence}
        labels = np.zeros(1 + max(segments, default=0), predecessor.labels.dtype)
        for number, item in segments.items():
            if not number:  # the background of a label map
                continue
            structure = match_structure(item, predecessor.structures, predecessor.tracking_uids)
            if structure is None:
                foreign.append(ForeignSegment(seg=place, number=number))
            else:
                labels[number] = structure.label
        matched.append(_MatchedSeg(seg=seg, labels=labels))
    if not any(one.labels.any() for one in matched):
        raise InputError(
            f"none of the {len(foreign)} segments of the corrected SEG is a structure of the result"
        )
    return matched, tuple(foreign)


def _is_own(seg: ExistingSeg, predecessor: Predecessor) -> bool:
    return str(seg.header.SOPInstanceUID) in predecessor.known_uids


def _painted(segs: Sequence[_MatchedSeg], predecessor: Predecessor) -> Labels | None:
    """Returns the labels after the correction by some SEGs; None if they change nothing."""
    before, geometry = predecessor.labels, predecessor.geometry
    after, is_kept = before.copy(), np.zeros(before.shape, bool)
    is_corrected = np.zeros(1 + max(one.label for one in predecessor.structures), bool)
    for place, one in enumerate(segs, start=1):
        is_corrected[one.labels] = True
        with errors_naming_seg(place, len(segs)):
            for frame in placed_frames(one.seg, geometry):
                part = frame.k, frame.rows, frame.columns
                drawn = one.labels[frame.numbers]
                is_same = drawn == before[part]
                is_kept[part] |= is_same
                is_new = ~is_same & (drawn > 0)
                after[part][is_new] = drawn[is_new]
    is_corrected[0] = False
    for old, new, kept in zip(before, after, is_kept, strict=True):
        new[is_corrected[old] & ~kept & (new == old)] = 0
    return None if np.array_equal(before, after) else after
