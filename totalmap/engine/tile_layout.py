"""Computes where the tiles of a sliding window lie, their weights, padding, and parts of an image.

Source: nnunetv2.inference.sliding_window_prediction (compute_steps_for_sliding_window,
compute_gaussian), acvl_utils' pad_nd_image, and totalsegmentator.nnunet.nnUNet_predict_image
(do_triple_split). TotalSegmentator splits a very large image into three parts along z to save
memory; TotalMAP does the same because the tiles lie elsewhere then, which changes a few labels.
Arrays are (z, y, x).
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Slices = tuple[slice, slice, slice]

# compute_gaussian is called with sigma_scale=1/8 and value_scaling_factor=10.
SIGMA_OF_PATCH = 1 / 8
PEAK_WEIGHT = 10


def tiles(
    shape: tuple[int, ...], patch_size: tuple[int, int, int], step_size: float
) -> list[Slices]:
    """Returns the tiles of an image at least as large as a patch, ordered by z.

    Steps are at most `step_size` of a patch, and evenly spread.
    """
    starts = [
        _starts(length, patch, step_size) for length, patch in zip(shape, patch_size, strict=True)
    ]
    return [
        (
            slice(z, z + patch_size[0]),
            slice(y, y + patch_size[1]),
            slice(x, x + patch_size[2]),
        )
        for z, y, x in product(*starts)
    ]


def _starts(length: int, patch: int, step_size: float) -> list[int]:
    steps = int(np.ceil((length - patch) / (patch * step_size))) + 1
    if steps == 1:
        return [0]
    step = (length - patch) / (steps - 1)
    return [int(np.round(step * place)) for place in range(steps)]


@lru_cache(maxsize=8)
def gaussian_weights(patch_size: tuple[int, int, int]) -> torch.Tensor:
    """Returns the weight of each voxel of a tile, (z, y, x) float16, never 0; read-only."""
    # A filtered impulse is the product of three curves, one for each axis.
    z, y, x = (_bell(size) for size in patch_size)
    weights = z[:, None, None] * y[:, None] * x
    weights /= weights.max() / PEAK_WEIGHT
    half = torch.from_numpy(weights).to(torch.float16)
    half[half == 0] = half[half != 0].min()
    return half


def _bell(size: int) -> NDArray[np.float64]:
    impulse = np.zeros(size)
    impulse[size // 2] = 1
    bell: NDArray[np.float64] = gaussian_filter1d(
        impulse, size * SIGMA_OF_PATCH, mode="constant", cval=0
    )
    return bell


def inside_padding(
    shape: tuple[int, ...], patch_size: tuple[int, int, int]
) -> tuple[tuple[int, ...], Slices]:
    """Returns the shape after padding to at least a patch, and the box of the image within."""
    missing = [max(patch - length, 0) for length, patch in zip(shape, patch_size, strict=True)]
    before = [total // 2 for total in missing]
    z, y, x = (slice(low, low + length) for low, length in zip(before, shape, strict=True))
    return tuple(map(max, shape, patch_size)), (z, y, x)


SPLIT_ABOVE_VOXELS = 512 * 512 * 900
SPLIT_ABOVE_PLANES = 200
MARGIN_PLANES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePart:
    """A part of an image along z.

    Attributes:
        seen: Planes that are segmented together.
        kept: Planes whose labels are used.
    """

    seen: slice
    kept: slice

    @property
    def kept_of_seen(self) -> slice:
        """The planes `kept`, by their index within `seen`."""
        return slice(self.kept.start - self.seen.start, self.kept.stop - self.seen.start)


def is_split(shape: tuple[int, ...], above_voxels: int = SPLIT_ABOVE_VOXELS) -> bool:
    """Returns whether TotalSegmentator splits an image (z, y, x) for a task of several networks."""
    return prod(shape) > above_voxels and shape[0] > SPLIT_ABOVE_PLANES


def thirds(planes: int) -> tuple[ImagePart, ...]:
    """Returns the three parts of an image with `planes` planes."""
    first, second = planes // 3, planes // 3 * 2
    return (
        ImagePart(seen=slice(0, first + MARGIN_PLANES), kept=slice(0, first)),
        ImagePart(
            seen=slice(first + 1 - MARGIN_PLANES, second + MARGIN_PLANES),
            kept=slice(first, second),
        ),
        ImagePart(seen=slice(second + 1 - MARGIN_PLANES, planes), kept=slice(second, planes)),
    )


def undivided(planes: int) -> tuple[ImagePart, ...]:
    """Returns the only part of an image that is not split."""
    return (ImagePart(seen=slice(0, planes), kept=slice(0, planes)),)
