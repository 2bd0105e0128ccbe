"""Volumes and labels are resampled exactly on a grid, and at true positions elsewhere."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from totalmap.dicom.geometry import Geometry, Plane, stack_affine
from totalmap.dicom.volume import Volume
from totalmap.engine.inference_resampling import to_inference_grid, to_straight_grid

SHAPE = (14, 18, 16)
SPACINGS = st.tuples(*[st.floats(1.5, 4.0)] * 3)


def geometry_of(
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0),
    tilt_degrees: float = 0.0,
    steps: tuple[float, ...] | None = None,
) -> Geometry:
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    plane = Plane(
        position_mm=(-20.0, 30.0, 40.0),
        cosines=tuple(matrix[:, :2].T.ravel().tolist()),
        pixel_spacing_mm=(2.0, 2.5),
    )
    step = 3.0 * (plane.normal + np.tan(np.radians(tilt_degrees)) * np.array(plane.cosines[3:]))
    geometry = Geometry.regular(stack_affine(plane, step), SHAPE)
    return replace(geometry, slice_steps=steps) if steps else geometry


def volume_of(geometry: Geometry, voxels: NDArray[Any]) -> Volume:
    return Volume(
        voxels=voxels, geometry=geometry, modality="CT", slices=(), findings=(), folder=""
    )


def all_positions(geometry: Geometry) -> NDArray[np.float64]:
    """Returns (k, j, i, 3) positions of all voxels."""
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    return geometry.positions_lps(index.reshape(-1, 3)).reshape(*geometry.shape, 3)


UNEVEN = (0.0, 1.0, 2.0, 2.6, 3.9, 5.0, 6.0, 8.0, 9.0, 10.0, 11.3, 12.0, 13.0, 14.0)
GEOMETRIES = st.builds(
    geometry_of,
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.sampled_from([0.0, 17.0, -25.0]),
    st.sampled_from([None, UNEVEN]),
)


@settings(max_examples=60)
@given(geometry=GEOMETRIES, spacing_mm=SPACINGS)
def test_image_values_interpolated_for_the_network_lie_at_their_true_positions(
    geometry: Geometry, spacing_mm: tuple[float, float, float]
) -> None:
    """Interpolation keeps a linear function, so the value of a voxel shows its position."""
    gradient = np.array([3.0, -5.0, 7.0])
    field = all_positions(geometry) @ gradient
    image = to_inference_grid(volume_of(geometry, field), spacing_mm)
    x, y, z = (size // 2 for size in image.voxels.shape)
    expected = (image.affine_lps @ [x, y, z, 1])[:3] @ gradient
    # Truncated to whole numbers.
    assert image.voxels[x, y, z] == pytest.approx(expected, abs=1.01)


@settings(max_examples=60)
@given(geometry=GEOMETRIES, spacing_mm=SPACINGS)
def test_network_labels_return_to_their_positions_on_the_source_slices(
    geometry: Geometry, spacing_mm: tuple[float, float, float]
) -> None:
    volume = volume_of(geometry, np.zeros(geometry.shape, dtype=np.int16))
    image = to_inference_grid(volume, spacing_mm)
    centre = all_positions(geometry).reshape(-1, 3).mean(axis=0)
    index = np.stack(np.meshgrid(*map(np.arange, image.voxels.shape), indexing="ij"), axis=-1)
    there = index @ image.affine_lps[:3, :3].T + image.affine_lps[:3, 3]
    half = (there - centre) @ [1.0, 0.5, -0.7] > 0
    back = image.to_source(half.astype(np.uint8))
    distance_mm = (
        (all_positions(geometry) - centre) @ [1.0, 0.5, -0.7] / np.linalg.norm([1, 0.5, -0.7])
    )
    # A nearest neighbour is at most half a diagonal of the grid away.
    certain = np.abs(distance_mm) > np.linalg.norm(spacing_mm) / 2 * 1.2
    np.testing.assert_array_equal(back[certain].astype(bool), distance_mm[certain] > 0)
    assert certain.mean() > 0.3


@settings(max_examples=30)
@given(geometry=GEOMETRIES)
def test_a_straight_inference_grid_has_the_spacing_of_the_slices(geometry: Geometry) -> None:
    gradient = np.array([3.0, -5.0, 7.0])
    field = all_positions(geometry) @ gradient
    image = to_straight_grid(volume_of(geometry, field))
    x, y, z = (size // 2 for size in image.voxels.shape)
    expected = (image.affine_lps @ [x, y, z, 1])[:3] @ gradient
    assert image.voxels[x, y, z] == pytest.approx(expected, abs=1.01)
    labels = np.zeros(image.voxels.shape, dtype=np.uint8)
    assert image.to_source(labels).shape == geometry.shape


@pytest.mark.parametrize("steps", [None, UNEVEN])
def test_corners_of_the_inference_grid_beside_tilted_slices_hold_the_lowest_value(
    steps: tuple[float, ...] | None,
) -> None:
    geometry = geometry_of(tilt_degrees=20.0, steps=steps)
    voxels = np.full(geometry.shape, 50, dtype=np.int16)
    voxels[0, 0, 0] = -1000
    image = to_inference_grid(volume_of(geometry, voxels), (2.0, 2.0, 2.0))
    assert image.voxels.min() == -1000
    assert 0.1 < (image.voxels == -1000).mean() < 0.5


def test_all_source_voxels_lie_on_the_inference_grid() -> None:
    geometry = geometry_of((10.0, 20.0, 30.0), tilt_degrees=-25.0, steps=UNEVEN)
    volume = volume_of(geometry, np.zeros(geometry.shape, dtype=np.int16))
    image = to_inference_grid(volume, (3.0, 3.0, 3.0))
    inverse = np.linalg.inv(image.affine_lps)
    index = all_positions(geometry).reshape(-1, 3) @ inverse[:3, :3].T + inverse[:3, 3]
    assert index.min() > -0.51
    assert (index < np.array(image.voxels.shape) - 0.49).all()


def test_slices_that_form_a_grid_are_resampled_to_totalsegmentators_shape() -> None:
    """tests/integration/test_parity.py compares the values voxel by voxel."""
    geometry = geometry_of()
    voxels = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
    image = to_inference_grid(volume_of(geometry, voxels), (2.0, 2.0, 2.0))
    assert image.voxels.shape == (20, 18, 21)
    assert image.voxels.dtype == np.int16
