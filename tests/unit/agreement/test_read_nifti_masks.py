import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.small_study import NAMES
from tests.unit.agreement.random_masks import mask_of
from totalmap.agreement.nifti_label_names import FROM_CLASS_MAP
from totalmap.agreement.read_masks import read_masks
from totalmap.agreement.read_nifti_masks import read_nifti_labels
from totalmap.dicom.geometry import LPS_TO_RAS
from totalmap.errors import InputError
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.nifti import write_nifti

SHAPE = (8, 9, 10)


def image(labels: NDArray[np.generic], path: Path) -> Path:
    """Writes labels (k, j, i) with voxels of 2 mm."""
    affine = LPS_TO_RAS @ np.diag([2.0, 2.0, 2.0, 1.0])
    nibabel.Nifti1Image(labels.transpose(2, 1, 0), affine).to_filename(path)
    return path


def two_labels() -> NDArray[np.uint8]:
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[1:4], labels[5:7, 2:6] = 1, 2
    return labels


def test_a_file_that_totalmap_wrote_names_its_labels(
    small_segmentation: Segmentation, tmp_path: Path
) -> None:
    with open_release(tmp_path) as release:
        result = write_nifti(small_segmentation, Settings(), release)
        release.publish({})
    masks = read_masks(tmp_path / result.path, None)
    assert len(masks.places) == len(small_segmentation.structures)
    for label, name in NAMES.items():
        assert mask_of(masks, name).sum() == np.sum(small_segmentation.labels == label)
    assert masks.notes == ()


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".json", json.dumps({"1": "Liver", "2": "tumour"})),
        (".json", json.dumps({"background": 0, "liver": 1, "tumour": 2})),
        (".json", json.dumps({"labels": {"background": 0, "liver": 1, "tumour": 2}})),
        (".tsv", "index\tname\tcolor\n1\tliver\t#ff0000\n2\ttumour\t#00ff00\n"),
    ],
)
def test_a_table_beside_the_file_names_its_labels(tmp_path: Path, suffix: str, text: str) -> None:
    labels = two_labels()
    path = image(labels, tmp_path / "a.nii.gz")
    (tmp_path / f"a{suffix}").write_text(text)
    masks = read_nifti_labels(path)
    assert masks.places.keys() == {"liver", "tumour"}
    assert np.array_equal(mask_of(masks, "tumour"), labels == 2)


def test_labels_without_names_are_those_of_task_total_and_this_is_said(tmp_path: Path) -> None:
    masks = read_nifti_labels(image(two_labels(), tmp_path / "a.nii"))
    assert mask_of(masks, "kidney_right").sum() == np.sum(two_labels() == 2)
    assert masks.notes == (FROM_CLASS_MAP,)


@pytest.mark.parametrize(("file", "name"), [("Left kidney", "kidney_left"), ("JOHN DOE", "mask")])
def test_a_single_mask_is_named_by_its_file_only_if_this_is_a_structure(
    tmp_path: Path, file: str, name: str
) -> None:
    labels = (two_labels() == 1).astype(np.uint8)
    assert read_nifti_labels(image(labels, tmp_path / f"{file}.nii.gz")).places.keys() == {name}


def test_a_label_that_a_table_does_not_name_is_kept_with_its_number(tmp_path: Path) -> None:
    path = image(two_labels(), tmp_path / "a.nii.gz")
    (tmp_path / "a.json").write_text('{"1": "liver"}')
    assert read_nifti_labels(path).places.keys() == {"liver", "label 2"}


def test_a_folder_has_a_mask_in_each_file_and_they_may_overlap(tmp_path: Path) -> None:
    first = two_labels() == 1
    second = np.zeros(SHAPE, dtype=np.float32)
    second[2:6] = 0.7
    image(first.astype(np.uint8), tmp_path / "liver.nii.gz")
    image(second, tmp_path / "my_own.nii.gz")
    masks = read_masks(tmp_path, None)
    assert np.array_equal(mask_of(masks, "liver"), first)
    assert np.array_equal(mask_of(masks, "my_own"), second > 0.5)


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        (np.full(SHAPE, 0.5, dtype=np.float32), "holds values that are no labels"),
        (np.full(SHAPE, -1, dtype=np.int16), "holds values that are no labels"),
    ],
)
def test_values_that_are_no_labels_are_refused(
    tmp_path: Path, labels: NDArray[np.generic], error: str
) -> None:
    with pytest.raises(InputError, match=error):
        read_nifti_labels(image(labels, tmp_path / "a.nii"))


@pytest.mark.parametrize("text", ['{"1": "liver", "2": "Liver"}', "[1, 2]", "no JSON"])
def test_a_table_without_a_name_for_each_label_is_refused(tmp_path: Path, text: str) -> None:
    path = image(two_labels(), tmp_path / "a.nii")
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"names of labels|have the same name"):
        read_nifti_labels(path)


def test_a_folder_with_files_of_labels_or_of_several_grids_is_refused(tmp_path: Path) -> None:
    image(np.ones(SHAPE, dtype=np.uint8), tmp_path / "a.nii")
    image(two_labels(), tmp_path / "b.nii")
    with pytest.raises(InputError, match="NIfTI file 2 of 2 holds values beyond 0 and 1"):
        read_masks(tmp_path, None)
    image(np.ones((8, 9, 12), dtype=np.uint8), tmp_path / "b.nii")
    with pytest.raises(InputError, match="NIfTI file 2 of 2 has another grid"):
        read_masks(tmp_path, None)
    (tmp_path / "b.nii").unlink()
    image(np.ones(SHAPE, dtype=np.uint8), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match="name the same structure"):
        read_masks(tmp_path, None)


def test_a_folder_without_a_result_and_a_missing_path_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no SEG, no RTSTRUCT and no NIfTI"):
        read_masks(tmp_path, None)
    with pytest.raises(InputError, match="does not exist"):
        read_masks(tmp_path / "missing", None)
