"""Tests the objects that state a person's decision, as the gateway has them written."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from app.decision_documents import (
    Reviewer,
    scanner_of,
    write_copies,
    write_persons_rejection,
    write_verified_report,
)
from tests.conftest import REPOSITORY
from tests.unit.writers.small_results import small_results
from totalmap.errors import ConfigError, InternalError, OutputError

SETTINGS_FILE = REPOSITORY / "app.yaml"
REVIEWER = Reviewer(name="Eva Müller", at=1_796_336_116.0, reason="Wrong spleen.", uid_key="7")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A SEG, an SR and the note of quality control that rejects them."""
    return small_results(tmp_path_factory.mktemp("results"), "seg", "sr", "rejection")


def named_in(note: Path) -> set[str]:
    (study,) = pydicom.dcmread(note).CurrentRequestedProcedureEvidenceSequence
    return {
        str(item.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }


def test_a_person_rejects_all_results_but_the_note_of_quality_control(
    results: list[Path], tmp_path: Path
) -> None:
    target = tmp_path / "made" / "note.dcm"
    write_persons_rejection(results, REVIEWER, SETTINGS_FILE, target)
    uids = [str(pydicom.dcmread(path).SOPInstanceUID) for path in results]
    assert named_in(target) == named_in(results[2]) == set(uids[:2])
    assert pydicom.dcmread(target).SOPInstanceUID != uids[2]
    with pytest.raises(OutputError, match="no DICOM result to reject"):
        write_persons_rejection(results[2:], REVIEWER, SETTINGS_FILE, tmp_path / "note.dcm")


def test_a_verified_report_among_copies_succeeds_the_copied_report(
    results: list[Path], tmp_path: Path
) -> None:
    verified = tmp_path / "verified.dcm"
    write_verified_report(results[1], REVIEWER, "Hospital", verified)
    targets = [tmp_path / "copies" / name for name in ("seg.dcm", "sr.dcm", "verified.dcm")]
    write_copies([*results[:2], verified], "8", targets)
    _, report, copy = map(pydicom.dcmread, targets)
    (study,) = copy.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == report.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == report.SOPInstanceUID


def test_threads_that_write_one_decision_at_once_leave_one_whole_file(
    results: list[Path], tmp_path: Path
) -> None:
    target, alone = tmp_path / "verified.dcm", tmp_path / "alone" / "verified.dcm"
    write_verified_report(results[1], REVIEWER, "Hospital", alone)
    with ThreadPoolExecutor(4) as threads:
        calls = [
            threads.submit(write_verified_report, results[1], REVIEWER, "Hospital", target)
            for _ in range(8)
        ]
        for call in calls:
            call.result()
    assert target.read_bytes() == alone.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"verified.dcm", "alone"}


def test_failures_of_a_decision_are_errors_with_an_exit_status(
    results: list[Path], tmp_path: Path
) -> None:
    target = tmp_path / "target.dcm"
    with pytest.raises(ConfigError):
        write_persons_rejection(results, REVIEWER, tmp_path / "no settings.yaml", target)
    with pytest.raises(ConfigError, match="DICOM result 2 of 2 can't be read"):
        write_copies([results[0], tmp_path / "missing.dcm"], "7", [target, target])
    with pytest.raises(InternalError):
        write_copies(results, "7", [target])
    with pytest.raises(InternalError):
        write_verified_report(results[1], replace(REVIEWER, at=float("nan")), "Hospital", target)


def test_the_scanner_of_a_source_image_is_named(results: list[Path]) -> None:
    source = next(path for path in (results[0].parents[2] / "study").rglob("*") if path.is_file())
    dataset = pydicom.dcmread(source)
    assert scanner_of(source) == f"{dataset.Manufacturer} {dataset.ManufacturerModelName}".strip()


def test_importing_the_front_door_of_decisions_imports_no_dicom_library() -> None:
    script = (
        "import sys, operators; before = set(sys.modules); import app.decision_documents; "
        "print([name for name in set(sys.modules) - before "
        "if name.partition('.')[0] in ('pydicom', 'highdicom', 'numpy')])"
    )
    command = [sys.executable, "-c", script]
    assert subprocess.check_output(command, text=True, cwd=REPOSITORY).strip() == "[]"
