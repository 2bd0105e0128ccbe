"""Writes the copy of a measurement report that a person has verified.

PS3.3 C.17.2, SR Document General Module: the copy names its predecessor, its observer and the time.
Its content is that of the predecessor, byte for byte, unless its character set can't hold the name
of the observer.
"""

from pathlib import Path

from pydicom.dataset import Dataset

from totalmap.dicom.derived_uids import derived_uid
from totalmap.errors import ConfigError, OutputError
from totalmap.reviewer import Reviewer
from totalmap.writers.changed_copy import read_result, write_changed
from totalmap.writers.dicom.character_sets import use_utf8_if_needed
from totalmap.writers.dicom.header import reference, series_reference
from totalmap.writers.dicom.identifiers import verified_description
from totalmap.writers.dicom.moments import Moment, moment_in
from totalmap.writers.dicom.plain_text import long_string, person_name

_KIND = "verified report"


def write_verified_report(sr: Path, reviewer: Reviewer, organization: str, target: Path) -> None:
    """Writes a copy of a measurement report (SR) that a person has verified.

    The same report and the same decision give the same bytes. The reason is not part of the copy.

    Args:
        sr: The report, as `totalmap.writers.sr.writer` wrote it.
        reviewer: The person who takes the responsibility for the content.
        organization: The organization for which this person acts.
        target: The file to write; an earlier one is replaced.

    Raises:
        OutputError: The file is no report, or is damaged.
        ConfigError: The name of the person or of the organization is empty, or a file can't be
            read or written.
        ResourceError: The disk is full.
    """
    result = read_result(sr)
    _verify(result.dataset, reviewer, organization)
    write_changed(result, target)


def _verify(report: Dataset, reviewer: Reviewer, organization: str) -> None:
    """Makes a report a new one that the reviewer has verified."""
    if report.get("Modality") != "SR" or "ContentSequence" not in report:
        raise OutputError("only a structured report can be verified")
    name, acting_for = person_name(reviewer.name), long_string(organization)
    if not name or not acting_for:
        raise ConfigError("a verified report needs the names of the reviewer and the organization")
    use_utf8_if_needed(report, name, acting_for)
    moment = moment_in(report, reviewer.at)
    report.PredecessorDocumentsSequence = [_reference_to(report)]
    for level in ("Series", "SOP"):
        keyword = f"{level}InstanceUID"
        uid = derived_uid(keyword, _KIND, str(report[keyword].value), reviewer.uid_key)
        setattr(report, keyword, uid)
    report.SeriesDescription = verified_description(str(report.get("SeriesDescription", "")))
    report.ContentDate, report.ContentTime = moment.date, moment.time
    report.CompletionFlag = "COMPLETE"
    report.PreliminaryFlag = "FINAL"
    report.VerificationFlag = "VERIFIED"
    report.VerifyingObserverSequence = [_observer(name, acting_for, moment)]


def _reference_to(report: Dataset) -> Dataset:
    """Returns the item that refers to a report (PS3.3 Table C.17-3)."""
    instance = reference(str(report.SOPInstanceUID), str(report.SOPClassUID))
    study = Dataset()
    study.ReferencedSeriesSequence = [series_reference(str(report.SeriesInstanceUID), [instance])]
    study.StudyInstanceUID = str(report.StudyInstanceUID)
    return study


def _observer(name: str, organization: str, moment: Moment) -> Dataset:
    observer = Dataset()
    observer.VerifyingOrganization = organization
    observer.VerificationDateTime = moment.date_time
    observer.VerifyingObserverName = name
    observer.VerifyingObserverIdentificationCodeSequence = []
    return observer
