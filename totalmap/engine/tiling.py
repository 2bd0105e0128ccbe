"""Where the tiles of a sliding window lie, how they are weighted, and padding to a full tile.

Source: nnunetv2.inference.sliding_window_prediction (compute_steps_for_sliding_window,
compute_gaussian) and acvl_utils' pad_nd_image. Arrays are (z, y, x).
"""

from functools import lru_cache
from itertools import product

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
    """Returns the tiles of an image at least as large as a patch, z outermost.

    Steps are `step_size` of a patch at most, and evenly spread.
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
    """Returns the weight of each voxel of a tile, (z, y, x) float16, never 0; do not change it."""
    # A filter of a single 1, axis by axis, is the product of three curves.
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
    """Returns the shape with padding around it to at least a patch, and where the image lies."""
    missing = [max(patch - length, 0) for length, patch in zip(shape, patch_size, strict=True)]
    before = [total // 2 for total in missing]
    z, y, x = (slice(low, low + length) for low, length in zip(before, shape, strict=True))
    return tuple(map(max, shape, patch_size)), (z, y, x)
