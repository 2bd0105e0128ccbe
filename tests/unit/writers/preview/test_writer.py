import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless, SecondaryCaptureImageStorage

from tests.segmentations import volume_of
from totalmap.run_log import Result
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.preview.pages import render_pages
from totalmap.writers.preview.writer import write_preview

Written = tuple[Path, tuple[Result, ...]]


def written_preview(segmentation: Segmentation, folder: Path) -> Written:
    with open_release(folder) as release:
        results = write_preview(segmentation, Settings(), release)
        release.publish({})
    return folder, results


@pytest.fixture(scope="module")
def written(true_segmentation: Segmentation, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return written_preview(true_segmentation, tmp_path_factory.mktemp("preview"))


@pytest.fixture(scope="module")
def pages(written: Written) -> list[Dataset]:
    folder, results = written
    return [pydicom.dcmread(folder / result.path) for result in results if result.sop_instance_uid]


def findings_of_dciodvfy(path: Path) -> list[str]:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    findings = done.stderr.splitlines()
    assert "SCImage" in findings, "dciodvfy did not recognise the object"
    return [line for line in findings if line.startswith(("Error", "Warning"))]


def test_pages_and_png_of_the_preview_hold_the_rendered_pixels(
    written: Written, pages: list[Dataset], true_segmentation: Segmentation
) -> None:
    folder, results = written
    drawn = render_pages(true_segmentation, Settings())
    for page, pixels in zip(pages, drawn, strict=True):
        np.testing.assert_array_equal(page.pixel_array, pixels)
    np.testing.assert_array_equal(np.asarray(Image.open(folder / results[-1].path)), drawn[0])


def test_pages_of_the_preview_are_compressed_by_run_lengths(
    written: Written, pages: list[Dataset]
) -> None:
    """Every viewer with compression reads RLE, and a page has large areas of one colour."""
    folder, results = written
    for result, page in zip(results, pages, strict=False):
        assert page.file_meta.TransferSyntaxUID == RLELossless
        pixels = page.Rows * page.Columns * page.SamplesPerPixel
        assert (folder / result.path).stat().st_size < 0.6 * pixels


def test_each_page_of_the_preview_is_a_result_of_its_own(
    written: Written, pages: list[Dataset]
) -> None:
    _, results = written
    assert [result.path for result in results] == [
        "results/preview/page_1.dcm",
        "results/preview/page_2.dcm",
        "results/preview.png",
    ]
    assert {result.kind for result in results} == {"preview"}
    assert [result.sop_instance_uid for result in results] == [
        *(page.SOPInstanceUID for page in pages),
        None,
    ]


def test_pages_of_the_preview_are_one_series_in_order(pages: list[Dataset]) -> None:
    assert len({page.SeriesInstanceUID for page in pages}) == 1
    assert len({page.SOPInstanceUID for page in pages}) == len(pages)
    assert [page.InstanceNumber for page in pages] == [1, 2]
    assert {page.SeriesNumber for page in pages} == {9005}


def test_the_header_of_a_preview_page_states_source_and_burned_in_annotation(
    pages: list[Dataset], true_segmentation: Segmentation
) -> None:
    for page in pages:
        assert page.SOPClassUID == SecondaryCaptureImageStorage
        assert page.BurnedInAnnotation == "YES"
        assert page.SeriesDescription.endswith("(AI, unverified)")
        assert "FrameOfReferenceUID" not in page
        sources = [image.ReferencedSOPInstanceUID for image in page.SourceImageSequence]
        assert sources == [
            slice_.instance.sop_instance_uid for slice_ in true_segmentation.volume.slices
        ]


def test_dciodvfy_finds_neither_error_nor_warning_in_the_preview(written: Written) -> None:
    folder, results = written
    for result in results[:2]:
        assert findings_of_dciodvfy(folder / result.path) == []


@pytest.mark.parametrize("body_part", [None, "CHESTABDPELVIS", "KNEE", "TRUNK"])
def test_dciodvfy_finds_no_error_in_the_preview_of_any_body_part(
    phantom_copy: Path, tmp_path: Path, true_segmentation: Segmentation, body_part: str | None
) -> None:
    for path in phantom_copy.iterdir():
        dataset = pydicom.dcmread(path)
        if body_part is None:
            del dataset.BodyPartExamined
        else:
            dataset.BodyPartExamined = body_part
        dataset.save_as(path)
    segmentation = replace(true_segmentation, volume=volume_of(phantom_copy))
    folder, results = written_preview(segmentation, tmp_path / "out")
    findings = findings_of_dciodvfy(folder / results[0].path)
    assert [finding for finding in findings if finding.startswith("Error")] == []


def test_same_labels_give_the_same_preview_bytes(
    written: Written, true_segmentation: Segmentation, tmp_path: Path
) -> None:
    first, results = written
    again, _ = written_preview(true_segmentation, tmp_path)
    for result in results:
        assert (first / result.path).read_bytes() == (again / result.path).read_bytes()


def test_other_labels_give_other_preview_objects_of_the_same_series(
    true_segmentation: Segmentation, pages: list[Dataset], tmp_path: Path
) -> None:
    labels = true_segmentation.labels.copy()
    labels[20, 40, 40] = 1
    folder, results = written_preview(replace(true_segmentation, labels=labels), tmp_path)
    others = [
        pydicom.dcmread(folder / result.path) for result in results if result.sop_instance_uid
    ]
    uids = {page.SOPInstanceUID for page in (*pages, *others)}
    assert len(uids) == len(pages) + len(others)
    assert {page.SeriesInstanceUID for page in others} == {pages[0].SeriesInstanceUID}
