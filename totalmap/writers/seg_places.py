"""Where a structure stands in the SEGs of the same run; other objects refer to it there."""

from dataclasses import dataclass

from pydicom.uid import UID

from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.structures import Structure
from totalmap.writers import provenance, seg, seg_labelmap
from totalmap.writers.derived import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class SegPlace:
    """A segment of a SEG."""

    sop_class: UID
    series_uid: str
    instance_uid: str
    segment_number: int


def seg_place(
    segmentation: Segmentation, settings: Settings, structure: Structure
) -> SegPlace | None:
    """Returns the segment of a structure, None where no SEG of the run has one.

    The BINARY object comes first: more readers know it.
    """
    kind = _kind(settings)
    labels = [found.structure.label for found in segmentation.found()]
    if kind is None or structure.label not in labels:
        return None
    return SegPlace(
        sop_class=kind.sop_class,
        series_uid=provenance.series_uid(segmentation, settings, kind.name),
        instance_uid=provenance.instance_uid(segmentation, settings, kind.name),
        segment_number=1 + labels.index(structure.label),
    )


def _kind(settings: Settings) -> Kind | None:
    written = settings.results.kinds
    return next((one for one in (seg.KIND, seg_labelmap.KIND) if one.name in written), None)
