from dataclasses import replace

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from totalsegmentator.cropping import crop_to_mask

from tests.unit.engine.test_inference_grid import UNEVEN, all_positions, geometry_of, volume_of
from totalmap.engine.crop import box_around, crop, whole

PLACES = st.tuples(st.integers(0, 13), st.integers(0, 17), st.integers(0, 15))


@given(one=PLACES, other=PLACES, margin_mm=st.sampled_from([0.0, 5.0, 7.5, 20.0]))
def test_the_box_is_totalsegmentators(
    one: tuple[int, int, int], other: tuple[int, int, int], margin_mm: float
) -> None:
    geometry = geometry_of()
    mask = np.zeros(geometry.shape, dtype=bool)
    mask[one] = mask[other] = True
    affine = geometry.affine_ras.astype(np.float32).astype(float)
    theirs = nibabel.Nifti1Image(mask.transpose(2, 1, 0).astype(np.uint8), affine)
    _, box = crop_to_mask(theirs, theirs, addon=[margin_mm] * 3)
    ours = box_around(mask, geometry, margin_mm)
    assert ours is not None
    assert [[one.start, one.stop] for one in ours[::-1]] == box


def test_there_is_no_box_around_nothing() -> None:
    geometry = geometry_of()
    assert box_around(np.zeros(geometry.shape, dtype=bool), geometry, 20.0) is None


@pytest.mark.parametrize("steps", [None, UNEVEN])
@pytest.mark.parametrize("tilt_degrees", [0.0, 20.0])
def test_what_is_cropped_stays_where_it_is(
    steps: tuple[float, ...] | None, tilt_degrees: float
) -> None:
    geometry = geometry_of((10.0, -20.0, 30.0), tilt_degrees, steps)
    voxels = np.arange(np.prod(geometry.shape), dtype=np.int16).reshape(geometry.shape)
    box = slice(3, 9), slice(2, 11), slice(5, 14)
    part = crop(volume_of(geometry, voxels), box)
    np.testing.assert_array_equal(part.voxels, voxels[box])
    np.testing.assert_allclose(
        all_positions(part.geometry), all_positions(geometry)[box], atol=1e-9
    )


def test_the_margin_is_measured_where_the_slices_are() -> None:
    """The distances of UNEVEN slices are 3 mm times 1, 1, 0.6, 1.3, 1.1, 1, 2 and so on."""
    geometry = geometry_of(steps=UNEVEN)
    mask = np.zeros(geometry.shape, dtype=bool)
    mask[6, 5, 5] = True
    box = box_around(mask, geometry, 6.0)
    assert box is not None
    assert box[0] == slice(5, 8)  # at steps 5, 6 and 8, two steps around 6


def test_between_two_slices_there_is_something_to_interpolate() -> None:
    geometry = replace(geometry_of(), slice_steps=tuple(10.0 * k + (k > 3) for k in range(14)))
    mask = np.zeros(geometry.shape, dtype=bool)
    mask[13] = True
    box = box_around(mask, geometry, 20.0)
    assert box is not None
    assert box[0] == slice(12, 14)


def test_fractions_are_cut_off() -> None:
    geometry = geometry_of()
    voxels = np.full(geometry.shape, -1.7, dtype=np.float32)
    assert np.unique(crop(volume_of(geometry, voxels), whole(geometry)).voxels) == -1.0
