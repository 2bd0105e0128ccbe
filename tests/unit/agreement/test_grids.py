import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.agreement.random_masks import grid, masks_of
from totalmap.agreement.grids import is_same_grid, on_one_grid
from totalmap.dicom.geometry import LPS_TO_RAS, Affine, Geometry, nifti_geometry, to_las
from totalmap.errors import UnsupportedGeometry

NAMES = {1: "liver"}
SHAPE = (4, 5, 6)
SPACING = (2.0, 1.0, 0.5)


def labels_with(voxel: tuple[int, int, int], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    labels = np.zeros(shape, dtype=np.uint8)
    labels[voxel] = 1
    return labels


def moved(geometry: Geometry, i: float, j: float, s: float) -> Affine:
    affine = geometry.affine_lps.copy()
    affine[:, 3] = affine @ [i, j, s, 1.0]
    return affine


def test_axes_in_another_order_and_direction_are_turned_without_a_change() -> None:
    geometry = grid(SHAPE, SPACING)
    labels = labels_with((3, 1, 2), SHAPE)
    array, affine_ras = to_las(labels, geometry)
    other = nifti_geometry(affine_ras, array.shape)
    for permutation in ((2, 1, 0), (0, 2, 1), (1, 0, 2)):
        view = array.transpose(permutation)
        columns = affine_ras[:, [*permutation, 3]]
        turned = nifti_geometry(columns, view.shape)
        _, b = on_one_grid(
            masks_of(labels, NAMES, geometry),
            masks_of(view.transpose(2, 1, 0), NAMES, turned),
            resample=False,
        )
        assert np.array_equal(b.layers[0], labels)
        assert b.geometry is geometry
    assert not is_same_grid(geometry, other) or np.array_equal(array.transpose(2, 1, 0), labels)


def test_positions_that_differ_by_rounding_are_the_same_grid() -> None:
    geometry = grid(SHAPE, SPACING)
    rounded = geometry.affine_lps.astype(np.float32).astype(float) + 1e-4
    assert is_same_grid(geometry, Geometry.regular(rounded, SHAPE))
    assert not is_same_grid(geometry, Geometry.regular(moved(geometry, 0.3, 0, 0), SHAPE))
    assert not is_same_grid(geometry, Geometry.regular(moved(geometry, 1, 0, 0), SHAPE))


def test_a_seg_without_its_images_is_extended_to_all_slices() -> None:
    geometry = grid(SHAPE, SPACING)
    labels = labels_with((2, 1, 2), SHAPE)
    part = Geometry.regular(moved(geometry, 0, 0, 1), (2, 5, 6))
    whole = masks_of(labels, NAMES, geometry)
    sparse = masks_of(labels[1:3], NAMES, part, covers_all_slices=False)
    a, b = on_one_grid(whole, sparse, resample=False)
    assert np.array_equal(b.layers[0], a.layers[0])
    a, b = on_one_grid(sparse, whole, resample=False)
    assert np.array_equal(a.layers[0], labels)
    assert is_same_grid(a.geometry, geometry)


def test_two_segs_without_images_are_extended_to_the_slices_of_both() -> None:
    geometry = grid(SHAPE, SPACING)
    first = masks_of(labels_with((1, 1, 1), (2, 5, 6)), NAMES, None, covers_all_slices=False)
    later = Geometry.regular(moved(first.geometry, 0, 0, 3), (1, 5, 6))
    second = masks_of(labels_with((0, 2, 2), (1, 5, 6)), NAMES, later, covers_all_slices=False)
    a, b = on_one_grid(first, second, resample=False)
    assert a.geometry.shape == b.layers[0].shape == (4, 5, 6)
    assert np.argwhere(a.layers[0]).tolist() == [[1, 1, 1]]
    assert np.argwhere(b.layers[0]).tolist() == [[3, 2, 2]]
    assert geometry.shape == SHAPE


@pytest.mark.parametrize("is_smaller", [False, True])
def test_other_grids_are_refused_and_both_are_named(is_smaller: bool) -> None:
    a = masks_of(labels_with((0, 0, 0), SHAPE), NAMES, grid(SHAPE, SPACING))
    shape = (3, 5, 6) if is_smaller else SHAPE
    spacing = SPACING if is_smaller else (2.5, 1.0, 0.5)
    b = masks_of(labels_with((0, 0, 0), shape), NAMES, grid(shape, spacing))
    with pytest.raises(UnsupportedGeometry) as raised:
        on_one_grid(a, b, resample=False)
    message = str(raised.value)
    assert "A has 6 x 5 x 4 voxels of 0.5 x 1 x 2 mm from (-10.0, -20.0, 30.0) mm" in message
    assert f"B has 6 x 5 x {shape[0]} voxels of 0.5 x 1 x {spacing[0]:g} mm" in message
    assert "--resample" in message


def test_resampling_gives_each_voxel_the_label_of_the_nearest_one_and_is_said() -> None:
    fine = grid((8, 5, 6), (1.0, 1.0, 0.5))
    coarse = grid(SHAPE, SPACING)
    labels = np.random.default_rng(0).integers(0, 3, fine.shape).astype(np.uint8)
    turned = LPS_TO_RAS @ fine.affine_lps
    b = masks_of(labels, NAMES, nifti_geometry(turned, fine.shape[::-1]))
    _, resampled = on_one_grid(
        masks_of(labels_with((0, 0, 0), SHAPE), NAMES, coarse), b, resample=True
    )
    assert np.array_equal(resampled.layers[0], labels[::2])
    assert resampled.geometry is coarse
    assert "resampled onto the grid of A" in resampled.notes[0]
    assert "6 x 5 x 8 voxels" in resampled.notes[0]
