from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  its usual name
from totalsegmentator.nifti_ext_header import load_multilabel_nifti

from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import segmentation_of
from totalmap.result_options import NiftiGrid
from totalmap.segmentation import Segmentation
from totalmap.settings import ResultsSection, Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.nifti import nifti_warnings, write_nifti

STRAIGHT = Settings(results=ResultsSection(nifti_grid=NiftiGrid.INFERENCE))
TILTED = SeriesSpec(
    rows=24,
    columns=24,
    n_slices=8,
    pixel_spacing_mm=(17.5, 17.5),
    slice_spacing_mm=20.0,
    tilt_degrees=20.0,
)


def written_nifti(
    segmentation: Segmentation, folder: Path, settings: Settings | None = None
) -> Path:
    with open_release(folder) as release:
        result = write_nifti(segmentation, settings or Settings(), release)
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


@pytest.fixture(scope="module")
def tilted(tmp_path_factory: pytest.TempPathFactory) -> Segmentation:
    """Labels on tilted slices, which the network saw on a straight grid."""
    segmentation = segmentation_of(write_series(tmp_path_factory.mktemp("tilted"), 1, TILTED))
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, :3] = np.diag([-17.5, -17.5, 20.0])
    return replace(segmentation, inference=replace(segmentation.inference, affine_lps=affine))


def test_nifti_on_the_grid_of_the_network_opens_in_itk_though_the_gantry_was_tilted(
    tilted: Segmentation, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="orthonormal"):
        sitk.ReadImage(str(written_nifti(tilted, tmp_path / "source")))
    path = written_nifti(tilted, tmp_path / "straight", STRAIGHT)
    image = sitk.ReadImage(str(path))
    labels = sitk.GetArrayFromImage(image)
    assert (labels.transpose(2, 1, 0) == tilted.inference.labels).all()
    index = tuple(int(n) for n in np.argwhere(tilted.inference.labels)[0])
    position = tilted.inference.affine_lps @ [*index, 1]
    in_itk = image.TransformIndexToPhysicalPoint(index)  # type: ignore[no-untyped-call]
    assert in_itk == pytest.approx(position[:3])


def test_a_sheared_nifti_is_named_in_a_warning_with_its_remedy(
    tilted: Segmentation, true_segmentation: Segmentation
) -> None:
    (warning,) = nifti_warnings(tilted, Settings())
    assert "tilted by 20.0 degrees" in warning
    assert "results.nifti_grid" in warning
    assert nifti_warnings(tilted, STRAIGHT) == ()
    assert nifti_warnings(true_segmentation, Settings()) == ()
