from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unit.quality.suitability.series import outside_circle, written
from totalmap.dicom.geometry import Geometry
from totalmap.dicom.volume import Volume
from totalmap.quality.suitability.measure_ct_values import Measures, measure

SHAPE = (40, 128, 128)
AFFINE = np.diag([1.5, 1.5, 3.0, 1.0])
AIR, BODY = -1000.0, 50.0


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    """A volume whose voxels are to be replaced."""
    folder: Path = tmp_path_factory.mktemp("phantom")
    return written(folder)


def measured(
    volume: Volume, hu: NDArray[np.float64], affine: NDArray[np.float64] = AFFINE
) -> Measures:
    voxels = np.rint(hu).astype(np.int16)
    geometry = Geometry.regular(affine, voxels.shape)
    return measure(replace(volume, voxels=voxels, geometry=geometry))


def cylinder(share: float, shape: tuple[int, int, int] = SHAPE) -> NDArray[np.float64]:
    """Returns a body (k, j, i) whose radius is a share of half the field of view."""
    one = np.where(outside_circle(np.empty(shape[1:]), share), AIR, BODY)
    return np.broadcast_to(one, shape).copy()


def noise(sigma: float, seed: int = 0) -> NDArray[np.float64]:
    drawn: NDArray[np.float64] = np.random.default_rng(seed).normal(0.0, sigma, SHAPE)
    return drawn


@settings(max_examples=20)
@given(st.floats(3.0, 90.0), st.integers(0, 1000))
def test_the_noise_in_the_soft_tissue_of_a_ct_is_measured(
    volume: Volume, sigma: float, seed: int
) -> None:
    assert measured(volume, cylinder(0.8) + noise(sigma, seed)).noise_hu == pytest.approx(
        sigma, rel=0.2
    )


@settings(max_examples=20)
@given(st.floats(0.3, 0.9))
def test_a_body_inside_the_field_of_view_touches_no_side(volume: Volume, share: float) -> None:
    assert measured(volume, cylinder(share) + noise(10)).body_at_side == 0.0


@pytest.mark.parametrize("padding", [-3024.0, -2000.0, -1024.0])
def test_a_body_beyond_the_reconstructed_circle_touches_all_of_its_rim(
    volume: Volume, padding: float
) -> None:
    hu = cylinder(2.0) + noise(10)
    hu[:, outside_circle(hu[0])] = padding
    assert measured(volume, hu).body_at_side > 0.9


def test_a_body_at_one_side_touches_this_part_of_the_reconstructed_circle_only(
    volume: Volume,
) -> None:
    hu = np.full(SHAPE, AIR) + noise(10)
    hu[:, 60:] += BODY - AIR
    hu[:, :, :20] = AIR
    hu[:, :, -20:] = AIR
    assert measured(volume, hu).body_at_side == pytest.approx(88 / 512, abs=0.02)


def test_a_patient_table_does_not_count_as_body(volume: Volume) -> None:
    hu = cylinder(0.7) + noise(10)
    hu[:, -2:] = BODY
    assert measured(volume, hu).body_at_side == 0.0


def test_the_sides_of_the_patient_are_found_in_any_orientation(volume: Volume) -> None:
    hu = cylinder(0.8, (128, 128, 128))  # goes through the first and the last slice
    coronal = AFFINE[:, [0, 2, 1, 3]]  # rows from feet to head, slices to the back
    assert measured(volume, hu).body_at_side == 0.0
    assert measured(volume, hu.swapaxes(0, 1), coronal).body_at_side == 0.0
    assert measured(volume, hu, coronal).body_at_side > 0.2


@given(st.integers(1, 12))
def test_the_volume_of_metal_in_a_ct_is_measured_in_ml(volume: Volume, width: int) -> None:
    hu = cylinder(0.8)
    hu[:, 40 : 40 + 2 * width, 40 : 40 + 2 * width] = 3071
    truth_ml = 40 * (2 * width) ** 2 * 1.5 * 1.5 * 3.0 / 1000
    assert measured(volume, hu).metal_ml == pytest.approx(truth_ml, rel=0.01)


@pytest.mark.parametrize("shape", [(2, 2, 2), (5, 3, 200), (200, 2, 3)])
def test_ct_values_of_the_smallest_volumes_are_measured(
    volume: Volume, shape: tuple[int, int, int]
) -> None:
    measures = measured(volume, np.full(shape, AIR))
    assert measures.noise_hu is None
    assert measures.tissue == 0.0


def test_ct_values_beyond_16_bits_are_measured(volume: Volume) -> None:
    voxels = (cylinder(0.8) + noise(10)).astype(np.float32)
    voxels[20, 64, 64] = 70_000
    geometry = Geometry.regular(AFFINE, SHAPE)
    assert measure(replace(volume, voxels=voxels, geometry=geometry)).air_hu == pytest.approx(
        AIR, abs=2
    )


def test_ct_values_of_slices_at_varying_distances_are_measured(volume: Volume) -> None:
    steps = (0.0, 1.0, *np.linspace(50, 1000, 18))
    hu = cylinder(0.8, (20, 128, 128))
    geometry = Geometry(
        affine_lps=np.diag([1.5, 1.5, 0.1, 1.0]), shape=(20, 128, 128), slice_steps=steps
    )
    measures = measure(replace(volume, voxels=hu.astype(np.int16), geometry=geometry))
    assert measures.body_at_side == 0.0
    assert measures.air_hu == AIR
