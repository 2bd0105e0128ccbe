"""Computes labels tile by tile, with memory that does not depend on the length of the image.

Source: nnunetv2's nnUNetPredictor._internal_predict_sliding_window_return_logits, which keeps the
logits of the whole image. Tiles are ordered by z, so all planes below the next tile are final:
their labels are computed and their logits deleted. Arrays are (z, y, x).
"""

import mmap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from totalmap.engine.arithmetic.network_interface import TileNetwork
from totalmap.engine.logit_margins import MarginSums
from totalmap.engine.segment import Progress
from totalmap.engine.tile_layout import Slices, gaussian_weights
from totalmap.errors import OutputError


class TileCounter:
    """Counts the tiles of a run and measures their duration.

    Attributes:
        total: Number of tiles of the run.
        seconds: Duration of all tiles so far.
    """

    def __init__(self, total: int, progress: Progress) -> None:
        self.total = total
        self.seconds = 0.0
        self._done = 0
        self._progress = progress

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Subtracts the tiles of the block again if it fails."""
        done = self._done
        try:
            yield
        except BaseException:
            self._done = done
            raise

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Adds the duration of its block to the seconds."""
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start

    @contextmanager
    def tile(self) -> Iterator[None]:
        """Counts a tile after its block and reports the progress."""
        with self.clock():
            yield
        self._done += 1
        self._progress(self._done, self.total)


@torch.inference_mode()
def predict_labels(
    source: Callable[[Slices], torch.Tensor],
    shape: tuple[int, ...],
    layout: list[Slices],
    network: TileNetwork,
    sums_device: torch.device,
    counter: TileCounter,
    margins: MarginSums,
) -> NDArray[np.uint8]:
    """Returns the channel with the largest mean logit, the first where several are equal.

    Args:
        source: Returns tiles of a normalized image, (z, y, x).
        shape: Shape of this image, which is at least as large as a tile.
        layout: Tiles that cover the image, ordered by z.
        network: Computes the logits of a tile.
        sums_device: Holds the sums of logits.
        counter: Counts the tiles.
        margins: The margins of all voxels are added to it.

    Raises:
        OutputError: A logit is not finite.
    """
    labels = np.empty(shape, dtype=np.uint8)
    patch = tuple(axis.stop - axis.start for axis in layout[0])
    sums = LogitSums(network, patch, shape[1:], sums_device)
    for first, tiles in groupby(layout, key=lambda tile: tile[0].start):
        sums.take_labels(first, labels, margins)
        for tile in tiles:
            with counter.tile():
                # Features have no name here, so that they are freed before the next ones.
                sums.add(tile, _logits(network, source(tile)))
        with counter.clock():
            _wait_for(network.device)
    sums.take_labels(shape[0], labels, margins)
    network.free_tile_memory()
    return labels


def _logits(network: TileNetwork, tile: torch.Tensor) -> Callable[[slice], torch.Tensor]:
    return partial(network.logits, network.features(tile.to(network.device)))


def _wait_for(device: torch.device) -> None:
    """Waits for a GPU, which computes while the next tiles are prepared."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class LogitSums:
    """Weighted sums of logits in float16, for as many planes as a tile is deep.

    Plane z of the image is stored in row z modulo the depth. Sums are float16, tile by tile, as in
    nnU-Net. Another order or precision would change labels where two logits are nearly equal.
    """

    def __init__(
        self,
        network: TileNetwork,
        patch: tuple[int, ...],
        plane_shape: tuple[int, ...],
        device: torch.device,
    ) -> None:
        self._depth = patch[0]
        self._most = network.planes_at_once
        on_gpu = network.on_gpu and device == network.device
        # On a CPU, a plane has to stay in the cache while its channels are compared.
        self._most_labels = self._depth if on_gpu else 1
        self._top_two = top_two_in_place if on_gpu else top_two
        self._sums = _zeros((self._depth, network.heads, *plane_shape), device, on_gpu=on_gpu)
        self._weights = self._sums.new_zeros((self._depth, 1, *plane_shape))
        self._gaussian = gaussian_weights((patch[0], patch[1], patch[2])).to(device)
        # On a CPU, nnU-Net multiplies float32 by float16, in float32.
        self._factors = self._gaussian if on_gpu else self._gaussian.float()
        self._taken = 0

    def add(self, tile: Slices, logits: Callable[[slice], torch.Tensor]) -> None:
        """Adds the logits of a tile, (channel, z, y, x), computed for some planes at a time."""
        z, y, x = tile
        # Always the same numbers of planes: for each new one, cuDNN measures its algorithms.
        for first in range(0, self._depth, self._most):
            inside = slice(first, min(first + self._most, self._depth))
            some = logits(inside).to(self._sums.device)
            some *= self._factors[inside]
            low, high = z.start + inside.start, z.start + inside.stop
            for planes, rows in self._runs(low, high, self._depth):
                part = slice(planes.start - low, planes.stop - low)
                self._sums[rows, :, y, x] += some[:, part].transpose(0, 1)
                self._weights[rows, 0, y, x] += self._gaussian[inside][part]

    def take_labels(self, until: int, labels: NDArray[np.uint8], margins: MarginSums) -> None:
        """Writes the labels of all planes below `until` and clears their sums."""
        for planes, rows in self._runs(self._taken, until, self._most_labels):
            found = self._top_two(self._sums[rows], self._weights[rows])
            labels[planes] = found.labels.cpu().numpy()
            margins.add(planes, found.labels, found.margins)
            self._sums[rows] = 0
            self._weights[rows] = 0
        self._taken = until

    def _runs(self, first: int, last: int, most: int) -> Iterator[tuple[slice, slice]]:
        """Yields planes first..last in runs of neighbouring rows, and these rows."""
        while first < last:
            row = first % self._depth
            count = min(most, last - first, self._depth - row)
            yield slice(first, first + count), slice(row, row + count)
            first += count


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TopTwo:
    """The label of each voxel and its margin.

    Attributes:
        labels: (z, y, x) uint8, the channel of the largest value; the first of equal ones.
        margins: (z, y, x) float32, the largest minus the second largest value.
    """

    labels: torch.Tensor
    margins: torch.Tensor


def top_two(sums: torch.Tensor, weights: torch.Tensor) -> TopTwo:
    """Returns labels and margins from weighted sums of logits.

    A running maximum reads each channel once while it is in the processor's cache, without
    branches. It takes half the time of torch.max, which searches the index of the maximum voxel by
    voxel, and the second largest value costs almost nothing (benchmarks/confidence_cost.py).

    Means are rounded to float16, as in nnU-Net. They are only compared in float32, which is exact.

    Args:
        sums: (z, channel, y, x) float16, at most 256 channels.
        weights: (z, 1, y, x) float16, the divisors of the sums.

    Raises:
        OutputError: A largest value is not finite.
    """
    weights = weights[:, 0]
    half = sums[:, 0] / weights
    best = half.float()
    second = torch.full_like(best, torch.finfo(torch.half).min)  # finite, unlike -inf
    labels = torch.zeros_like(best)
    mean, other = torch.empty_like(best), torch.empty_like(best)
    for channel in range(1, sums.shape[1]):
        mean.copy_(torch.div(sums[:, channel], weights, out=half))
        torch.maximum(second, torch.minimum(best, mean, out=other), out=second)
        torch.maximum(best, mean, out=other)
        # 1 where the channel has the largest value; its number is the largest so far.
        torch.maximum(labels, mean.gt_(best).mul_(channel), out=labels)
        best, other = other, best
    if not torch.isfinite(best).all():
        raise OutputError("the network's logits are not finite")
    return TopTwo(labels=labels.to(torch.uint8), margins=best.sub_(second))


def top_two_in_place(sums: torch.Tensor, weights: torch.Tensor) -> TopTwo:
    """Returns the same as `top_two` with few kernels, as a GPU needs it; the sums are lost.

    The channels of a voxel should be side by side in memory.

    Raises:
        OutputError: A largest value is not finite.
    """
    means = sums.div_(weights)
    best, labels = means.max(1, keepdim=True)  # the first of equal ones
    lowest = torch.finfo(torch.half).min  # finite, unlike -inf
    second = means.scatter_(1, labels, lowest).amax(1).clamp_(min=lowest)
    if not torch.isfinite(best).all():
        raise OutputError("the network's logits are not finite")
    return TopTwo(labels=labels[:, 0].to(torch.uint8), margins=best[:, 0].float().sub_(second))


def _zeros(shape: tuple[int, ...], device: torch.device, *, on_gpu: bool) -> torch.Tensor:
    """Returns float16 zeros: with channels side by side for a GPU, else in a memory mapping.

    In the heap, they would lie for many tiles between the large blocks of each tile, and fragments
    would enlarge the heap by a gigabyte.
    """
    if on_gpu:
        empty = torch.empty(
            shape, dtype=torch.half, device=device, memory_format=torch.channels_last
        )
        return empty.zero_()
    memory = mmap.mmap(-1, prod(shape) * torch.half.itemsize)
    return torch.frombuffer(memory, dtype=torch.half).view(shape)
