"""Writes the rejection note: a Key Object Selection that makes archives hide rejected results.

IHE IOCM; PS3.3 A.35.4, PS3.16 TID 2010 and CID 7011: (113001, DCM, "Rejected for Quality Reasons")
and (113037, DCM, "Rejected for Patient Safety Reasons").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pydicom
from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage

from totalmap.dicom.derived_uids import derived_uid
from totalmap.errors import ConfigError, OutputError
from totalmap.finding import REJECTION_NOTE, Finding, Severity, Verdict
from totalmap.origin_in_dicom import MANUFACTURER
from totalmap.result_options import Rejected
from totalmap.reviewer import Reviewer
from totalmap.run_log import Result, RunLog
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import RESULTS_NAME, Release, held_path
from totalmap.writers.atomic_file import write_atomically
from totalmap.writers.dicom.character_sets import use_utf8_if_needed
from totalmap.writers.dicom.content_items import person_observer, separate_containers
from totalmap.writers.dicom.copied_attributes import (
    institution_of,
    patient_and_study,
    referenced_requests,
)
from totalmap.writers.dicom.moments import moment_in
from totalmap.writers.dicom.plain_text import lines_of_text, person_name
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
# Titles of rejections: for reasons of quality and of safety, wrong worklist entry, end of storage.
_TITLES = frozenset(("113001", "113037", "113038", "113039"))
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
    _read_back(release.write(FILE_NAME, _writer(note)), note)
    uid = str(note.SOPInstanceUID)
    return (Result(kind=REJECTION_NOTE, path=f"{RESULTS_NAME}/{FILE_NAME}", sop_instance_uid=uid),)


def settle_verdict(run_log: RunLog, settings: Settings, release: Release) -> None:
    """Holds results back that quality control rejects, or adds the note of their rejection.

    Raises:
        OutputError: The note that was written does not name all results.
    """
    if run_log.verdict is not Verdict.REJECT:
        return
    if settings.quality.rejected is Rejected.HOLD:
        run_log.hold_back(held_path)
    else:
        run_log.wrote(*write_rejection(run_log.results, run_log.findings, settings, release))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """The reasons of a rejection.

    Attributes:
        title: A code of CID 7011.
        reasons: The reasons in words; may be empty.
        reviewer: The person who rejects the results; None: quality control, or the gateway.
    """

    title: Code
    reasons: str
    reviewer: Reviewer | None = None

    @property
    def uid_parts(self) -> tuple[str, ...]:
        """Parts of UIDs that make two notes about the same objects two objects."""
        if self.reviewer is not None:
            return (REJECTION_NOTE, self.title.value, "by a person", self.reviewer.uid_key)
        is_usual = self.title == codes.DCM.RejectedForQualityReasons
        return (REJECTION_NOTE if is_usual else f"{REJECTION_NOTE} {self.title.value}",)


def rejection_by(reviewer: Reviewer) -> Rejection:
    """Returns the rejection of results by a person, for reasons of quality."""
    reasons = lines_of_text(reviewer.reason)
    title = codes.DCM.RejectedForQualityReasons
    return Rejection(title=title, reasons=reasons, reviewer=reviewer)


def encode_rejection(
    rejected: Sequence[Dataset], rejection: Rejection, settings: Settings
) -> Dataset:
    """Returns the note about objects of one study, with the reasons in words.

    A note of a person names this person as the observer, and has the time of the decision. Other
    notes have the date and time of the results.

    Raises:
        OutputError: There is no object, or a text of the first one can't be decoded.
        ConfigError: The name of the person is empty.
    """
    if not rejected:
        raise OutputError("there is no DICOM result to reject")
    uids = [*rejection.uid_parts, *(str(dataset.SOPInstanceUID) for dataset in rejected)]
    note: Dataset = KeyObjectSelectionDocument(
        evidence=rejected,
        content=KeyObjectSelection(
            document_title=rejection.title,
            referenced_objects=rejected,
            description=rejection.reasons or None,
        ),
        series_instance_uid=derived_uid("series", *uids),
        series_number=settings.results.series_numbers.rejection,
        sop_instance_uid=derived_uid("instance", *uids),
        instance_number=1,
        manufacturer=MANUFACTURER,
        # highdicom refuses an empty first one. It is that of the results, as all of the patient is.
        specific_character_set=None,
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
    use_utf8_if_needed(note, rejection.reasons)
    if rejection.reviewer is not None:
        _add_reviewer(note, rejection.reviewer)
    return note


def write_note(note: Dataset, target: Path) -> None:
    """Writes a note to a file of its own, and reads it back.

    Raises:
        OutputError: The file does not name all objects.
        ConfigError: The folder can't be written.
        ResourceError: The disk is full.
    """
    write_atomically(target, _writer(note), partial(_read_back, note=note))


def is_rejection_note(dataset: Dataset) -> bool:
    """Returns whether an object is a rejection note, of us or of others."""
    if dataset.SOPClassUID != KeyObjectSelectionDocumentStorage:
        return False
    return any(title.get("CodeValue") in _TITLES for title in dataset.ConceptNameCodeSequence)


def _add_reviewer(note: Dataset, reviewer: Reviewer) -> None:
    name = person_name(reviewer.name)
    if not name:
        raise ConfigError("the note of a rejection needs the name of the reviewer")
    use_utf8_if_needed(note, name)
    # Observers come first in TID 2010.
    note.ContentSequence = [*person_observer(name), *note.ContentSequence]
    moment = moment_in(note, reviewer.at)
    note.ContentDate, note.ContentTime = moment.date, moment.time


def _writer(note: Dataset) -> Callable[[BinaryIO], None]:
    return partial(write_parts, dataset=note, parts=(), syntax=ExplicitVRLittleEndian)


def _read_back(written: Path, note: Dataset) -> None:
    if _referenced(pydicom.dcmread(written)) != _named(note):
        raise OutputError("the rejection note does not name all results")


def _named(note: Dataset) -> set[str]:
    """Returns the UIDs of the objects that the content of a note names."""
    return {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in note.ContentSequence
        if "ReferencedSOPSequence" in item
    }


def _name(result: Result) -> str:
    return str(PurePosixPath(result.path).relative_to(RESULTS_NAME))


def _referenced(note: Dataset) -> set[str]:
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
