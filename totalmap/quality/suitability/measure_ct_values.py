"""Measures values of a CT on a sample of its voxels, without labels and without copying it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.geometry import Geometry
from totalmap.dicom.pixels import INT16, Voxels
from totalmap.dicom.volume import Volume
from totalmap.quality.suitability.header_rules import upright_axis

Sample = NDArray[np.int16]
"""Values (z, y, x): z along the patient's length, y and x across it."""
Mask = NDArray[np.bool_]

SAMPLE_MM = 4.0
# Samples along each side of a block, at least: thicker than the shell of the table.
BLOCK = 3

# Lower values are padding: scanners fill the corners outside their circle with -2000, -2048 or
# -3024.
PADDING_BELOW_HU = -1500
# The middles of the sides are sampled a sixteenth of the field of view inwards, since the circle
# may be smaller than the array.
INSIDE = 16
# Noise leaves at most half of the air at the lowest value.
EVEN_SHARE = 0.9
# Half way from air to soft tissue.
BODY_HU = -500
# Half way from air to fat, with room for air that is not at -1000.
LIGHT_HU = -300
# Every body has a larger share of fat.
LIGHT_SHARE = 0.01
# Fat, water, muscle, organs, most blood with a contrast agent.
TISSUE_HU = (-200, 200)
# Above cortical bone and most enamel; scanners without an extended scale cut off at 3071.
METAL_HU = 2500

# Christianson 2015, 10.2214/AJR.14.13613: standard deviations in small tiles of soft tissue.
NOISE_SLICES = 16
TILE_MM = 6.0
MIN_TILE = 4
# Nearly all larger tiles hold borders of organs.
MAX_TILE_MM = 8.0
SOFT_HU = (0, 100)
QUIET_SHARE = 0.25

# Fewer samples are not evaluated.
MIN_COUNT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Measures of a CT, of the voxels inside the reconstructed circle.

    Attributes:
        voxels: Number of sampled voxels.
        grey_levels: Number of different values among them.
        lowest_hu: The lowest value.
        highest_hu: The highest value.
        at_lowest: Share of voxels with the lowest value, 0 to 1.
        at_highest: Share of voxels with the highest value, 0 to 1.
        lightest_hu: First percentile of the values.
        tissue: Share of fat and soft tissue among voxels denser than air, 0 to 1.
        body_at_side: Share of the sides of the field of view that the body touches, 0 to 1.
        air_hu: Median of the air at the sides; None if there is too little.
        metal_ml: Volume above METAL_HU.
        noise_hu: Standard deviation in homogeneous soft tissue; None if there is too little.
    """

    voxels: int
    grey_levels: int
    lowest_hu: int
    highest_hu: int
    at_lowest: float
    at_highest: float
    lightest_hu: int
    tissue: float
    body_at_side: float
    air_hu: float | None
    metal_ml: float
    noise_hu: float | None


def measure(volume: Volume) -> Measures:
    """Returns the measures of a CT, from one voxel every 4 mm and from 16 whole slices."""
    steps = _steps(volume.geometry)
    sample = _sample(volume, steps)
    is_empty = _unmeasured(sample)
    values = sample[~is_empty] if not is_empty.all() else sample.ravel()
    counts = np.bincount(values.astype(np.intp) - INT16.min, minlength=2**16)
    sum_of = np.concatenate([[0], np.cumsum(counts)])
    body_at_side, air_hu = _sides(sample, is_empty)

    def between(low: int, high: int) -> int:
        return int(sum_of[high + 1 - INT16.min] - sum_of[low - INT16.min])

    present = np.flatnonzero(counts)
    lowest, highest = int(present[0]) + INT16.min, int(present[-1]) + INT16.min
    sampled_ml = float(volume.geometry.voxel_volumes_ml.mean()) * float(np.prod(steps))
    return Measures(
        voxels=len(values),
        grey_levels=len(present),
        lowest_hu=lowest,
        highest_hu=highest,
        at_lowest=int(counts[present[0]]) / len(values),
        at_highest=int(counts[present[-1]]) / len(values),
        lightest_hu=int(np.searchsorted(sum_of[1:], LIGHT_SHARE * len(values))) + INT16.min,
        tissue=between(*TISSUE_HU) / max(between(BODY_HU, INT16.max), 1),
        body_at_side=body_at_side,
        air_hu=air_hu,
        metal_ml=between(METAL_HU + 1, INT16.max) * sampled_ml,
        noise_hu=_noise_hu(volume.voxels, volume.geometry),
    )


def _steps(geometry: Geometry) -> tuple[int, int, int]:
    """Returns the sampling steps along (k, j, i), in voxels."""
    i_mm, j_mm, _ = geometry.spacing_mm
    k_mm = geometry.coverage_mm / max(geometry.shape[0] - 1, 1)
    k, j, i = (
        max(1, min(int(SAMPLE_MM / mm), size))
        for mm, size in zip((k_mm, j_mm, i_mm), geometry.shape, strict=True)
    )
    return k, j, i


def _sample(volume: Volume, steps: tuple[int, int, int]) -> Sample:
    """Returns a sample of the voxels, upright; it begins in the middle of the first step."""
    view = volume.voxels[tuple(slice(step // 2, None, step) for step in steps)]
    upright = np.moveaxis(view, upright_axis(volume.geometry), 0)
    if upright.dtype == np.int16:
        return np.ascontiguousarray(upright)
    return np.rint(upright).clip(INT16.min, INT16.max).astype(np.int16)


def _unmeasured(sample: Sample) -> Mask:
    """Returns which voxels lie outside the reconstructed circle.

    Some scanners fill the corners with their lowest value, -1024. Then all corners hold it, and the
    air at the middles of the sides does not. If that air holds it too, all air was made uniform.
    """
    is_lowest = sample == sample.min()
    _, height, width = sample.shape
    y, x = height // INSIDE, width // INSIDE
    corners = is_lowest[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    middles = np.s_[
        :,
        [y, height - 1 - y, height // 2, height // 2],
        [width // 2, width // 2, x, width - 1 - x],
    ]
    air = is_lowest[middles] | (sample[middles] < BODY_HU)
    is_uneven = int(is_lowest[middles].sum()) <= EVEN_SHARE * int(air.sum())
    is_padding = sample < PADDING_BELOW_HU
    return is_padding | is_lowest if corners.all() and is_uneven else is_padding


def _sides(sample: Sample, is_empty: Mask) -> tuple[float, float | None]:
    """Returns the share of the rim that is body, and the median of the air there.

    The rim consists of the outermost blocks of the reconstructed circle. A block is body if all of
    it is dense, which excludes tables and wires.
    """
    y, x = (_block_starts(size) for size in sample.shape[1:])
    filled = np.where(is_empty, INT16.max, sample)
    lightest = np.minimum.reduceat(np.minimum.reduceat(filled, y, axis=1), x, axis=2)
    is_measured = lightest < INT16.max
    framed = np.pad(is_measured, ((0, 0), (1, 1), (1, 1)))
    has_both_y = framed[:, :-2, 1:-1] & framed[:, 2:, 1:-1]
    has_both_x = framed[:, 1:-1, :-2] & framed[:, 1:-1, 2:]
    is_rim = is_measured & ~(has_both_y & has_both_x)
    of_each = filled[:, y[:, None], x]
    air = of_each[is_rim & (of_each < LIGHT_HU)]
    share = int((is_rim & (lightest > BODY_HU)).sum()) / max(int(is_rim.sum()), 1)
    return share, float(np.median(air)) if len(air) >= MIN_COUNT else None


def _block_starts(size: int) -> NDArray[np.intp]:
    count = max(1, size // BLOCK)
    return np.arange(count) * size // count


def _noise_hu(voxels: Voxels, geometry: Geometry) -> float | None:
    """Returns the first quartile of the standard deviations of tiles of soft tissue.

    Tiles with higher ones hold borders of organs.
    """
    i_mm, j_mm, _ = geometry.spacing_mm
    if MIN_TILE * max(i_mm, j_mm) > MAX_TILE_MM:
        return None
    height, width = (max(MIN_TILE, round(TILE_MM / mm)) for mm in (j_mm, i_mm))
    chosen = np.unique(np.linspace(0, len(voxels) - 1, NOISE_SLICES).astype(int))
    deviations = np.concatenate([_deviations(voxels[k], height, width) for k in chosen])
    if len(deviations) < MIN_COUNT:
        return None
    return float(np.quantile(deviations, QUIET_SHARE))


def _deviations(values: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """Returns the standard deviations of the tiles of a slice (j, i) that are soft tissue."""
    rows, columns = values.shape[0] // height, values.shape[1] // width
    whole = values[: rows * height, : columns * width]
    by_row = whole.reshape(rows, height, columns, width).swapaxes(1, 2)
    tiles = by_row.reshape(rows * columns, height * width).astype(np.float32)
    means = tiles.mean(axis=1)
    soft: NDArray[np.float32] = tiles[(means > SOFT_HU[0]) & (means < SOFT_HU[1])]
    deviations: NDArray[np.float32] = soft.std(axis=1, ddof=1)
    return deviations
