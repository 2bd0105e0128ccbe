import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.phantom.study import WrittenSeries
from tests.readers import NUMBER_OF, read_by_plastimatch
from tests.small_study import LIVER, NAMES, SPLEEN
from tests.unit.agreement.random_masks import mask_of
from tests.unit.writers.rtstruct.test_writer import written_rtstruct
from totalmap.agreement.read_rtstruct_masks import read_rtstruct_masks
from totalmap.dicom.study import Study, read_study
from totalmap.errors import InputError
from totalmap.result_options import RoiNames
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultsSection, Settings

ALMOST_EQUAL = 0.999


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


@pytest.fixture(scope="module")
def small_rtstruct(
    small_segmentation: Segmentation, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return written_rtstruct(small_segmentation, tmp_path_factory.mktemp("rtstruct"))


def test_the_masks_of_a_written_rtstruct_are_its_labels_also_within_a_hole(
    small_segmentation: Segmentation, small_study: Study, small_rtstruct: Path
) -> None:
    masks = read_rtstruct_masks(small_rtstruct, small_study)
    assert set(masks.places) == set(NAMES.values())
    for label, name in NAMES.items():
        assert np.array_equal(mask_of(masks, name), small_segmentation.labels == label)


def test_the_masks_of_an_rtstruct_have_a_dice_of_0_999_with_those_of_plastimatch(
    true_segmentation: Segmentation, phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    if shutil.which("plastimatch") is None:
        pytest.skip("plastimatch is not installed (Debian: plastimatch)")
    path = written_rtstruct(true_segmentation, tmp_path)
    masks = read_rtstruct_masks(path, read_study(phantom_series.folder))
    theirs = dict(read_by_plastimatch(path, tmp_path, phantom_series.folder))
    assert len(theirs) == len(masks.places)
    for name in masks.places:
        assert dice(mask_of(masks, name), theirs[NUMBER_OF[name]]) >= ALMOST_EQUAL, name


@pytest.mark.parametrize("naming", RoiNames)
def test_structures_are_recognised_by_their_roi_names_without_a_description(
    small_segmentation: Segmentation, small_study: Study, tmp_path: Path, naming: RoiNames
) -> None:
    settings = Settings(results=ResultsSection(rtstruct_names=naming))
    path = written_rtstruct(small_segmentation, tmp_path, settings=settings)
    structure_set = pydicom.dcmread(path)
    for roi in structure_set.StructureSetROISequence:
        del roi.ROIDescription
    structure_set.save_as(path)
    assert set(read_rtstruct_masks(path, small_study).places) == set(NAMES.values())


def test_a_contour_within_another_one_cuts_a_hole(
    small_study: Study, small_rtstruct: Path, tmp_path: Path
) -> None:
    """Some systems write a hole as a contour of its own."""
    structure_set = pydicom.dcmread(small_rtstruct)
    contours = {roi.ReferencedROINumber: roi for roi in structure_set.ROIContourSequence}
    names = {roi.ROIDescription: roi.ROINumber for roi in structure_set.StructureSetROISequence}
    contour = contours[names["spleen"]].ContourSequence[0]
    points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
    inner = pydicom.Dataset()
    inner.ContourImageSequence = contour.ContourImageSequence
    inner.ContourGeometricType = "CLOSED_PLANAR"
    shrunk = points.mean(axis=0) + (points - points.mean(axis=0)) / 2
    inner.NumberOfContourPoints = len(shrunk)
    inner.ContourData = [f"{value:.3f}" for value in shrunk.ravel()]
    contours[names["spleen"]].ContourSequence.append(inner)
    structure_set.save_as(tmp_path / "hole.dcm")
    whole = mask_of(read_rtstruct_masks(small_rtstruct, small_study), "spleen")
    cut = mask_of(read_rtstruct_masks(tmp_path / "hole.dcm", small_study), "spleen")
    assert np.count_nonzero(whole & ~cut) > 0
    assert not (cut & ~whole).any()
    assert len(np.unique(np.argwhere(whole & ~cut)[:, 0])) == 1


def test_points_are_left_out_and_counted(
    small_study: Study, small_rtstruct: Path, tmp_path: Path
) -> None:
    structure_set = pydicom.dcmread(small_rtstruct)
    structure_set.ROIContourSequence[0].ContourSequence[0].ContourGeometricType = "POINT"
    structure_set.save_as(tmp_path / "points.dcm")
    masks = read_rtstruct_masks(tmp_path / "points.dcm", small_study)
    assert masks.notes == ("1 points or open lines of the RTSTRUCT were left out",)


def test_an_rtstruct_needs_its_images(small_rtstruct: Path) -> None:
    with pytest.raises(InputError, match="name the folder of its images with --source"):
        read_rtstruct_masks(small_rtstruct, None)


def test_an_rtstruct_of_other_images_is_refused(
    small_rtstruct: Path, phantom_series: WrittenSeries
) -> None:
    with pytest.raises(InputError, match="none of the series that the result was made from"):
        read_rtstruct_masks(small_rtstruct, read_study(phantom_series.folder))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("0\\0\\1.5\\9\\0\\1.5\\9\\9\\1.5", "does not lie on a slice"),
        ("0\\0\\2\\9\\0", "another number of points"),
        ("nothing", "the RTSTRUCT is broken"),
    ],
)
def test_contours_that_do_not_fit_their_images_are_refused(
    small_study: Study, small_rtstruct: Path, tmp_path: Path, data: str, error: str
) -> None:
    structure_set = pydicom.dcmread(small_rtstruct)
    contour = structure_set.ROIContourSequence[0].ContourSequence[0]
    contour.NumberOfContourPoints = 3
    contour["ContourData"]._value = data
    structure_set.save_as(tmp_path / "wrong.dcm")
    with pytest.raises(InputError, match=error):
        read_rtstruct_masks(tmp_path / "wrong.dcm", small_study)


def test_a_damaged_rtstruct_is_refused(
    small_study: Study, small_rtstruct: Path, tmp_path: Path
) -> None:
    structure_set = pydicom.dcmread(small_rtstruct)
    del structure_set.StructureSetROISequence
    structure_set.save_as(tmp_path / "damaged.dcm")
    with pytest.raises(InputError, match="the RTSTRUCT is broken"):
        read_rtstruct_masks(tmp_path / "damaged.dcm", small_study)


def test_labels_of_the_small_ct_have_a_hole_and_a_structure_of_one_slice(
    small_segmentation: Segmentation,
) -> None:
    assert np.count_nonzero(small_segmentation.labels[5] == LIVER) == 12 * 15 - 3 * 4
    assert small_segmentation.labels[9, 20, 8] == SPLEEN
