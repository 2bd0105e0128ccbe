"""What the SR, the preview, the report and the names of series say of a result that is doubted."""

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
from totalmap.writers.dicom.provenance import series_description
from totalmap.writers.preview.drawing import heading
from totalmap.writers.report import report_html
from totalmap.writers.sr.read_back import check_sr
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
        one
        for one in report.ContentSequence
        if one.ConceptNameCodeSequence[0].CodeValue == "C0034375"
    )
    return [
        (
            one.ConceptNameCodeSequence[0].CodeMeaning,
            one.get("TextValue") or one.ConceptCodeSequence[0].CodeMeaning,
        )
        for one in container.ContentSequence
    ]


def test_the_verdict_and_the_reasons_are_said(path: Path) -> None:
    assert evaluations_of(pydicom.dcmread(path)) == [
        ("Verdict on the quality of the result", "Rejected"),
        ("Reason to doubt the result", "Rib vertebra"),
        ("Comment", "Rib 5 does not meet vertebra T5."),
        ("Reason to doubt the result", "Mirrored"),
        ("Comment", "Left and right are swapped."),
    ]


def test_readers_take_it(path: Path, tmp_path: Path) -> None:
    assert set(findings_of_dciodvfy(path, IOD)) <= {OWN_SCHEME}
    assert "Left and right are swapped." in rendered_by_dcmtk(path, tmp_path)


def test_dcmqi_reads_every_group(
    path: Path, true_segmentation: Segmentation, tmp_path: Path
) -> None:
    names = [one.structure.name for one in true_segmentation.found()]
    assert list(read_by_dcmqi(path, tmp_path)) == names


def test_the_validator_of_pixelmed_takes_it(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    few = replace(true_segmentation, structures=true_segmentation.structures[:5])
    assert errors_of_pixelmed(written_sr(doubted(few, FOUND), tmp_path)) == []


def test_another_verdict_is_noticed(true_segmentation: Segmentation) -> None:
    settings = Settings()
    written = encode_sr(doubted(true_segmentation, FOUND), settings)
    check_sr(written, doubted(true_segmentation, FOUND), settings)
    with pytest.raises(OutputError, match="quality"):
        check_sr(written, doubted(true_segmentation, GRAVE), settings)


@pytest.mark.parametrize(
    ("findings", "words"),
    [((), "(AI, unverified)"), ((FOUND,), "to be REVIEWED)"), ((FOUND, GRAVE), "(AI, REJECTED)")],
)
def test_a_series_says_it_in_its_name(
    true_segmentation: Segmentation, findings: tuple[Finding, ...], words: str
) -> None:
    description = series_description(doubted(true_segmentation, *findings), Settings())
    assert description.endswith(words)
    assert len(description) <= 64


def test_preview_and_report_show_it(true_segmentation: Segmentation) -> None:
    doubt = doubted(true_segmentation, FOUND)
    notices = [words for words, _, _ in heading(doubt).notices]
    assert notices[1] == "TO BE REVIEWED: Rib 5 does not meet vertebra T5."
    page = report_html(doubt, Settings())
    assert "TO BE REVIEWED" in page
    assert "<li>Rib 5 does not meet vertebra T5.</li>" in page


def test_what_is_only_worth_knowing_is_no_notice(true_segmentation: Segmentation) -> None:
    known = doubted(true_segmentation, replace(FOUND, severity=Severity.INFORMATION))
    assert len(heading(known).notices) == len(heading(true_segmentation).notices)
    assert "Rib 5 does not meet vertebra T5." in report_html(known, Settings())
