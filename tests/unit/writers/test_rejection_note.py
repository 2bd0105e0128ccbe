"""Tests the rejection note, which makes archives hide rejected results."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.segmentations import volume_of
from tests.unit.writers.dicom.test_header import with_request
from tests.validators import findings_of_dciodvfy, rendered_by_dcmtk
from totalmap.finding import Finding, Severity
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultKind, ResultsSection, Settings
from totalmap.writers.all_or_nothing import Release, open_release
from totalmap.writers.measurements_csv import write_measurements_csv
from totalmap.writers.rejection_note import write_rejection
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.sr.writer import write_sr

# Of every Key Object Selection.
REMARK = "W: Check for template constraints not yet supported"
IOD = "KeyObjectSelectionDocument"
FINDINGS = (
    Finding(code="MIRRORED", severity=Severity.REJECT, sentence="Left and right are swapped."),
    Finding(code="HOLE", severity=Severity.REVIEW, sentence="The liver has holes."),
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
