"""Adds the effects of the scanner: blur, texture, noise and the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

AIR_HU = -1000.0
HU_RANGE = (-1024, 3071)
TABLE_WIDTH_MM = 420.0
TABLE_THICKNESS_MM = 26.0
TABLE_SHELL_MM = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """The properties of a scanner.

    blur_mm is the standard deviation of the in-plane point spread, noise_hu the standard deviation
    of the noise in soft tissue, noise_grain_px its correlation in pixels (0 = white).
    """

    blur_mm: float = 0.7
    noise_hu: float = 14.0
    noise_grain_px: float = 0.7


SOFT = Scanner()
SHARP = Scanner(blur_mm=0.35, noise_hu=38.0, noise_grain_px=0.0)


def blurred(
    hu: NDArray[np.float32], spacing_kji_mm: tuple[float, float, float], scanner: Scanner
) -> NDArray[np.float32]:
    """Returns the (k, j, i) image blurred in the plane of its slices."""
    sigma = [0.0, scanner.blur_mm / spacing_kji_mm[1], scanner.blur_mm / spacing_kji_mm[2]]
    if max(sigma) < 0.2:
        return hu
    result: NDArray[np.float32] = gaussian_filter(hu, sigma, truncate=3.0, mode="nearest")
    return result


def noise_slice(
    seed: int, k: int, shape_ji: tuple[int, int], scanner: Scanner
) -> NDArray[np.float32]:
    """Returns the noise of slice k; it depends on the seed and k only."""
    rng = np.random.default_rng((seed, k))
    noise = rng.standard_normal(shape_ji, dtype=np.float32)
    grain = scanner.noise_grain_px
    if grain > 0:
        for axis in (0, 1):
            noise = gaussian_filter1d(noise, grain, axis=axis, truncate=3.0, mode="wrap")
        noise /= max(float(noise.std()), 1e-6)
    return noise * np.float32(scanner.noise_hu)


def table_mask(
    x: NDArray[np.float32], y: NDArray[np.float32], top_y: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Returns the table's shell and its foam, from patient coordinates in mm.

    Args:
        x: LPS x of the voxels.
        y: LPS y of the voxels.
        top_y: LPS y of the middle of the table's surface; the table is slightly hollow.
    """
    depth = y - np.float32(top_y) + np.square(x) * np.float32(4e-4)
    wide = np.abs(x) < TABLE_WIDTH_MM / 2
    slab = wide & (depth > 0) & (depth < TABLE_THICKNESS_MM)
    foam = slab & (depth > TABLE_SHELL_MM) & (depth < TABLE_THICKNESS_MM - TABLE_SHELL_MM)
    foam &= np.abs(x) < TABLE_WIDTH_MM / 2 - TABLE_SHELL_MM
    return slab & ~foam, foam
