"""Writes the rejection note: a Key Object Selection that makes archives hide rejected results.

IHE IOCM; PS3.3 A.35.4, PS3.16 TID 2010 and CID 7011: (113001, DCM, "Rejected for Quality Reasons")
and (113037, DCM, "Rejected for Patient Safety Reasons").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

import pydicom
from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from totalmap.dicom.derived_uids import derived_uid
from totalmap.errors import OutputError
from totalmap.finding import REJECTION_NOTE, Finding, Severity
from totalmap.origin_in_dicom import MANUFACTURER
from totalmap.run_log import Result
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release
from totalmap.writers.dicom.content_items import separate_containers
from totalmap.writers.dicom.copied_attributes import (
    institution_of,
    patient_and_study,
    referenced_requests,
)
from totalmap.writers.dicom.write_file_in_parts import write_parts

FILE_NAME = "rejection.dcm"
# Attributes that all results share; those of patient and study are copied as for every result.
_FROM_RESULT = (
    "ContentDate",
    "ContentTime",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "ContributingEquipmentSequence",
)
# Times of this run, which are removed: two runs write the same bytes.
_CLOCKS = ("InstanceCreationDate", "InstanceCreationTime")


def write_rejection(
    results: Sequence[Result], findings: Sequence[Finding], settings: Settings, release: Release
) -> tuple[Result, ...]:
    """Writes the note about all DICOM results of a run, which are in the staging folder already.

    Returns:
        One result, or none if no result is a DICOM object.

    Raises:
        OutputError: The note that was written does not name all results.
    """
    rejected = [
        pydicom.dcmread(release.staged_path(_name(result)), stop_before_pixels=True)
        for result in results
        if result.sop_instance_uid
    ]
    if not rejected:
        return ()
    reasons = [finding.sentence for finding in findings if finding.severity is Severity.REJECT]
    rejection = Rejection(title=codes.DCM.RejectedForQualityReasons, reasons=" ".join(reasons))
    note = encode_rejection(rejected, rejection, settings)
    write = partial(write_parts, dataset=note, parts=(), syntax=ExplicitVRLittleEndian)
    written = pydicom.dcmread(release.write(FILE_NAME, write))
    if _referenced(written) != {str(dataset.SOPInstanceUID) for dataset in rejected}:
        raise OutputError("the rejection note does not name all results")
    uid = str(note.SOPInstanceUID)
    return (Result(kind=REJECTION_NOTE, path=f"{RESULTS_NAME}/{FILE_NAME}", sop_instance_uid=uid),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """The reasons of a rejection.

    Attributes:
        title: A code of CID 7011.
        reasons: The reasons in words.
    """

    title: Code
    reasons: str


def encode_rejection(
    rejected: Sequence[Dataset], rejection: Rejection, settings: Settings
) -> Dataset:
    """Returns the note about objects of one study, with the reasons in words."""
    uids = [str(dataset.SOPInstanceUID) for dataset in rejected]
    # Two notes about the same objects with different titles are two objects.
    is_usual = rejection.title == codes.DCM.RejectedForQualityReasons
    kind = REJECTION_NOTE if is_usual else f"{REJECTION_NOTE} {rejection.title.value}"
    note: Dataset = KeyObjectSelectionDocument(
        evidence=rejected,
        content=KeyObjectSelection(
            document_title=rejection.title,
            referenced_objects=rejected,
            description=rejection.reasons,
        ),
        series_instance_uid=derived_uid("series", kind, *uids),
        series_number=settings.results.series_numbers.rejection,
        sop_instance_uid=derived_uid("instance", kind, *uids),
        instance_number=1,
        manufacturer=MANUFACTURER,
    )
    note.update(patient_and_study(rejected[0]))
    note.update(institution_of(rejected[0]))
    note.update(referenced_requests(rejected[0]))
    separate_containers(note)
    note.SeriesDescription = f"TotalMAP {rejection.title.meaning.lower()}"
    for keyword in _FROM_RESULT:
        note[keyword] = rejected[0][keyword]
    for keyword in _CLOCKS:
        if keyword in note:
            delattr(note, keyword)
    return note


def _name(result: Result) -> str:
    return str(PurePosixPath(result.path).relative_to(RESULTS_NAME))


def _referenced(note: Dataset) -> set[str]:
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
