"""Resampling between the source grid and the network's grid, voxel by voxel as the original.

Source: totalsegmentator.resampling.change_spacing and resample_img, which zoom with scipy.
Arrays are (x, y, z) in canonical orientation.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def resample_image(
    image: NDArray[np.generic],
    zooms_mm: NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
) -> NDArray[np.generic]:
    """Returns the image at `spacing_mm`, linearly interpolated.

    Values are truncated towards zero into int32, as the original does before it saves the
    image. An image that has the spacing already is returned as it is.

    Args:
        image: (x, y, z), HU.
        zooms_mm: (3,) spacing of `image`, float32 as in a NIfTI header.
        spacing_mm: The network's spacing along x, y, z.
    """
    target = np.array(spacing_mm)
    if np.array_equal(zooms_mm, target):
        return image
    zoomed = ndimage.zoom(image, zooms_mm / target, order=1, mode="nearest", output=np.float64)
    return np.asarray(zoomed).astype(np.int32)


def resample_labels(labels: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Returns the labels on a grid of `shape`, nearest neighbour; (x, y, z) both."""
    if labels.shape == shape:
        return labels
    zoom = np.asarray(shape) / np.asarray(labels.shape)
    resampled: NDArray[np.uint8] = ndimage.zoom(labels, zoom, order=0, mode="nearest")
    return resampled
