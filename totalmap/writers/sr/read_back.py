"""Compares an SR that was written with the measurements, item by item."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.tag import BaseTag, Tag
from pydicom.values import convert_SQ

from totalmap.correction_history import AlgorithmType
from totalmap.display_names import in_sentence
from totalmap.errors import OutputError
from totalmap.finding import Assessment
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.structures import MeasuredStructure
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.codes import (
    LIMITATION,
    intensity_of,
    limitation_codes,
    structure_code,
)
from totalmap.writers.seg.segment_lookup import SegmentReference, segment_references
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
    VERDICT_CODES,
    finding_code,
)

_CONCEPT, _CODE = Tag("ConceptNameCodeSequence"), Tag("ConceptCodeSequence")
_UNIT = Tag("MeasurementUnitsCodeSequence")
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
class Item:
    """A content item: its concept, its value as text, and the items below it."""

    concept: str
    value: str
    below: frozenset["Item"] = frozenset()


def compare_sr(written: Dataset, segmentation: Segmentation, settings: Settings) -> None:
    """Compares a report with the measurements.

    Raises:
        OutputError: The group of a structure is missing or differs, the evaluation of the quality
            differs, or the evidence lacks the source or the SEG.
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
    segments = segment_references(segmentation, settings)
    for group, measured in zip(groups, found, strict=True):
        segment = segments.get(measured.structure)
        expected = _structure(segmentation, settings, measured, segment)
        if segmentation.algorithm_type(measured.structure) is not AlgorithmType.MANUAL:
            expected |= _algorithm(segmentation)
        if _below(group) != expected:
            name = in_sentence(measured.structure.name)
            raise OutputError(f"the SR differs from the measurements of the {name}")
    if segmentation.assessment is not None and not _has_findings(written, segmentation.assessment):
        raise OutputError("the SR differs from the findings about the quality of the result")
    if set(_evidence(written)) != _sources(segmentation, segments.values()):
        raise OutputError("the evidence of the SR is not its source and its SEG")


def _has_findings(written: Dataset, assessment: Assessment) -> bool:
    """Returns whether a report has the verdict and each finding, in their order."""
    expected = [(_text(VERDICT), _text(VERDICT_CODES[assessment.verdict]))]
    for finding in assessment.findings:
        expected.append((_text(REASON), _text(finding_code(finding))))
        expected.append((_text(COMMENT), finding.sentence))
    present = [
        (_coded(item, _CONCEPT), _value(item))
        for container in _items(written, _text(EVALUATIONS))
        for item in container.ContentSequence
    ]
    return present == expected


def _structure(
    segmentation: Segmentation,
    settings: Settings,
    found: MeasuredStructure,
    segment: SegmentReference | None,
) -> frozenset[Item]:
    """Returns the expected items of a structure."""
    name = found.structure.name
    code = structure_code(name)
    site, side = site_of(code)
    sides = frozenset() if side is None else frozenset([Item(_LATERALITY, _text(side))])
    return frozenset(
        [
            Item(_TRACKING_ID, name),
            Item(_TRACKING_UID, identifiers.tracking_uid(segmentation, settings, name)),
            Item(_FINDING_CATEGORY, _text(code.category)),
            Item(_FINDING, _text(code.type)),
            Item(_FINDING_SITE, _text(site), sides),
            *(Item(_text(LIMITATION), _text(code)) for code in limitation_codes(found)),
            *_measurements(segmentation, found),
            *_segment(segmentation, segment),
        ]
    )


def _measurements(segmentation: Segmentation, found: MeasuredStructure) -> Iterator[Item]:
    method = frozenset([Item(_METHOD, _text(SUM_OF_VOXELS))])
    yield Item(_text(VOLUME), f"{found.volume_ml} {_text(MILLILITRE)}", method)
    intensity = intensity_of(segmentation.volume)
    if intensity is not None:
        for derivation, value in ((MEAN, found.mean), (STANDARD_DEVIATION, found.sd)):
            derived = frozenset([Item(_DERIVATION, _text(derivation))])
            yield Item(_text(intensity.name), f"{value} {_text(intensity.unit)}", derived)


def _segment(segmentation: Segmentation, segment: SegmentReference | None) -> Iterator[Item]:
    if segment is not None:
        yield Item(_REFERENCED_SEGMENT, f"{segment.instance_uid} {segment.segment_number}")
        yield Item(_SOURCE_SERIES, segmentation.volume.series_instance_uid)


def _algorithm(segmentation: Segmentation) -> frozenset[Item]:
    return frozenset(
        [
            Item(_ALGORITHM_NAME, identifiers.algorithm_name(segmentation)),
            Item(_ALGORITHM_VERSION, identifiers.software_versions()),
            Item(_ALGORITHM_PARAMETERS, identifiers.algorithm_parameters(segmentation)),
        ]
    )


def _sources(segmentation: Segmentation, segments: Iterable[SegmentReference]) -> set[str]:
    """Returns the UIDs of the instances that the evidence has to list."""
    segs = {segment.instance_uid for segment in segments}
    return segs | {slice_.instance.sop_instance_uid for slice_ in segmentation.volume.slices}


def _evidence(report: Dataset) -> Iterator[str]:
    for study in report.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            for instance in series.ReferencedSOPSequence:
                yield str(instance.ReferencedSOPInstanceUID)


def _items(parent: Dataset, concept: str) -> Iterator[Dataset]:
    """Yields the items with a concept directly below another item."""
    for item in parent.ContentSequence:
        if _coded(item, _CONCEPT) == concept:
            yield item


def _below(parent: Dataset) -> frozenset[Item]:
    return frozenset(
        Item(_coded(item, _CONCEPT), _value(item), _below(item))
        for item in parent.get("ContentSequence", ())
    )


def _value(item: Dataset) -> str:
    """Returns the value of a content item (PS3.3 C.17.3, C.18)."""
    match item.ValueType:
        case "TEXT":
            return str(item.TextValue)
        case "UIDREF":
            return str(item.UID)
        case "CODE":
            return _coded(item, _CODE)
        case "NUM":
            (measured,) = item.MeasuredValueSequence
            return f"{float(measured.NumericValue)} {_coded(measured, _UNIT)}"
        case "IMAGE":
            (referenced,) = item.ReferencedSOPSequence
            uid, number = referenced.ReferencedSOPInstanceUID, referenced.ReferencedSegmentNumber
            return f"{uid} {number}"
    raise OutputError(f"the SR holds an item of type {item.ValueType}, which we never write")


def _coded(item: Dataset, sequence: BaseTag) -> str:
    """Returns value and scheme of the code in a sequence of an item.

    Each structure has the same concepts and units, so equal sequences are read once.
    """
    element: object = item.get_item(sequence)
    if isinstance(element, RawDataElement) and element.value is not None:
        return _code_in(element.value, element.is_implicit_VR, element.is_little_endian)
    return _code(item[sequence].value[0])


@lru_cache(maxsize=1024)
def _code_in(items: bytes, is_implicit_vr: bool, is_little_endian: bool) -> str:
    return _code(convert_SQ(items, is_implicit_vr, is_little_endian)[0])


def _code(item: Dataset) -> str:
    return f"{item.CodeValue} {item.CodingSchemeDesignator}"


def _text(code: Code) -> str:
    return f"{code.value} {code.scheme_designator}"
