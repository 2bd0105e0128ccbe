import shutil
import subprocess
from copy import deepcopy
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from tests import segmentations
from tests.validators import findings_of_dciodvfy
from totalmap.errors import OutputError
from totalmap.finding import Verdict
from totalmap.origin_in_dicom import origin_of
from totalmap.quality.assess import assess
from totalmap.report_settings import Identify, ReportSection
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.pdf.document import pdf_document
from totalmap.writers.pdf.writer import compare_pdf, encode_pdf, write_pdf

SETTINGS = Settings()


@pytest.fixture(scope="module")
def path(true_segmentation: Segmentation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(true_segmentation, tmp_path_factory.mktemp("pdf"))


@pytest.fixture(scope="module")
def crowded(true_segmentation: Segmentation) -> Segmentation:
    return segmentations.crowded(true_segmentation)


def written(segmentation: Segmentation, folder: Path) -> Path:
    with open_release(folder) as release:
        result = write_pdf(segmentation, SETTINGS, release)
        release.publish({})
    assert result.kind == "pdf"
    return folder / result.path


def document_of(dataset: Dataset) -> bytes:
    content: bytes = dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength]
    return content


def test_the_pdf_object_holds_the_document_with_its_title_source_and_origin(
    path: Path, true_segmentation: Segmentation
) -> None:
    dataset = pydicom.dcmread(path)
    assert document_of(dataset) == pdf_document(true_segmentation, SETTINGS).content
    assert dataset.SOPClassUID == EncapsulatedPDFStorage
    assert dataset.Modality == "DOC"
    assert dataset.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert dataset.BurnedInAnnotation == "YES"
    assert dataset.VerificationFlag == "UNVERIFIED"
    assert dataset.SeriesNumber == 9008
    assert dataset.SeriesDescription.endswith("(AI, unverified)")
    assert dataset.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurement Report"
    sources = [item.ReferencedSOPInstanceUID for item in dataset.SourceInstanceSequence]
    slices = true_segmentation.volume.slices
    assert sources == [item.instance.sop_instance_uid for item in slices]
    origin = origin_of(dataset)
    assert origin is not None
    assert origin.settings_sha256 == SETTINGS.fingerprint()


def test_dciodvfy_finds_neither_error_nor_warning_in_the_pdf_object(path: Path) -> None:
    assert findings_of_dciodvfy(path, "EncapsulatedPDF") == []


def test_dcmtk_extracts_the_pdf_document_and_ghostscript_renders_its_pages(
    path: Path, tmp_path: Path
) -> None:
    for program, package in (("dcm2pdf", "dcmtk"), ("gs", "ghostscript")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: {package})")
    extracted = tmp_path / "report.pdf"
    subprocess.run(["dcm2pdf", path, extracted], check=True)
    assert extracted.read_bytes() == document_of(pydicom.dcmread(path))
    text = subprocess.run(
        ["gs", "-q", "-sDEVICE=txtwrite", "-o", "-", extracted],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert text.count("AI result, not verified, not for diagnosis") == 3
    assert "Gallbladder" in text


def test_same_result_gives_the_same_pdf_object_bytes(
    path: Path, true_segmentation: Segmentation, tmp_path: Path
) -> None:
    assert path.read_bytes() == written(true_segmentation, tmp_path).read_bytes()


def test_pdf_of_117_structures_has_three_pages_with_every_structure(crowded: Segmentation) -> None:
    document = pdf_document(crowded, Settings(report=ReportSection(identify=Identify.FULL)))
    assert document.pages == 3
    names = {"Gallbladder", "Left rib 12", "Vertebra C1", "Right iliopsoas muscle"}
    assert names <= set(document.words)
    assert "PHANTOM, TOTALMAP" in document.words
    assert "Bones (continued)" in document.words


def test_every_page_of_a_pdf_has_the_verdict_since_one_may_be_printed_alone(
    crowded: Segmentation,
) -> None:
    rejected = crowded.with_assessment(assess(crowded))
    assert rejected.verdict is Verdict.REJECT
    document = pdf_document(rejected, SETTINGS)
    verdicts = [word for word in document.words if word.startswith("REJECTED BY QUALITY CONTROL")]
    assert len(verdicts) == document.pages == 3


def test_read_back_of_a_pdf_finds_another_document_and_another_header(
    true_segmentation: Segmentation,
) -> None:
    document = pdf_document(true_segmentation, SETTINGS).content
    expected = encode_pdf(true_segmentation, SETTINGS, document)
    other = deepcopy(expected)
    other.EncapsulatedDocument = document.replace(b"PDF-1", b"PDF-2")
    with pytest.raises(OutputError, match="differs from the document"):
        compare_pdf(other, expected, document)
    other = deepcopy(expected)
    other.BurnedInAnnotation = "NO"
    with pytest.raises(OutputError, match="differs from its header"):
        compare_pdf(other, expected, document)
