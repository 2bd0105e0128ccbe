"""Tests the rejection note, which makes archives hide rejected results."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from highdicom.ko import KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from tests.segmentations import volume_of
from tests.unit.writers.dicom.test_header import with_request
from tests.validators import findings_of_dciodvfy, rendered_by_dcmtk
from totalmap.errors import ConfigError, OutputError
from totalmap.finding import Finding, Severity
from totalmap.reviewer import Reviewer
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, ResultsSection, Settings
from totalmap.writers.all_or_nothing import Release, open_release
from totalmap.writers.measurements_csv import write_measurements_csv
from totalmap.writers.rejection_note import (
    Rejection,
    encode_rejection,
    is_rejection_note,
    rejection_by,
    write_note,
    write_rejection,
)
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.sr.writer import write_sr

# Of every Key Object Selection.
REMARK = "W: Check for template constraints not yet supported"
IOD = "KeyObjectSelectionDocument"
FINDINGS = (
    Finding(code="MIRRORED", severity=Severity.REJECT, sentence="Left and right are swapped."),
    Finding(code="HOLE", severity=Severity.REVIEW, sentence="The liver has holes."),
)
# 2026-12-03 22:15:16 UTC.
REVIEWER = Reviewer(
    name="Dr. Eva Müller", at=1_796_336_116.9, reason="Spleen is missing.\nLiver: Öl", uid_key="7"
)
SETTINGS = Settings(results=ResultsSection(kinds=(ResultKind.SEG, ResultKind.SR)))


def results_of(segmentation: Segmentation, release: Release) -> Sequence[Result]:
    return (
        *write_seg(segmentation, SETTINGS, release),
        *write_sr(segmentation, SETTINGS, release),
        write_measurements_csv(segmentation, release),
    )


def written(segmentation: Segmentation, folder: Path) -> Path:
    with open_release(folder) as release:
        results = results_of(segmentation, release)
        (note,) = write_rejection(results, FINDINGS, SETTINGS, release)
        release.publish({})
    return folder / note.path


@pytest.fixture(scope="module")
def path(true_segmentation: Segmentation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(true_segmentation, tmp_path_factory.mktemp("rejected"))


@pytest.fixture(scope="module")
def note(path: Path) -> Dataset:
    return pydicom.dcmread(path)


def test_rejection_note_names_every_dicom_result_and_the_reasons(path: Path, note: Dataset) -> None:
    (title,) = note.ConceptNameCodeSequence
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113001", "DCM")
    results = {
        pydicom.dcmread(path.with_name(name)).SOPInstanceUID for name in ("seg.dcm", "sr.dcm")
    }
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    named = {
        instance.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    assert named == results
    texts = [item.TextValue for item in note.ContentSequence if item.ValueType == "TEXT"]
    assert texts == ["Left and right are swapped."]


def test_rejection_note_belongs_to_the_patient_and_study_of_the_results(
    path: Path, note: Dataset
) -> None:
    seg = pydicom.dcmread(path.with_name("seg.dcm"), stop_before_pixels=True)
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "ContentDate"):
        assert note[keyword] == seg[keyword]
    assert note.SeriesNumber == SETTINGS.results.series_numbers.rejection
    assert note.ContinuityOfContent == "SEPARATE"


def test_rejection_note_has_every_attribute_of_patient_study_and_request_of_the_results(
    true_segmentation: Segmentation, phantom_copy: Path, tmp_path: Path
) -> None:
    source = with_request(phantom_copy)
    segmentation = replace(true_segmentation, volume=volume_of(phantom_copy))
    path = written(segmentation, tmp_path / "out")
    note = pydicom.dcmread(path)
    for keyword in ("IssuerOfPatientID", "PatientWeight", "StudyDescription", "InstitutionName"):
        assert note[keyword] == source[keyword]
    (request,) = note.ReferencedRequestSequence
    assert request.RequestedProcedureID == "P 1"
    assert findings_of_dciodvfy(path, IOD) == []


def test_dciodvfy_and_dcmtk_accept_the_rejection_note(path: Path, tmp_path: Path) -> None:
    assert findings_of_dciodvfy(path, IOD) == []
    assert "Rejected for Quality Reasons" in rendered_by_dcmtk(path, tmp_path, REMARK)


def test_second_run_writes_the_same_rejection_note(
    true_segmentation: Segmentation, path: Path, tmp_path: Path
) -> None:
    assert written(true_segmentation, tmp_path).read_bytes() == path.read_bytes()


def test_results_without_a_dicom_object_get_no_rejection_note(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    with open_release(tmp_path) as release:
        results = [write_measurements_csv(true_segmentation, release)]
        assert write_rejection(results, FINDINGS, SETTINGS, release) == ()


@pytest.fixture(scope="module")
def rejected(path: Path) -> list[Dataset]:
    return [pydicom.dcmread(path.with_name(name)) for name in ("seg.dcm", "sr.dcm")]


def persons_note(rejected: list[Dataset], reviewer: Reviewer, target: Path) -> Dataset:
    write_note(encode_rejection(rejected, rejection_by(reviewer), SETTINGS), target)
    return pydicom.dcmread(target)


def test_note_of_a_person_names_the_person_the_reason_and_every_result(
    rejected: list[Dataset], tmp_path: Path
) -> None:
    note = persons_note(rejected, REVIEWER, tmp_path / "note.dcm")
    kind, person, reason, *named = note.ContentSequence
    assert kind.RelationshipType == person.RelationshipType == "HAS OBS CONTEXT"
    assert kind.ConceptNameCodeSequence[0].CodeValue == "121005"
    assert kind.ConceptCodeSequence[0].CodeValue == "121006"
    assert person.ConceptNameCodeSequence[0].CodeValue == "121008"
    assert person.PersonName == "Dr. Eva Müller^"
    assert reason.TextValue == "Spleen is missing.\r\nLiver: Öl"
    assert [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in named] == [
        dataset.SOPInstanceUID for dataset in rejected
    ]
    assert note.ConceptNameCodeSequence[0].CodeValue == "113001"
    assert (note.ContentDate, note.ContentTime) == ("20261203", "221516")
    assert (note.PatientID, note.StudyDate) == (rejected[0].PatientID, rejected[0].StudyDate)


def test_dciodvfy_dcmtk_and_highdicom_read_the_note_of_a_person(
    rejected: list[Dataset], tmp_path: Path
) -> None:
    note = persons_note(rejected, REVIEWER, tmp_path / "note.dcm")
    assert findings_of_dciodvfy(tmp_path / "note.dcm", IOD) == []
    assert "Rejected for Quality Reasons" in rendered_by_dcmtk(
        tmp_path / "note.dcm", tmp_path, REMARK
    )
    content = KeyObjectSelectionDocument.from_dataset(note).content
    (observer,) = content.get_observer_contexts()
    assert observer.observer_identifying_attributes.name == "Dr. Eva Müller^"
    assert len(content.get_references()) == len(rejected)


def test_each_decision_of_a_person_is_an_object_of_its_own(
    rejected: list[Dataset], note: Dataset, tmp_path: Path
) -> None:
    notes = [
        note,
        persons_note(rejected, REVIEWER, tmp_path / "1.dcm"),
        persons_note(rejected, replace(REVIEWER, uid_key="8"), tmp_path / "2.dcm"),
    ]
    assert len({each.SOPInstanceUID for each in notes}) == len(notes)
    assert len({each.SeriesInstanceUID for each in notes}) == len(notes)
    persons_note(rejected, REVIEWER, tmp_path / "3.dcm")
    assert (tmp_path / "3.dcm").read_bytes() == (tmp_path / "1.dcm").read_bytes()


def test_note_of_a_person_without_a_reason_has_no_description(
    rejected: list[Dataset], tmp_path: Path
) -> None:
    note = persons_note(rejected, replace(REVIEWER, reason=" \n"), tmp_path / "note.dcm")
    assert "TEXT" not in {item.ValueType for item in note.ContentSequence}
    assert findings_of_dciodvfy(tmp_path / "note.dcm", IOD) == []


def test_note_of_a_person_keeps_the_patient_if_it_needs_another_character_set(
    rejected: list[Dataset], tmp_path: Path
) -> None:
    results = [deepcopy(dataset) for dataset in rejected]
    for dataset in results:
        dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        dataset.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    note = persons_note(results, REVIEWER, tmp_path / "note.dcm")
    assert note.SpecificCharacterSet == "ISO_IR 192"
    assert str(note.PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert str(note.ContentSequence[1].PersonName) == "Dr. Eva Müller^"
    assert findings_of_dciodvfy(tmp_path / "note.dcm", IOD) == []


def test_note_needs_a_result_and_the_name_of_its_person(
    rejected: list[Dataset], tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="no DICOM result to reject"):
        persons_note([], REVIEWER, tmp_path / "note.dcm")
    with pytest.raises(ConfigError, match="needs the name of the reviewer"):
        persons_note(rejected, replace(REVIEWER, name="^"), tmp_path / "note.dcm")
    assert list(tmp_path.iterdir()) == []


def test_rejection_notes_are_recognised(rejected: list[Dataset], note: Dataset) -> None:
    safety = Rejection(title=codes.DCM.RejectedForPatientSafetyReasons, reasons="Replaced.")
    assert is_rejection_note(note)
    assert is_rejection_note(encode_rejection(rejected, safety, SETTINGS))
    assert not any(map(is_rejection_note, rejected))
    other = Rejection(title=codes.DCM.OfInterest, reasons="")
    assert not is_rejection_note(encode_rejection(rejected, other, SETTINGS))
