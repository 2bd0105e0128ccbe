"""Writes the measurements as a Comprehensive 3D SR (PS3.3 A.35.13) of TID 1500."""

from collections.abc import Iterable
from functools import partial

import pydicom
from highdicom.sr import (
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    ObservationContext,
    ObserverContext,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian

from totalmap.origin_in_dicom import MANUFACTURER
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, Settings
from totalmap.structures import MeasuredStructure
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release
from totalmap.writers.dicom import identifiers
from totalmap.writers.dicom.character_sets import use_utf8_if_needed
from totalmap.writers.dicom.codes import limitation_codes, private_scheme, structure_code
from totalmap.writers.dicom.content_items import (
    Relationship,
    code_content,
    container,
    person_observer,
    separate_containers,
)
from totalmap.writers.dicom.header import (
    ObjectKind,
    derived_header,
    reference,
    references_to,
    series_reference,
)
from totalmap.writers.dicom.plain_text import person_name
from totalmap.writers.dicom.write_file_in_parts import write_parts
from totalmap.writers.seg.segment_lookup import SegmentReference, segment_references
from totalmap.writers.sr.measurement_groups import measurement_group
from totalmap.writers.sr.quality_evaluations import evaluations
from totalmap.writers.sr.read_back import compare_sr

FILE_NAME = "sr.dcm"
KIND = ObjectKind(
    name=ResultKind.SR, sop_class=Comprehensive3DSRStorage, modality="SR", title="measurements"
)

# Concepts of TID 1500, CID 7021 and CID 5000.
_TITLE = Code("126000", "DCM", "Imaging Measurement Report")
_LANGUAGE = Code("en-US", "RFC5646", "English (United States)")
_PROCEDURE_REPORTED = Code("121058", "DCM", "Procedure reported")
_IMAGING_MEASUREMENTS = Code("126010", "DCM", "Imaging Measurements")
_DEVICE = Code("121007", "DCM", "Device")  # CID 270 Observer Type
# CID 100 Quantitative Diagnostic Imaging Procedures.
_PROCEDURES = {
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
}
_ANY_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")


def write_sr(
    segmentation: Segmentation, settings: Settings, release: Release
) -> tuple[Result, ...]:
    """Writes the measurements as a DICOM SR and compares the file with them.

    Returns:
        One result, or none if nothing was found: a measurement report can't be empty.

    Raises:
        OutputError: A structure has no code, or the file that was written differs from the
            measurements.
    """
    if not segmentation.found():
        return ()
    report = encode_sr(segmentation, settings)
    name = identifiers.result_name(segmentation, FILE_NAME)
    write = partial(write_parts, dataset=report, parts=(), syntax=ExplicitVRLittleEndian)
    staged = release.write(name, write)
    compare_sr(pydicom.dcmread(staged), segmentation, settings)
    uid = str(report.SOPInstanceUID)
    return (Result(kind=KIND.name, path=f"{RESULTS_NAME}/{name}", sop_instance_uid=uid),)


def encode_sr(segmentation: Segmentation, settings: Settings) -> Dataset:
    """Returns the report of the structures that were found; there must be at least one.

    Raises:
        OutputError: A structure has no code.
    """
    found = segmentation.found()
    segments = segment_references(segmentation, settings)
    report = _header(segmentation, settings)
    reviewer = _name_of_reviewer(segmentation)
    report.CurrentRequestedProcedureEvidenceSequence = [_evidence(segmentation, segments.values())]
    if segmentation.assessment is not None or any(map(_needs_private_code, found)):
        report.CodingSchemeIdentificationSequence = [private_scheme()]
    groups = [
        measurement_group(segmentation, settings, measured, segments.get(measured.structure))
        for measured in found
    ]
    procedure = _PROCEDURES.get(segmentation.volume.modality, _ANY_PROCEDURE)
    items = [
        *LanguageOfContentItemAndDescendants(_LANGUAGE),
        *(person_observer(reviewer) if reviewer else ()),
        *_device_observer(),
        code_content(_PROCEDURE_REPORTED, procedure, Relationship.CONCEPT_MODIFIER),
        container(_IMAGING_MEASUREMENTS, groups),
    ]
    if segmentation.assessment is not None:
        items.append(evaluations(segmentation.assessment))
    for item in items:
        separate_containers(item)
    report.update(container(_TITLE, items, template="1500", relationship=None))
    use_utf8_if_needed(report, reviewer)
    return report


def _needs_private_code(found: MeasuredStructure) -> bool:
    return structure_code(found.structure.name).is_private or bool(limitation_codes(found))


def _header(segmentation: Segmentation, settings: Settings) -> Dataset:
    """Returns a report without content (PS3.3 C.17.1, C.17.2).

    It is complete, since nothing is missing, and preliminary, since a physician's report follows.
    """
    header = derived_header(segmentation, settings, KIND)
    # The IOD of a report has no frame of reference, as it has no image.
    del header.FrameOfReferenceUID
    del header.PositionReferenceIndicator
    header.CompletionFlag = "COMPLETE"
    header.PreliminaryFlag = "PRELIMINARY"
    header.VerificationFlag = "UNVERIFIED"
    header.ReferencedPerformedProcedureStepSequence = []
    header.PerformedProcedureCodeSequence = []
    return header


def _evidence(segmentation: Segmentation, segments: Iterable[SegmentReference]) -> Dataset:
    """Returns the item of Current Requested Procedure Evidence Sequence (PS3.3 C.17.2).

    It lists the source and each SEG that the content refers to; all are of one study.
    """
    source = segmentation.volume.slices[0].instance
    segs = {segment.instance_uid: segment for segment in segments}
    evidence = Dataset()
    evidence.ReferencedSeriesSequence = [
        series_reference(source.series_instance_uid, references_to(segmentation.volume)),
        *(
            series_reference(seg.series_uid, [reference(seg.instance_uid, seg.sop_class)])
            for seg in segs.values()
        ),
    ]
    evidence.StudyInstanceUID = source.study_instance_uid
    return evidence


def _name_of_reviewer(segmentation: Segmentation) -> str:
    """Returns the name of the person who corrected the labels (VR PN); empty without one."""
    correction = segmentation.correction
    return person_name(correction.reviewer.name) if correction else ""


def _device_observer() -> ObservationContext:
    """Returns this version of our software as an observer (TID 1001, TID 1004)."""
    device = DeviceObserverIdentifyingAttributes(
        uid=identifiers.device_uid(),
        name=identifiers.MODEL_NAME,
        manufacturer_name=MANUFACTURER,
        model_name=f"{identifiers.MODEL_NAME} {identifiers.software_versions()}",
        serial_number=identifiers.DEVICE_SERIAL_NUMBER,
    )
    return ObservationContext(ObserverContext(_DEVICE, device))
