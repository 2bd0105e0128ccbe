"""Reads the SEGs of a result before their correction: labels, names, and how they were made."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from totalsegmentator.map_to_binary import class_map

from totalmap.correction_history import AlgorithmType, SegReference
from totalmap.dicom.geometry import Geometry
from totalmap.dicom.series_selection import Selection
from totalmap.dicom.study import Study
from totalmap.errors import InputError
from totalmap.existing_seg import (
    SegLabels,
    read_labels,
    read_segs,
    referenced_series,
    seg_objects,
    source_of,
    structure_name,
)
from totalmap.measure.label_statistics import Labels
from totalmap.origin_in_dicom import Origin
from totalmap.seg_frames import ExistingSeg
from totalmap.settings import GapPolicy, GeometrySection
from totalmap.structures import Structure
from totalmap.writers.all_or_nothing import REJECTED_NAME, RESULTS_NAME
from totalmap.writers.dicom.identifiers import DEMO_ALGORITHM

# The result exists, so its gaps were accepted.
GEOMETRY = GeometrySection(gaps=GapPolicy.FILL, max_gap_mm=1000.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predecessor:
    """The SEGs of a result before their correction.

    Attributes:
        source: The slices that they were made from.
        labels: (k, j, i) on the grid of the source; values are labels of the task, 0 is background.
        structures: The structures that the SEGs hold if they are found, by label.
        origin: How they were made.
        segs: The SEGs whose labels these are.
        known_uids: SOP Instance UIDs of all SEGs of the result.
        tracking_uids: Tracking UIDs by the name of the structure.
        algorithm_types: Who made each structure, by name.
        folder: Folder of the results below the results folder; empty for the folder itself.
        is_demo: Whether a demo model made them, which is not for patients.
    """

    source: Selection
    labels: Labels
    structures: tuple[Structure, ...]
    origin: Origin
    segs: tuple[SegReference, ...]
    known_uids: frozenset[str]
    tracking_uids: Mapping[str, str]
    algorithm_types: Mapping[str, AlgorithmType]
    folder: str
    is_demo: bool

    @property
    def geometry(self) -> Geometry:
        """The grid of the labels."""
        return self.source.audit.geometry


def read_predecessor(
    results: Path | Sequence[Path], source: Study, series: Collection[str] = ()
) -> Predecessor:
    """Reads the SEGs of a result of TotalMAP onto the grid of their source.

    If the result has SEGs of both types, the BINARY ones are read.

    Args:
        results: The folder of a result, or its SEG files.
        source: The study that it was made from.
        series: UIDs of source series: of these, one has to be that of the result; empty: of any.

    Raises:
        InputError: There is no SEG of TotalMAP of such a series, the SEGs are of several series or
            are damaged, or the source is missing.
    """
    files = [results] if isinstance(results, Path) else results
    objects = read_segs(tuple(chain.from_iterable(map(seg_objects, files))))
    segs = _of_one_kind(tuple(_of_series(objects, series)))
    origins = [seg.origin for seg in segs if seg.origin is not None]
    headers = [seg.header for seg in segs]
    selection = source_of(referenced_series(headers), source, GEOMETRY)
    found = read_labels(segs, selection.audit.geometry)
    names = class_map[origins[0].task]
    looked_for = frozenset().union(*(origin.labels or names.keys() for origin in origins))
    segments = [segment for header in headers for segment in _segments(header)]
    return Predecessor(
        source=selection,
        labels=_numbered(found, names),
        structures=tuple(
            Structure(label=n, name=names[n]) for n in sorted(looked_for & set(names))
        ),
        origin=origins[0],
        segs=tuple(map(_reference, headers)),
        known_uids=frozenset(str(seg.header.SOPInstanceUID) for seg in objects),
        tracking_uids={
            structure_name(segment): str(segment.TrackingUID)
            for segment in segments
            if "TrackingUID" in segment
        },
        algorithm_types={
            structure_name(segment): AlgorithmType(segment.SegmentAlgorithmType)
            for segment in segments
        },
        folder=_folder(segs[0].path),
        is_demo=any(segment.get("SegmentAlgorithmName") == DEMO_ALGORITHM for segment in segments),
    )


def _of_series(objects: Sequence[ExistingSeg], series: Collection[str]) -> Iterator[ExistingSeg]:
    """Yields our SEGs of one of some series.

    Raises:
        InputError: There is none, or they are of several series.
    """
    ours = [seg for seg in objects if seg.origin is not None]
    if not ours:
        raise InputError("the result before the correction has no SEG of TotalMAP")
    series_of = {id(seg): referenced_series([seg.header]) for seg in ours}
    wanted = [seg for seg in ours if not series or series_of[id(seg)] & set(series)]
    if not wanted:
        raise InputError("the corrected SEG was drawn on another series than the result")
    if len({series_of[id(seg)] for seg in wanted}) > 1:
        raise InputError(
            "the result has SEGs of several series: correct those of one series at a time"
        )
    yield from wanted


def _of_one_kind(segs: Sequence[ExistingSeg]) -> tuple[ExistingSeg, ...]:
    """Returns the BINARY SEGs if there are any: a label map beside them has the same labels."""
    binary = tuple(seg for seg in segs if seg.header.get("SegmentationType") == "BINARY")
    return binary or tuple(segs)


def _segments(header: Dataset) -> list[Dataset]:
    """Returns the segments of a SEG without the background of a label map."""
    return [segment for segment in header.SegmentSequence if int(segment.SegmentNumber) > 0]


def _numbered(found: SegLabels, names: Mapping[int, str]) -> Labels:
    """Returns labels with the numbers of a task, in the smallest possible data type."""
    number_of = {name: number for number, name in names.items()}
    unknown = found.numbers.keys() - number_of.keys()
    if unknown:
        raise InputError(
            f"the result before the correction has {len(unknown)} structures that its task does "
            "not have: this version of TotalMAP can't correct it"
        )
    table = np.zeros(1 + max(found.numbers.values(), default=0), np.min_scalar_type(max(names)))
    table[list(found.numbers.values())] = [number_of[name] for name in found.numbers]
    labels: Labels = table[found.labels]
    return labels


def _reference(header: Dataset) -> SegReference:
    return SegReference(
        sop_class_uid=str(header.SOPClassUID),
        sop_instance_uid=str(header.SOPInstanceUID),
        series_instance_uid=str(header.SeriesInstanceUID),
    )


def _folder(seg: Path) -> str:
    """Returns the folder of a SEG below the results folder, if it lies in the output of a run."""
    in_results = seg.parent.parent.name in (RESULTS_NAME, REJECTED_NAME)
    return seg.parent.name if in_results else ""
