"""Resamples images and labels between two grids, with the same result as TotalSegmentator.

Source: totalsegmentator.resampling.change_spacing and resample_img, which call scipy.ndimage.zoom.
The arithmetic is that of scipy (NI_ZoomShift), operation by operation in float64, because a
constant region may become 0.9999 of its value and is truncated afterwards. Whole planes are
computed at once, in threads, instead of single voxels.

Arrays are (x, y, z) in canonical orientation; their memory is best laid out with x innermost.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from totalmap.environment_variables import processor_threads

Plane = NDArray[np.float64]
Resample = Callable[
    [NDArray[np.generic], NDArray[np.float32], tuple[float, ...]], NDArray[np.generic]
]
"""`resample_image`, or a function with the same result that runs on a GPU."""


def resample_image(
    image: NDArray[np.generic], zooms_mm: NDArray[np.float32], spacing_mm: tuple[float, ...]
) -> NDArray[np.generic]:
    """Returns the image at another spacing, linearly interpolated.

    Values are truncated towards zero, as TotalSegmentator does before it saves the image as int32.
    int16 stays int16, since no value exceeds its neighbours. An image that has the spacing already
    is returned unchanged.

    Args:
        image: (x, y, z), HU.
        zooms_mm: (3,) spacing of `image`, float32 as in a NIfTI header.
        spacing_mm: (3,) the network's spacing, (x, y, z).
    """
    target = np.asarray(spacing_mm, dtype=np.float64)
    if np.array_equal(zooms_mm, target):
        return image
    x, y, z = linear_axes(image.shape, zooms_mm, spacing_mm)
    source = image.transpose(2, 1, 0)
    result = np.empty((z.size, y.size, x.size), dtype=resampled_type(image.dtype))

    def fill(planes: Iterable[int]) -> None:
        corners = lru_cache(maxsize=2)(lambda k: _corners(source[k], y, x))
        for n in planes:
            low, high = corners(int(z.index[0][n])), corners(int(z.index[1][n]))
            total: Plane = low[0] * z.weight[0][n]
            total += high[0] * z.weight[1][n]
            for below, above in zip(low[1:], high[1:], strict=True):
                total += below * z.weight[0][n]
                total += above * z.weight[1][n]
            result[n] = total

    _in_threads(fill, z.size)
    return result.transpose(2, 1, 0)


def resampled_shape(
    shape: tuple[int, ...], zooms_mm: NDArray[np.float32], spacing_mm: tuple[float, ...]
) -> tuple[int, ...]:
    """Returns the shape, (x, y, z), that `resample_image` gives an image of `shape`.

    Args:
        shape: (x, y, z).
        zooms_mm: (3,) spacing of the image, float32 as in a NIfTI header.
        spacing_mm: (3,) the network's spacing, (x, y, z).
    """
    zooms = zooms_mm / np.asarray(spacing_mm, dtype=np.float64)
    return tuple(round(before * zoom) for before, zoom in zip(shape, zooms, strict=True))


def resampled_type(dtype: np.dtype[Any]) -> type[np.int16 | np.int32]:
    """Returns the type that `resample_image` gives an image of `dtype`."""
    return np.int16 if dtype == np.int16 else np.int32


def linear_axes(
    shape: tuple[int, ...], zooms_mm: NDArray[np.float32], spacing_mm: tuple[float, ...]
) -> "tuple[LinearAxis, LinearAxis, LinearAxis]":
    """Returns how `resample_image` interpolates along x, y and z.

    Args:
        shape: (x, y, z) of the image.
        zooms_mm: (3,) spacing of the image, float32 as in a NIfTI header.
        spacing_mm: (3,) the network's spacing, (x, y, z).
    """
    after = resampled_shape(shape, zooms_mm, spacing_mm)
    x, y, z = (LinearAxis.of(*sizes) for sizes in zip(shape, after, strict=True))
    return x, y, z


def resample_labels(labels: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Returns the labels on a grid of `shape`, nearest neighbour; (x, y, z) both."""
    if labels.shape == shape:
        return labels
    x, y, z = (_nearest(before, after) for before, after in zip(labels.shape, shape, strict=True))
    source = labels.transpose(2, 1, 0)
    result = np.empty(shape[::-1], dtype=np.uint8)

    def fill(planes: Iterable[int]) -> None:
        resampled = lru_cache(maxsize=1)(lambda k: source[k].take(x, axis=1).take(y, axis=0))
        for n in planes:
            result[n] = resampled(int(z[n]))

    _in_threads(fill, len(z))
    return result.transpose(2, 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearAxis:
    """Linear interpolation along an axis.

    Attributes:
        index: (2, n) old voxels before and after each new voxel.
        weight: (2, n) weights of these voxels.
    """

    index: NDArray[np.intp]
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, before: int, after: int) -> "LinearAxis":
        """Returns how an axis of `before` voxels is interpolated at `after` voxels."""
        place = _places(before, after)
        first = np.floor(place)
        weight = 1.0 - (place - first)
        # A position may exceed the last voxel by a rounding error. scipy then uses that voxel twice
        # with both weights, and the sum of the products may fall below an integer.
        index = np.minimum(np.stack([first, first + 1]), before - 1).astype(np.intp)
        return cls(index=index, weight=np.stack([weight, 1.0 - weight]))

    @property
    def size(self) -> int:
        """Number of new voxels."""
        return int(self.index.shape[1])


def _places(before: int, after: int) -> NDArray[np.float64]:
    """Returns the positions of the new voxels on the old axis; both axes have the same ends.

    As in NI_ZoomShift, the last position may exceed the last voxel by a rounding error.
    """
    step = (before - 1) / (after - 1) if after > 1 else 1.0
    return np.arange(after, dtype=np.float64) * step


def _nearest(before: int, after: int) -> NDArray[np.intp]:
    return np.minimum(np.floor(_places(before, after) + 0.5), before - 1).astype(np.intp)


def _corners(plane: NDArray[np.generic], y: LinearAxis, x: LinearAxis) -> list[Plane]:
    """Returns the weighted values of the four neighbours in a plane (y, x) of each new voxel."""
    corners = []
    for x_index, x_weight in zip(x.index, x.weight, strict=True):
        columns = plane.take(x_index, axis=1) * x_weight
        corners += [
            columns.take(y_index, axis=0) * y_weight[:, np.newaxis]
            for y_index, y_weight in zip(y.index, y.weight, strict=True)
        ]
    return corners


def _in_threads(fill: Callable[[Iterable[int]], None], planes: int) -> None:
    """Distributes the planes over as many threads as this process may have."""
    threads = min(processor_threads(), planes)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, np.array_split(np.arange(planes), threads)))
