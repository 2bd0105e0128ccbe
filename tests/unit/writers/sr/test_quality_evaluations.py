"""Tests that SR, preview, report and series descriptions state the verdict of quality control."""

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.unit.writers.sr.test_writer import IOD, OWN_SCHEME, read_by_dcmqi, written_sr
from tests.validators import errors_of_pixelmed, findings_of_dciodvfy, rendered_by_dcmtk
from totalmap.errors import OutputError
from totalmap.finding import Assessment, Finding, Severity
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.texts.catalogue import Language, texts_in
from totalmap.writers.dicom.identifiers import series_description
from totalmap.writers.html_report import report_html
from totalmap.writers.preview.page_drawing import heading
from totalmap.writers.sr.read_back import compare_sr
from totalmap.writers.sr.writer import encode_sr

FOUND = Finding(
    code="RIB_VERTEBRA",
    severity=Severity.REVIEW,
    sentence="Rib 5 does not meet vertebra T5.",
    structure="rib_left_5",
)
GRAVE = Finding(code="MIRRORED", severity=Severity.REJECT, sentence="Left and right are swapped.")


def doubted(segmentation: Segmentation, *findings: Finding) -> Segmentation:
    return segmentation.with_assessment(Assessment(findings=findings))


@pytest.fixture(scope="module")
def path(true_segmentation: Segmentation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_sr(doubted(true_segmentation, FOUND, GRAVE), tmp_path_factory.mktemp("sr"))


def evaluations_of(report: Dataset) -> list[tuple[str, str]]:
    (container,) = (
        item
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "C0034375"
    )
    return [
        (
            item.ConceptNameCodeSequence[0].CodeMeaning,
            item.get("TextValue") or item.ConceptCodeSequence[0].CodeMeaning,
        )
        for item in container.ContentSequence
    ]


def test_the_sr_has_the_verdict_and_its_findings(path: Path) -> None:
    assert evaluations_of(pydicom.dcmread(path)) == [
        ("Verdict on the quality of the result", "Rejected by quality control"),
        ("Reason to doubt the result", "Rib vertebra"),
        ("Comment", "Rib 5 does not meet vertebra T5."),
        ("Reason to doubt the result", "Mirrored"),
        ("Comment", "Left and right are swapped."),
    ]


def test_dciodvfy_and_dcmtk_accept_the_quality_evaluations_of_the_sr(
    path: Path, tmp_path: Path
) -> None:
    assert set(findings_of_dciodvfy(path, IOD)) <= {OWN_SCHEME}
    assert "Left and right are swapped." in rendered_by_dcmtk(path, tmp_path)


def test_dcmqi_reads_every_group_of_an_sr_with_findings(
    path: Path, true_segmentation: Segmentation, tmp_path: Path
) -> None:
    names = [found.structure.name for found in true_segmentation.found()]
    assert list(read_by_dcmqi(path, tmp_path)) == names


def test_pixelmed_finds_no_error_in_an_sr_with_findings(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    few = replace(true_segmentation, structures=true_segmentation.structures[:5])
    assert errors_of_pixelmed(written_sr(doubted(few, FOUND), tmp_path)) == []


def test_read_back_of_the_sr_notices_another_verdict(true_segmentation: Segmentation) -> None:
    settings = Settings()
    written = encode_sr(doubted(true_segmentation, FOUND), settings)
    compare_sr(written, doubted(true_segmentation, FOUND), settings)
    with pytest.raises(OutputError, match="quality"):
        compare_sr(written, doubted(true_segmentation, GRAVE), settings)


@pytest.mark.parametrize(
    ("findings", "words"),
    [((), "(AI, unverified)"), ((FOUND,), "NEEDS REVIEW)"), ((FOUND, GRAVE), "(AI, REJECTED)")],
)
def test_the_series_description_of_a_result_has_the_quality_verdict(
    true_segmentation: Segmentation, findings: tuple[Finding, ...], words: str
) -> None:
    description = series_description(doubted(true_segmentation, *findings), Settings())
    assert description.endswith(words)
    assert len(description) <= 64


def test_preview_and_report_show_the_quality_verdict_with_its_reason(
    true_segmentation: Segmentation,
) -> None:
    doubt = doubted(true_segmentation, FOUND)
    english = texts_in(Language.ENGLISH)
    notices = [notice.words for notice in heading(doubt, Settings(), english).notices]
    assert notices[1] == "NEEDS REVIEW: Rib 5 does not meet vertebra T5."
    page = report_html(doubt, Settings())
    assert "NEEDS REVIEW" in page
    assert "<b>Review:</b> Rib 5 does not meet vertebra T5.</li>" in page


def test_a_quality_finding_for_information_adds_no_notice_to_a_result(
    true_segmentation: Segmentation,
) -> None:
    known = doubted(true_segmentation, replace(FOUND, severity=Severity.INFORMATION))
    english = texts_in(Language.ENGLISH)
    assert len(heading(known, Settings(), english).notices) == 1
    assert "Rib 5 does not meet vertebra T5." in report_html(known, Settings())
