from collections.abc import Sequence
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from totalmap.dicom.geometry import (
    Geometry,
    Plane,
    canonical_affine_lps,
    canonical_zooms,
    from_canonical,
    stack_affine,
    to_canonical,
    to_equidistant,
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
    plane = Plane(
        position_mm=(-10.0, 20.0, 30.0), cosines=tuple(orientation), pixel_spacing_mm=(0.5, 0.9)
    )
    return Geometry.regular(stack_affine(plane, plane.normal * 3.0), (4, 5, 6))


def numbered(geometry: Geometry) -> NDArray[np.int16]:
    return np.arange(np.prod(geometry.shape), dtype=np.int16).reshape(geometry.shape)


def test_the_first_value_of_pixel_spacing_is_the_distance_between_rows() -> None:
    assert geometry_of(ORIENTATIONS["axial"]).spacing_mm == pytest.approx((0.9, 0.5, 3.0))


def test_the_volume_of_a_voxel_is_the_product_of_its_spacings() -> None:
    volumes_ml = geometry_of(ORIENTATIONS["coronal"]).voxel_volumes_ml
    assert volumes_ml.tolist() == pytest.approx([0.00135] * 4)


def test_the_volume_of_a_voxel_reaches_half_way_to_the_neighbouring_slices() -> None:
    geometry = replace(geometry_of(ORIENTATIONS["axial"]), slice_steps=(0.0, 1.0, 2.0, 4.0))
    in_steps = geometry.voxel_volumes_ml / 0.00135
    assert in_steps.tolist() == pytest.approx([1.0, 1.0, 1.5, 2.0])


def test_voxel_positions_follow_the_equation_of_the_dicom_standard() -> None:
    geometry = replace(geometry_of(ORIENTATIONS["prone"]), slice_steps=(0.0, 1.0, 2.0, 4.0))
    (position,) = geometry.positions_lps(np.array([[3, 2, 1]]))
    # i = 1 column of 0.9 mm to the right, j = 2 rows of 0.5 mm to the front, 4 steps of 3 mm up.
    assert position.tolist() == pytest.approx([-10 - 0.9, 20 - 1.0, 30 + 12.0])


@pytest.mark.parametrize("degrees", [0.0, 0.2, 12.0, -25.0])
def test_tilt_is_the_angle_between_stacking_direction_and_slice_normal(degrees: float) -> None:
    upright = geometry_of(ORIENTATIONS["axial"])
    affine = upright.affine_lps.copy()
    affine[1, 2] = 3.0 * np.tan(np.radians(degrees))
    tilted = Geometry.regular(affine, upright.shape)
    assert tilted.tilt_degrees == pytest.approx(abs(degrees), abs=1e-4)
    assert tilted.is_grid is (abs(degrees) < 0.25)


def test_a_slice_stack_with_a_missing_slice_is_no_regular_grid() -> None:
    geometry = replace(geometry_of(ORIENTATIONS["axial"]), slice_steps=(0.0, 1.0, 2.0, 4.0))
    assert not geometry.is_equidistant
    assert not geometry.is_grid


def test_missing_slices_are_filled_with_copies_of_the_nearest_slice() -> None:
    geometry = replace(geometry_of(ORIENTATIONS["axial"]), slice_steps=(0.0, 1.0, 2.0, 4.9))
    array = numbered(geometry)
    filled, equidistant = to_equidistant(array, geometry)
    assert equidistant.shape == (6, 5, 6)
    np.testing.assert_array_equal(filled, array[[0, 1, 2, 2, 3, 3]])
    assert to_equidistant(array, geometry_of(ORIENTATIONS["axial"]))[0] is array


@pytest.mark.parametrize(
    ("cosines", "name"),
    [
        ((1, 0, 0, 0, 1, 0), "axial"),
        ((-1, 0, 0, 0, -1, 0), "axial"),
        ((1, 0, 0, 0, 0.87, -0.5), "axial"),
        ((1, 0, 0, 0, 0, -1), "coronal"),
        ((0, 1, 0, 0, 0, -1), "sagittal"),
        ((1, 0, 0, 0, 0.7071, -0.7071), "oblique"),
    ],
)
def test_the_direction_cosines_of_a_slice_give_the_name_of_its_orientation(
    cosines: tuple[float, ...], name: str
) -> None:
    plane = Plane(position_mm=(0.0, 0.0, 0.0), cosines=cosines, pixel_spacing_mm=(1.0, 1.0))
    assert plane.orientation == name


@given(st.tuples(*[st.floats(-180, 180)] * 3))
def test_the_canonical_affine_gives_the_positions_of_the_canonical_array(
    angles: tuple[float, float, float],
) -> None:
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    geometry = geometry_of(matrix[:, :2].T.ravel().tolist())
    array = numbered(geometry)
    index = np.argwhere(array == 17)
    (x, y, z) = np.argwhere(to_canonical(array, geometry) == 17)[0]
    position = canonical_affine_lps(geometry) @ [x, y, z, 1]
    np.testing.assert_allclose(position[:3], geometry.positions_lps(index)[0], atol=1e-9)


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_the_canonical_array_and_its_zooms_equal_those_of_nibabel(orientation: list[float]) -> None:
    geometry = geometry_of(orientation)
    array = numbered(geometry)
    image = nibabel.Nifti1Image(array.transpose(2, 1, 0), geometry.affine_ras)
    canonical = nibabel.as_closest_canonical(image)
    np.testing.assert_array_equal(to_canonical(array, geometry), canonical.get_fdata())
    np.testing.assert_array_equal(canonical_zooms(geometry), canonical.header.get_zooms())


@given(st.tuples(*[st.floats(-180, 180)] * 3))
def test_turning_a_volume_to_canonical_axes_and_back_restores_it_in_any_orientation(
    angles: tuple[float, float, float],
) -> None:
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    geometry = geometry_of(matrix[:, :2].T.ravel().tolist())
    array = numbered(geometry)
    there = to_canonical(array, geometry)
    np.testing.assert_array_equal(from_canonical(there, geometry), array)


@given(st.tuples(*[st.floats(-180, 180)] * 3))
def test_the_las_array_keeps_the_position_of_every_voxel(
    angles: tuple[float, float, float],
) -> None:
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    geometry = geometry_of(matrix[:, :2].T.ravel().tolist())
    array = numbered(geometry)
    las, affine = to_las(array, geometry)
    k, j, i = np.argwhere(array == 17)[0]
    x, y, z = np.argwhere(las == 17)[0]
    np.testing.assert_allclose(affine @ [x, y, z, 1], geometry.affine_ras @ [i, j, k, 1], atol=1e-9)


def test_the_las_array_of_an_axial_series_has_the_axes_l_a_s() -> None:
    geometry = geometry_of(ORIENTATIONS["axial"])
    _, affine = to_las(numbered(geometry), geometry)
    assert nibabel.aff2axcodes(affine) == ("L", "A", "S")
