import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nnunetv2.inference.sliding_window_prediction import (
    compute_gaussian,
    compute_steps_for_sliding_window,
)

from totalmap.engine.tile_layout import gaussian_weights, is_split, thirds, tiles, undivided

MARGIN_PLANES = 20
PATCH = (16, 24, 32)
sizes = st.tuples(*[st.integers(1, 120)] * 3)


@given(sizes, st.sampled_from([0.5, 0.8]))
def test_tiles_of_the_sliding_window_equal_those_of_nnunet(
    size: tuple[int, int, int], step_size: float
) -> None:
    shape = tuple(map(max, size, PATCH))
    starts = compute_steps_for_sliding_window(shape, PATCH, step_size)
    expected = [(z, y, x) for z in starts[0] for y in starts[1] for x in starts[2]]
    found = tiles(shape, PATCH, step_size)
    assert [tuple(axis.start for axis in tile) for tile in found] == expected
    assert {tuple(axis.stop - axis.start for axis in tile) for tile in found} == {PATCH}


@pytest.mark.parametrize("patch", [PATCH, (112, 112, 128)])
def test_gaussian_weights_of_sliding_window_tiles_equal_those_of_nnunet(
    patch: tuple[int, int, int],
) -> None:
    expected = compute_gaussian(
        patch, sigma_scale=1 / 8, value_scaling_factor=10, device=torch.device("cpu")
    )
    assert torch.equal(gaussian_weights(patch), expected)


@given(st.integers(201, 2000))
def test_the_three_parts_into_which_an_image_is_split_equal_those_of_totalsegmentator(
    planes: int,
) -> None:
    """The slices of totalsegmentator.nnunet.nnUNet_predict_image, do_triple_split."""
    image = np.arange(planes)
    third = planes // 3
    seen = [
        image[: third + MARGIN_PLANES],
        image[third + 1 - MARGIN_PLANES : third * 2 + MARGIN_PLANES],
        image[third * 2 + 1 - MARGIN_PLANES :],
    ]
    joined = [
        seen[0][:-MARGIN_PLANES],
        seen[1][MARGIN_PLANES - 1 : -MARGIN_PLANES],
        seen[2][MARGIN_PLANES - 1 :],
    ]
    parts = thirds(planes)
    for part, expected in zip(parts, seen, strict=True):
        np.testing.assert_array_equal(image[part.seen], expected)
    kept = [image[part.seen][part.kept_of_seen] for part in parts]
    for found, expected in zip(kept, joined, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.concatenate([image[part.kept] for part in parts]), image)


def test_an_image_that_is_not_split_is_one_part() -> None:
    (part,) = undivided(30)
    assert part.seen == part.kept == part.kept_of_seen == slice(0, 30)


@pytest.mark.parametrize(
    ("shape", "split"),
    [
        ((900, 512, 512), False),
        ((901, 512, 512), True),
        ((200, 1100, 1100), False),  # not long enough
        ((201, 1100, 1100), True),
    ],
)
def test_only_large_and_long_images_are_split_into_three_parts(
    shape: tuple[int, int, int], split: bool
) -> None:
    assert is_split(shape) == split
