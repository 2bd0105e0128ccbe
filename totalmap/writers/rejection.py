"""A note that results are rejected: a Key Object Selection, on which archives hide them (IHE IOCM).

PS3.3 A.35.4, PS3.16 TID 2010 and CID 7011: (113001, DCM, "Rejected for Quality Reasons").
"""

from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

import pydicom
from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from totalmap.dicom.identity import derived_uid
from totalmap.errors import OutputError
from totalmap.finding import REJECTION_NOTE, Finding, Severity
from totalmap.journal import Result
from totalmap.origin import MANUFACTURER
from totalmap.settings import Settings
from totalmap.writers.encoding import write_parts
from totalmap.writers.release import RESULTS_NAME, Release

FILE_NAME = "rejection.dcm"
# What the source has, and the other results had from it.
_FROM_RESULT = (
    "ContentDate",
    "ContentTime",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "ContributingEquipmentSequence",
)
# Clocks of this run: two runs write the same bytes.
_CLOCKS = ("InstanceCreationDate", "InstanceCreationTime")


def write_rejection(
    results: Sequence[Result], findings: Sequence[Finding], settings: Settings, release: Release
) -> tuple[Result, ...]:
    """Writes the note about all DICOM results of a run, which are written aside already.

    Returns:
        One result, or none where no result is a DICOM object.

    Raises:
        OutputError: What was written differs from what was meant.
    """
    rejected = [
        pydicom.dcmread(release.aside(_name(one)), stop_before_pixels=True)
        for one in results
        if one.sop_instance_uid
    ]
    if not rejected:
        return ()
    note = encode_rejection(rejected, findings, settings)
    write = partial(write_parts, dataset=note, parts=(), syntax=ExplicitVRLittleEndian)
    written = pydicom.dcmread(release.write(FILE_NAME, write))
    if _referenced(written) != {str(one.SOPInstanceUID) for one in rejected}:
        raise OutputError("the note of the rejection does not name all results")
    uid = str(note.SOPInstanceUID)
    return (Result(kind=REJECTION_NOTE, path=f"{RESULTS_NAME}/{FILE_NAME}", sop_instance_uid=uid),)


def encode_rejection(
    rejected: Sequence[Dataset], findings: Sequence[Finding], settings: Settings
) -> Dataset:
    """Returns the note about some objects of one study, with the reasons in words."""
    uids = [str(one.SOPInstanceUID) for one in rejected]
    reasons = [one.sentence for one in findings if one.severity is Severity.REJECT]
    note: Dataset = KeyObjectSelectionDocument(
        evidence=rejected,
        content=KeyObjectSelection(
            document_title=codes.DCM.RejectedForQualityReasons,
            referenced_objects=rejected,
            description=" ".join(reasons),
        ),
        series_instance_uid=derived_uid("series", REJECTION_NOTE, *uids),
        series_number=settings.results.series_numbers.rejection,
        sop_instance_uid=derived_uid("instance", REJECTION_NOTE, *uids),
        instance_number=1,
        manufacturer=MANUFACTURER,
    )
    note.SeriesDescription = "TotalMAP rejected for quality reasons"
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
