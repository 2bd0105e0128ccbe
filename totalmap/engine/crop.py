"""A box around what a rough task found, on the source's own slices.

Source: totalsegmentator.cropping.crop_to_mask, whose margin is truncated to whole voxels.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.geometry import Box, Geometry, cropped, stored_zooms
from totalmap.dicom.volume import Volume


def box_around(mask: NDArray[np.bool_], geometry: Geometry, margin_mm: float) -> Box | None:
    """Returns the box of a mask with a margin on all sides; None for an empty mask.

    Args:
        mask: (k, j, i) on the slices of `geometry`.
    """
    if not mask.any():
        return None
    margin_i, margin_j, margin_steps = (margin_mm / stored_zooms(geometry.affine_lps)).astype(int)
    k, j, i = (
        np.flatnonzero(mask.any(axis=others))[[0, -1]] for others in ((1, 2), (0, 2), (0, 1))
    )
    steps = np.asarray(geometry.slice_steps)
    first = int(np.searchsorted(steps, steps[k[0]] - margin_steps, "left"))
    last = int(np.searchsorted(steps, steps[k[1]] + margin_steps, "right"))
    if not geometry.is_grid:  # between slices one interpolates, for which there have to be two
        first = min(first, len(steps) - 2)
        last = max(last, first + 2)
    _, rows, columns = geometry.shape
    return (
        slice(first, last),
        slice(max(int(j[0] - margin_j), 0), min(int(j[1] + margin_j) + 1, rows)),
        slice(max(int(i[0] - margin_i), 0), min(int(i[1] + margin_i) + 1, columns)),
    )


def whole(geometry: Geometry) -> Box:
    """Returns the box of everything."""
    k, j, i = (slice(0, size) for size in geometry.shape)
    return k, j, i


def crop(volume: Volume, box: Box) -> Volume:
    """Returns a part of a volume; fractions of its values are cut off, as TotalSegmentator does."""
    voxels = volume.voxels[box]
    return replace(
        volume,
        voxels=voxels if np.issubdtype(voxels.dtype, np.integer) else np.trunc(voxels),
        geometry=cropped(volume.geometry, box),
        slices=volume.slices[box[0]],
    )
