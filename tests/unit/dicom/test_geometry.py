from collections.abc import Sequence

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from totalmap.dicom.geometry import (
    Geometry,
    canonical_zooms,
    from_canonical,
    slice_affine,
    slice_normal,
    to_canonical,
    to_las,
)

ORIENTATIONS = {
    "axial": [1, 0, 0, 0, 1, 0],
    "prone": [-1, 0, 0, 0, -1, 0],
    "row to the right": [-1, 0, 0, 0, 1, 0],
    "coronal": [1, 0, 0, 0, 0, -1],
    "sagittal": [0, 1, 0, 0, 0, -1],
}


def geometry_of(orientation: Sequence[float]) -> Geometry:
    step = slice_normal(orientation) * 3.0
    affine = slice_affine(orientation, (0.5, 0.9), np.array([-10.0, 20.0, 30.0]), step)
    return Geometry(affine_lps=affine, shape=(4, 5, 6))


def numbered(geometry: Geometry) -> NDArray[np.int16]:
    return np.arange(np.prod(geometry.shape), dtype=np.int16).reshape(geometry.shape)


def test_pixel_spacing_is_row_spacing_first() -> None:
    assert geometry_of(ORIENTATIONS["axial"]).spacing_mm == pytest.approx((0.9, 0.5, 3.0))


def test_voxel_volume() -> None:
    assert geometry_of(ORIENTATIONS["coronal"]).voxel_volume_ml == pytest.approx(0.00135)


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_canonical_is_nibabels(orientation: list[float]) -> None:
    geometry = geometry_of(orientation)
    array = numbered(geometry)
    image = nibabel.Nifti1Image(array.transpose(2, 1, 0), geometry.affine_ras)
    canonical = nibabel.as_closest_canonical(image)
    np.testing.assert_array_equal(to_canonical(array, geometry), canonical.get_fdata())
    np.testing.assert_array_equal(canonical_zooms(geometry), canonical.header.get_zooms())


@given(st.tuples(*[st.floats(-180, 180)] * 3))
def test_canonical_can_be_undone_in_any_orientation(angles: tuple[float, float, float]) -> None:
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    geometry = geometry_of(matrix[:, :2].T.ravel().tolist())
    array = numbered(geometry)
    there = to_canonical(array, geometry)
    np.testing.assert_array_equal(from_canonical(there, geometry), array)


@given(st.tuples(*[st.floats(-180, 180)] * 3))
def test_las_keeps_every_voxel_where_it_is(angles: tuple[float, float, float]) -> None:
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    geometry = geometry_of(matrix[:, :2].T.ravel().tolist())
    array = numbered(geometry)
    las, affine = to_las(array, geometry)
    k, j, i = np.argwhere(array == 17)[0]
    x, y, z = np.argwhere(las == 17)[0]
    np.testing.assert_allclose(affine @ [x, y, z, 1], geometry.affine_ras @ [i, j, k, 1], atol=1e-9)


def test_las_of_an_axial_series_is_las() -> None:
    geometry = geometry_of(ORIENTATIONS["axial"])
    _, affine = to_las(numbered(geometry), geometry)
    assert nibabel.aff2axcodes(affine) == ("L", "A", "S")
