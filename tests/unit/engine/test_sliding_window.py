from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from totalmap.engine.logit_margins import MarginSums
from totalmap.engine.sliding_window import (
    TileCounter,
    TopTwo,
    predict_labels,
    top_two,
    top_two_in_place,
)
from totalmap.engine.sum_confidence_margins import LABELS
from totalmap.engine.tile_layout import Slices, gaussian_weights, tiles
from totalmap.errors import OutputError

PATCH = (6, 5, 7)
HEADS = 4
CPU = torch.device("cpu")

sizes = st.tuples(*(st.integers(size, 3 * size + 2) for size in PATCH))


class Noise:
    """Returns logits that depend on the image and on the place within the tile."""

    heads = HEADS
    device = CPU

    def __init__(self, planes_at_once: int, scale: float = 1.0, *, on_gpu: bool = False) -> None:
        self.on_gpu = on_gpu
        self.planes_at_once = planes_at_once
        self.freed = False
        generator = torch.Generator().manual_seed(0)
        self._mask = scale * torch.randn((HEADS, *PATCH), generator=generator)

    def features(self, tile: torch.Tensor) -> torch.Tensor:
        return tile[None]

    def logits(self, features: torch.Tensor, planes: slice) -> torch.Tensor:
        return features[:, planes] * self._mask[:, planes]

    def free_tile_memory(self) -> None:
        self.freed = True


def tiles_of(image: NDArray[np.float32]) -> Callable[[Slices], torch.Tensor]:
    return lambda tile: torch.from_numpy(image[tile])


def everywhere(image: NDArray[np.generic]) -> MarginSums:
    z, y, x = (slice(0, size) for size in image.shape)
    return MarginSums((z, y, x))


def all_at_once(image: NDArray[np.float32], step_size: float, network: Noise) -> torch.Tensor:
    """Returns (channel, z, y, x) as nnU-Net does: the logits of the whole image, in float16."""
    weights = gaussian_weights(PATCH)
    sums = torch.zeros((HEADS, *image.shape), dtype=torch.half)
    weight_sums = torch.zeros(image.shape, dtype=torch.half)
    for tile in tiles(image.shape, PATCH, step_size):
        features = network.features(torch.from_numpy(image[tile]))
        prediction = network.logits(features, slice(0, PATCH[0]))
        prediction *= weights
        sums[(slice(None), *tile)] += prediction
        weight_sums[tile] += weights
    return torch.div(sums, weight_sums, out=sums)


@given(sizes, st.sampled_from([0.5, 0.8]), st.integers(1, 7), st.booleans(), st.integers(0, 99))
@settings(max_examples=60)
def test_network_labels_computed_plane_by_plane_equal_those_of_the_whole_image(
    size: tuple[int, int, int], step_size: float, planes_at_once: int, on_gpu: bool, seed: int
) -> None:
    """Also in the layout and with the kernels that a GPU uses, computed on the CPU."""
    # Few different values, so that several channels are often equal and the first has to win.
    image = np.random.default_rng(seed).integers(-2, 3, size).astype(np.float32)
    network, layout = Noise(planes_at_once, on_gpu=on_gpu), tiles(size, PATCH, step_size)
    told: list[tuple[int, int]] = []
    counter = TileCounter(len(layout), lambda done, total: told.append((done, total)))
    margins = everywhere(image)
    found = predict_labels(tiles_of(image), image.shape, layout, network, CPU, counter, margins)
    logits = all_at_once(image, step_size, network)
    np.testing.assert_array_equal(found, logits.argmax(0))
    best, second = logits.double().topk(2, 0).values.numpy()
    for label in range(LABELS):
        assert margins.voxels[label] == (found == label).sum()
        assert margins.totals[label] == pytest.approx((best - second)[found == label].sum())
    assert told == [(n, len(layout)) for n in range(1, len(layout) + 1)]
    assert counter.seconds > 0
    assert network.freed


@pytest.mark.parametrize("scale", [1e6, float("nan")])
def test_network_logits_that_are_not_finite_are_an_error(scale: float) -> None:
    image = np.ones((9, 5, 7), dtype=np.float32)
    layout = tiles(image.shape, PATCH, 0.5)
    counter = TileCounter(2, lambda *_: None)
    network, margins = Noise(1, scale), everywhere(image)
    with pytest.raises(OutputError, match="not finite"):
        predict_labels(tiles_of(image), image.shape, layout, network, CPU, counter, margins)


def test_engine_progress_does_not_count_tiles_of_a_failed_attempt() -> None:
    told: list[tuple[int, int]] = []
    counter = TileCounter(3, lambda done, total: told.append((done, total)))
    with counter.tile():
        pass
    with pytest.raises(MemoryError):
        _do_one_tile_and_fail(counter)
    with counter.attempt(), counter.tile():
        pass
    assert told == [(1, 3), (2, 3), (2, 3)]


def _do_one_tile_and_fail(counter: TileCounter) -> None:
    with counter.attempt():
        with counter.tile():
            pass
        raise MemoryError


def test_a_failed_tile_of_an_image_is_not_reported_as_done() -> None:
    told: list[tuple[int, int]] = []
    counter = TileCounter(1, lambda done, total: told.append((done, total)))
    with pytest.raises(ValueError, match="no"), counter.tile():
        raise ValueError("no")
    assert told == []


LOWEST = torch.finfo(torch.half).min


@given(
    st.tuples(st.integers(1, 3), st.integers(2, 256), st.integers(1, 6), st.integers(1, 6)),
    st.booleans(),
    st.integers(0, 99),
)
@settings(max_examples=100)
def test_labels_and_confidence_margins_equal_those_of_sorted_logits(
    shape: tuple[int, ...], is_tied: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    sums = 5 * torch.randn(shape, generator=generator)
    if is_tied:  # few values, among them 0 and -0, which are equal
        sums = (sums / 5).round() * torch.tensor([1.0, -1.0])[
            torch.arange(shape[1]) % 2, None, None
        ]
    sums = sums.half()
    weights = torch.rand((shape[0], 1, *shape[2:]), generator=generator).half() + 0.5
    kept = sums.clone()
    found = top_two(sums, weights)
    means = sums / weights
    side_by_side = sums.clone(memory_format=torch.channels_last)
    same = top_two_in_place(side_by_side, weights)
    assert torch.equal(same.labels, found.labels)
    assert torch.equal(same.margins, found.margins)
    best, second = means.float().topk(2, 1).values.unbind(1)
    torch.testing.assert_close(found.labels, means.argmax(1).to(torch.uint8), rtol=0, atol=0)
    torch.testing.assert_close(found.margins, best - second, rtol=0, atol=0)
    assert torch.equal(sums, kept)


def one_voxel(*values: float) -> tuple[torch.Tensor, torch.Tensor]:
    sums = torch.tensor(values, dtype=torch.half)[None, :, None, None]
    return sums, torch.ones((1, 1, 1, 1), dtype=torch.half)


ChooseLabels = Callable[[torch.Tensor, torch.Tensor], TopTwo]
both_ways = pytest.mark.parametrize("choose", [top_two, top_two_in_place])


@both_ways
def test_a_logit_overflow_in_another_channel_gives_a_finite_confidence_margin(
    choose: ChooseLabels,
) -> None:
    """An absent structure's logit may overflow; the margin stays finite."""
    found = choose(*one_voxel(-np.inf, 3.0, -np.inf))
    assert int(found.labels) == 1
    assert float(found.margins) == 3.0 - LOWEST


@both_ways
@pytest.mark.parametrize("worst", [np.inf, np.nan])
@pytest.mark.parametrize("place", range(3))
def test_a_largest_network_logit_that_is_not_finite_is_an_error(
    choose: ChooseLabels, worst: float, place: int
) -> None:
    values = [1.0, 2.0, 3.0]
    values[place] = worst
    with pytest.raises(OutputError, match="not finite"):
        choose(*one_voxel(*values))
