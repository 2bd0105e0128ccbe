"""What SimpleITK, GDCM and dcmtk read of SEG and overlay, as docs/viewers.md says."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813  its usual name
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from tests.phantom.study import write_series
from tests.segmentations import segmentation_of
from tests.servers import require_program
from tests.studies_with_results import (
    AXIAL_SPEC,
    SPECS,
    StudyWithResults,
    write_study_with_results,
)
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultsSection, Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.seg.binary import write_seg

SAME_PLACE_MM = 1e-3
LIVER = 5


@pytest.fixture(scope="module", params=SPECS)
def study(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> StudyWithResults:
    folder = tmp_path_factory.mktemp(request.param)
    return write_study_with_results(folder, SPECS[request.param])


def pixels_of_gdcm(path: Path) -> bytes:
    """Returns the decoded pixel data of an image."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    # The binding to Python puts bytes into a text.
    data: bytes = reader.GetImage().GetBuffer().encode("utf-8", errors="surrogateescape")
    return data


def affine_of_simpleitk(image: Any) -> NDArray[np.float64]:
    """Returns the affine (4, 4), index (i, j, k) to LPS mm, of an image."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return affine


def in_order_of_slices(study: StudyWithResults) -> list[Dataset]:
    """Returns the images of the overlay, in the order of the slices."""
    normal = study.written.spec.normal_lps
    images = map(pydicom.dcmread, study.results["overlay"])
    return sorted(images, key=lambda image: float(normal @ image.ImagePositionPatient))


def test_simpleitk_reads_the_overlay_as_a_series_on_the_grid_of_its_source(
    study: StudyWithResults,
) -> None:
    reader: Any = sitk.ImageSeriesReader()  # type: ignore[no-untyped-call]
    folder = study.results["overlay"][0].parent
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    np.testing.assert_allclose(
        affine_of_simpleitk(image), study.written.affine_lps, atol=SAME_PLACE_MM
    )
    expected = np.stack([one.pixel_array for one in in_order_of_slices(study)])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), expected)


def test_gdcm_and_dcmtk_decode_each_image_of_the_overlay(
    study: StudyWithResults, tmp_path: Path
) -> None:
    for path in study.results["overlay"][::10]:
        assert pixels_of_gdcm(path) == pydicom.dcmread(path).pixel_array.tobytes()
    require_program("dcmj2pnm", "dcmtk")
    path = study.results["overlay"][0]
    subprocess.run(["dcmj2pnm", "--write-raw-pnm", path, tmp_path / "out.ppm"], check=True)
    with Image.open(tmp_path / "out.ppm") as image:
        np.testing.assert_array_equal(np.asarray(image), pydicom.dcmread(path).pixel_array)


@pytest.fixture(scope="module")
def whole_bytes(tmp_path_factory: pytest.TempPathFactory) -> Segmentation:
    """A segmentation whose rows fill whole bytes, as those of scanners do: 40 columns."""
    spec = replace(AXIAL_SPEC, columns=40)
    return segmentation_of(write_series(tmp_path_factory.mktemp("ct"), 1, spec))


def written_seg(segmentation: Segmentation, folder: Path, *structures: str) -> Path:
    settings = Settings(results=ResultsSection(seg_structures=structures))
    with open_release(folder) as release:
        (result,) = write_seg(segmentation, settings, release)
        release.publish({})
    return folder / result.path


def test_simpleitk_reads_a_seg_of_one_structure_at_its_place(
    whole_bytes: Segmentation, tmp_path: Path
) -> None:
    image = sitk.ReadImage(str(written_seg(whole_bytes, tmp_path, "liver")))
    slices = np.flatnonzero((whole_bytes.labels == LIVER).any(axis=(1, 2)))
    expected = whole_bytes.volume.geometry.affine_lps.copy()
    expected[:3, 3] = (expected @ [0, 0, slices[0], 1])[:3]
    np.testing.assert_allclose(affine_of_simpleitk(image), expected, atol=SAME_PLACE_MM)
    mask = sitk.GetArrayFromImage(image) > 0
    np.testing.assert_array_equal(mask, whole_bytes.labels[slices] == LIVER)


def test_simpleitk_reads_the_seg_frames_of_several_structures_without_their_spacing(
    whole_bytes: Segmentation, tmp_path: Path
) -> None:
    """It takes all frames as one stack: those of the second structure begin at the bottom again."""
    path = written_seg(whole_bytes, tmp_path)
    image: Any = sitk.ReadImage(str(path))
    assert image.GetSpacing() == (1.0, 1.0, 1.0)
    frames = pydicom.dcmread(path).pixel_array
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image) > 0, frames > 0)


def test_gdcm_reads_every_seg_frame_whose_rows_fill_whole_bytes(
    whole_bytes: Segmentation, tmp_path: Path
) -> None:
    path = written_seg(whole_bytes, tmp_path)
    assert pixels_of_gdcm(path) == pydicom.dcmread(path).PixelData


def test_gdcm_expects_padded_rows_in_a_seg_with_other_columns(study: StudyWithResults) -> None:
    """PS3.5 8.1.1 has no padding: the next row begins in the same byte."""
    path = study.path("SEG")
    seg = pydicom.dcmread(path)
    padded = seg.NumberOfFrames * seg.Rows * -(-seg.Columns // 8)
    assert len(pixels_of_gdcm(path)) == padded > len(seg.PixelData)


def test_gdcm_and_simpleitk_do_not_read_a_seg_label_map_as_an_image(
    study: StudyWithResults,
) -> None:
    path = str(study.path("SEG label map"))
    reader = gdcm.ImageReader()
    reader.SetFileName(path)
    assert not reader.Read()
    with pytest.raises(RuntimeError, match="Unable to determine ImageIO reader"):
        sitk.ReadImage(path)
