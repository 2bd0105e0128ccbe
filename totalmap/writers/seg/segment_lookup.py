"""Finds the segment of each structure in the SEGs of a run, for objects that refer to it."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.uid import UID

from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.structures import Structure
from totalmap.writers.dicom import identifiers
from totalmap.writers.seg import binary, labelmap
from totalmap.writers.seg.split_by_body_system import seg_parts, undivided


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentReference:
    """A segment of a SEG."""

    sop_class: UID
    series_uid: str
    instance_uid: str
    segment_number: int


def segment_references(
    segmentation: Segmentation, settings: Settings
) -> Mapping[Structure, SegmentReference]:
    """Returns the segment of each structure that has one in a SEG of the run.

    If both kinds of SEG are written, it is the segment of the BINARY one: more readers know it.

    Raises:
        OutputError: A structure has no code.
    """
    results = settings.results
    if ResultKind.SEG in results.kinds:
        kind = binary.KIND
    elif ResultKind.SEG_LABELMAP in results.kinds:
        kind, results = labelmap.KIND, undivided(results)
    else:
        return {}
    references: dict[Structure, SegmentReference] = {}
    for part in seg_parts((found.structure for found in segmentation.found()), results):
        series_uid = identifiers.series_uid(segmentation, settings, kind.name, part.name)
        instance_uid = identifiers.instance_uid(segmentation, settings, kind.name, part.name)
        for number, structure in enumerate(part.structures, start=1):
            references[structure] = SegmentReference(
                sop_class=kind.sop_class,
                series_uid=series_uid,
                instance_uid=instance_uid,
                segment_number=number,
            )
    return references
