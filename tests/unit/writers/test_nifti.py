from pathlib import Path

import nibabel
import numpy as np
from totalsegmentator.nifti_ext_header import load_multilabel_nifti

from totalmap.segmentation import Segmentation
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.nifti import write_nifti


def written_nifti(segmentation: Segmentation, folder: Path) -> Path:
    with open_release(folder) as release:
        result = write_nifti(segmentation, release)
        release.publish({})
    return folder / result.path


def test_nifti_voxels_have_the_positions_of_the_source(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    image = nibabel.load(written_nifti(true_segmentation, tmp_path))
    assert image.get_data_dtype() == np.uint8
    k, j, i = np.argwhere(true_segmentation.labels == 5).T
    in_patient = nibabel.affines.apply_affine(
        true_segmentation.volume.geometry.affine_ras, np.stack([i, j, k], axis=1)
    )
    voxels = nibabel.affines.apply_affine(np.linalg.inv(image.affine), in_patient)
    x, y, z = np.rint(voxels).astype(int).T
    values = np.asarray(image.dataobj)
    assert (values[x, y, z] == 5).all()
    assert (values == 5).sum() == len(x)


def test_totalsegmentator_reads_the_structure_names_from_the_nifti(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    _, names = load_multilabel_nifti(written_nifti(true_segmentation, tmp_path))
    assert names == {structure.label: structure.name for structure in true_segmentation.structures}


def test_same_labels_give_the_same_nifti_bytes(
    true_segmentation: Segmentation, tmp_path: Path
) -> None:
    first = written_nifti(true_segmentation, tmp_path / "a").read_bytes()
    assert written_nifti(true_segmentation, tmp_path / "b").read_bytes() == first
