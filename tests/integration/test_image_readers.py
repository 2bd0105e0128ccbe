"""SimpleITK, GDCM and dcmtk read the pixels and the places of SEG and overlay."""

import subprocess
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813  its usual name
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from tests.servers import require_program
from tests.studies_with_results import SPECS, StudyWithResults, write_study_with_results

SAME_PLACE_MM = 1e-3


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


def affine_of_simpleitk(image: sitk.Image) -> NDArray[np.float64]:
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
    reader = sitk.ImageSeriesReader()
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
