"""Reads a report back, item by item, and compares it with what was measured."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from totalmap.errors import OutputError
from totalmap.finding import Assessment
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.structures import MeasuredStructure
from totalmap.writers.dicom import provenance
from totalmap.writers.dicom.codes import LIMITATION, limitations, structure_code
from totalmap.writers.dicom.intensity import intensity_of
from totalmap.writers.seg.segment_references import SegPlace, seg_places
from totalmap.writers.sr.measurement_groups import (
    MEAN,
    MILLILITRE,
    STANDARD_DEVIATION,
    SUM_OF_VOXELS,
    VOLUME,
    site_of,
)
from totalmap.writers.sr.quality_evaluations import (
    COMMENT,
    EVALUATIONS,
    REASON,
    VERDICT,
    VERDICTS,
    reason,
)

# Concepts of TID 1500, 1411, 1419, 4108 and 4019.
_IMAGING_MEASUREMENTS = "126010 DCM"
_MEASUREMENT_GROUP = "125007 DCM"
_TRACKING_ID, _TRACKING_UID = "112039 DCM", "112040 DCM"
_FINDING_CATEGORY, _FINDING = "276214006 SCT", "121071 DCM"
_FINDING_SITE, _LATERALITY = "363698007 SCT", "272741003 SCT"
_REFERENCED_SEGMENT, _SOURCE_SERIES = "121191 DCM", "121232 DCM"
_METHOD, _DERIVATION = "370129005 SCT", "121401 DCM"
_ALGORITHM_NAME, _ALGORITHM_VERSION = "111001 DCM", "111003 DCM"
_ALGORITHM_PARAMETERS = "111002 DCM"


@dataclass(frozen=True, slots=True)
class Said:
    """A content item: its concept, its value as text, and what is said below it."""

    concept: str
    value: str
    below: frozenset["Said"] = frozenset()


def check_sr(written: Dataset, segmentation: Segmentation, settings: Settings) -> None:
    """Compares a report with the measurements.

    Raises:
        OutputError: A structure has no group, something that is said of it differs, or the
            evidence lacks an image that the report is about.
    """
    found = segmentation.found()
    groups = [
        group
        for container in _items(written, _IMAGING_MEASUREMENTS)
        for group in _items(container, _MEASUREMENT_GROUP)
    ]
    if len(groups) != len(found):
        raise OutputError(
            f"the SR has {len(groups)} measurement groups for {len(found)} structures"
        )
    places = seg_places(segmentation, settings)
    for group, one in zip(groups, found, strict=True):
        place = places.get(one.structure)
        expected = _structure(segmentation, settings, one, place) | _algorithm(segmentation)
        if _below(group) != expected:
            raise OutputError(f"the SR differs from what was measured of {one.structure.name}")
    if segmentation.assessment is not None and not _says(written, segmentation.assessment):
        raise OutputError("the SR differs from what was found about the quality of the result")
    if set(_evidence(written)) != _sources(segmentation, places.values()):
        raise OutputError("the evidence of the SR is not its source and its SEG")


def _says(written: Dataset, assessment: Assessment) -> bool:
    """Returns whether a report has the verdict and each reason, in their order."""
    expected = [(_text(VERDICT), _text(VERDICTS[assessment.verdict]))]
    for finding in assessment.findings:
        expected += [(_text(REASON), _text(reason(finding))), (_text(COMMENT), finding.sentence)]
    said = [
        (_coded(one.ConceptNameCodeSequence[0]), _value(one))
        for container in _items(written, _text(EVALUATIONS))
        for one in container.ContentSequence
    ]
    return said == expected


def _structure(
    segmentation: Segmentation,
    settings: Settings,
    found: MeasuredStructure,
    place: SegPlace | None,
) -> frozenset[Said]:
    """Returns what has to be said of a structure."""
    name = found.structure.name
    code = structure_code(name)
    site, side = site_of(code)
    sides = frozenset() if side is None else frozenset([Said(_LATERALITY, _text(side))])
    return frozenset(
        [
            Said(_TRACKING_ID, name),
            Said(_TRACKING_UID, provenance.tracking_uid(segmentation, settings, name)),
            Said(_FINDING_CATEGORY, _text(code.category)),
            Said(_FINDING, _text(code.type)),
            Said(_FINDING_SITE, _text(site), sides),
            *(Said(_text(LIMITATION), _text(one)) for one in limitations(found)),
            *_measurements(segmentation, found),
            *_segment(segmentation, place),
        ]
    )


def _measurements(segmentation: Segmentation, found: MeasuredStructure) -> Iterator[Said]:
    method = frozenset([Said(_METHOD, _text(SUM_OF_VOXELS))])
    yield Said(_text(VOLUME), f"{found.volume_ml} {_text(MILLILITRE)}", method)
    intensity = intensity_of(segmentation.volume)
    if intensity is not None:
        for derivation, value in ((MEAN, found.mean), (STANDARD_DEVIATION, found.sd)):
            derived = frozenset([Said(_DERIVATION, _text(derivation))])
            yield Said(_text(intensity.name), f"{value} {_text(intensity.unit)}", derived)


def _segment(segmentation: Segmentation, place: SegPlace | None) -> Iterator[Said]:
    if place is not None:
        yield Said(_REFERENCED_SEGMENT, f"{place.instance_uid} {place.segment_number}")
        yield Said(_SOURCE_SERIES, segmentation.volume.series_instance_uid)


def _algorithm(segmentation: Segmentation) -> frozenset[Said]:
    return frozenset(
        [
            Said(_ALGORITHM_NAME, provenance.algorithm_name(segmentation)),
            Said(_ALGORITHM_VERSION, provenance.software_versions()),
            Said(_ALGORITHM_PARAMETERS, provenance.algorithm_parameters(segmentation)),
        ]
    )


def _sources(segmentation: Segmentation, places: Iterable[SegPlace]) -> set[str]:
    """Returns the instances that the evidence has to list."""
    segs = {place.instance_uid for place in places}
    return segs | {one.instance.sop_instance_uid for one in segmentation.volume.slices}


def _evidence(report: Dataset) -> Iterator[str]:
    for study in report.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            for instance in series.ReferencedSOPSequence:
                yield str(instance.ReferencedSOPInstanceUID)


def _items(item: Dataset, concept: str) -> Iterator[Dataset]:
    """Yields the items below one that have a concept."""
    for one in item.ContentSequence:
        if _coded(one.ConceptNameCodeSequence[0]) == concept:
            yield one


def _below(item: Dataset) -> frozenset[Said]:
    return frozenset(
        Said(_coded(one.ConceptNameCodeSequence[0]), _value(one), _below(one))
        for one in item.get("ContentSequence", ())
    )


def _value(item: Dataset) -> str:
    """Returns the value of a content item (PS3.3 C.17.3, C.18)."""
    match item.ValueType:
        case "TEXT":
            return str(item.TextValue)
        case "UIDREF":
            return str(item.UID)
        case "CODE":
            return _coded(item.ConceptCodeSequence[0])
        case "NUM":
            (measured,) = item.MeasuredValueSequence
            unit = _coded(measured.MeasurementUnitsCodeSequence[0])
            return f"{float(measured.NumericValue)} {unit}"
        case "IMAGE":
            (referenced,) = item.ReferencedSOPSequence
            uid, number = referenced.ReferencedSOPInstanceUID, referenced.ReferencedSegmentNumber
            return f"{uid} {number}"
    raise OutputError(f"the SR holds an item of type {item.ValueType}, which we never write")


def _coded(item: Dataset) -> str:
    return f"{item.CodeValue} {item.CodingSchemeDesignator}"


def _text(code: Code) -> str:
    return f"{code.value} {code.scheme_designator}"
