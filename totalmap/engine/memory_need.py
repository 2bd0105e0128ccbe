"""Estimates the memory that a prediction needs."""

from collections.abc import Mapping
from math import prod

from totalmap.engine.nnunet_plans import Plans, ZScoreNormalization
from totalmap.settings import Arithmetic

# Peak bytes of a tile for each voxel and feature of the first stage, measured with networks of real
# size (benchmarks/memory.py), and a fifth more.
TILE_BYTES = {Arithmetic.EXACT: 32, Arithmetic.COMPILED: 24, Arithmetic.BF16: 16}
# The same if freed memory is not kept (totalmap/keep_freed_memory.py); the other arithmetics never
# keep it.
SMALLER_TILE_BYTES = TILE_BYTES | {Arithmetic.EXACT: 29}

_FLOAT32, _FLOAT16, _UINT8 = 4, 2, 1


def bytes_needed(
    shape: tuple[int, ...],
    plans: tuple[Plans, ...],
    arithmetic: Arithmetic,
    tile_bytes: Mapping[Arithmetic, int] = TILE_BYTES,
) -> int:
    """Returns the bytes that a prediction needs in addition, with the networks loaded.

    Args:
        shape: (z, y, x) voxels of the image, at the spacing of the networks.
        plans: Plans of the networks, which run one after the other.
        arithmetic: Arithmetic of the networks.
        tile_bytes: Bytes of a tile for each voxel and feature.
    """
    # Labels of one network, of a part of the image, and of the whole image.
    image = prod(shape) * 3 * _UINT8
    if any(isinstance(plan.normalization, ZScoreNormalization) for plan in plans):
        image += prod(shape) * _FLOAT32
    return image + max(_tile(shape, plan, tile_bytes[arithmetic]) for plan in plans)


def _tile(shape: tuple[int, ...], plans: Plans, tile_bytes: int) -> int:
    """Returns the bytes of a tile, with the sums of logits for its planes."""
    depth = plans.patch_size[0]
    plane = prod(map(max, shape[1:], plans.patch_size[1:]))
    sums = depth * plane * (plans.heads + 1) * _FLOAT16
    return prod(plans.patch_size) * plans.features * tile_bytes + sums
