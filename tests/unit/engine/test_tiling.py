import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nnunetv2.inference.sliding_window_prediction import (
    compute_gaussian,
    compute_steps_for_sliding_window,
)

from totalmap.engine.tiling import gaussian_weights, tiles

PATCH = (16, 24, 32)
sizes = st.tuples(*[st.integers(1, 120)] * 3)


@given(sizes, st.sampled_from([0.5, 0.8]))
def test_tiles_are_nnunets(size: tuple[int, int, int], step_size: float) -> None:
    shape = tuple(map(max, size, PATCH))
    starts = compute_steps_for_sliding_window(shape, PATCH, step_size)
    expected = [(z, y, x) for z in starts[0] for y in starts[1] for x in starts[2]]
    found = tiles(shape, PATCH, step_size)
    assert [tuple(axis.start for axis in tile) for tile in found] == expected
    assert {tuple(axis.stop - axis.start for axis in tile) for tile in found} == {PATCH}


@pytest.mark.parametrize("patch", [PATCH, (112, 112, 128)])
def test_weights_are_nnunets(patch: tuple[int, int, int]) -> None:
    expected = compute_gaussian(
        patch, sigma_scale=1 / 8, value_scaling_factor=10, device=torch.device("cpu")
    )
    assert torch.equal(gaussian_weights(patch), expected)
