"""Resamples volumes to the grid of a network, and labels back to the slices of the source.

Slices that form a grid are resampled as in TotalSegmentator, voxel by voxel. If the gantry was
tilted, slices are missing or their distances vary, the slices are interpolated once, at their true
positions, on a grid along their rows, columns and normal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from totalmap.dicom.geometry import (
    Affine,
    Geometry,
    along_axes,
    canonical_affine_lps,
    canonical_zooms,
    from_canonical,
    stored_zooms,
    to_canonical,
)
from totalmap.dicom.volume import Volume
from totalmap.engine.resample import Resample, resample_image, resample_labels, resampled_shape

Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InferenceImage:
    """A volume on the grid of a network.

    Attributes:
        voxels: (x, y, z), axes closest to right, anterior and superior.
        affine_lps: (4, 4), maps (x, y, z, 1) to mm in LPS.
        zooms_mm: (3,) spacing along x, y, z, rounded as in the NIfTI file that nnU-Net would read.
        to_source: Returns labels on the slices of the source, (k, j, i), from labels on this grid.
    """

    voxels: NDArray[np.generic]
    affine_lps: Affine
    zooms_mm: NDArray[np.float32]
    to_source: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def to_inference_grid(
    volume: Volume, spacing_mm: Spacing, resample: Resample = resample_image
) -> InferenceImage:
    """Returns the volume at a network's spacing along x, y, z, linearly interpolated.

    Args:
        volume: The volume.
        spacing_mm: The network's spacing along x, y, z.
        resample: Interpolates slices that form a grid; others are interpolated on the CPU.
    """
    if volume.geometry.is_grid:
        return _zoomed(volume, spacing_mm, resample)
    return _straightened(volume, along_axes(spacing_mm, _Straight(volume.geometry).frame))


def inference_grid(geometry: Geometry, spacing_mm: Spacing) -> tuple[tuple[int, ...], Affine]:
    """Returns the grid of `to_inference_grid`: its shape, (x, y, z), and its affine to mm in LPS.

    Args:
        geometry: That of the volume.
        spacing_mm: The network's spacing along x, y, z.
    """
    if geometry.is_grid:
        before = _canonical_shape(geometry)
        after = resampled_shape(before, canonical_zooms(geometry), spacing_mm)
        return after, _zoomed_affine(geometry, after)
    straight = _Straight(geometry)
    grid = straight.grid(along_axes(spacing_mm, straight.frame))
    return _canonical_shape(grid), canonical_affine_lps(grid)


def _canonical_shape(geometry: Geometry) -> tuple[int, ...]:
    nothing = np.broadcast_to(np.uint8(0), geometry.shape)  # takes no memory
    return to_canonical(nothing, geometry).shape


def _zoomed_affine(geometry: Geometry, after: tuple[int, ...]) -> Affine:
    """Returns the affine of a zoomed grid; a zoom aligns the first and last voxels of both."""
    affine = canonical_affine_lps(geometry)
    for axis, (n_before, n_after) in enumerate(zip(_canonical_shape(geometry), after, strict=True)):
        affine[:3, axis] *= (n_before - 1) / max(n_after - 1, 1)
    return affine


def to_straight_grid(volume: Volume) -> InferenceImage:
    """Returns the volume at its own spacing; interpolates only slices that do not form a grid."""
    geometry = volume.geometry
    if not geometry.is_grid:
        return _straightened(volume, np.array(geometry.spacing_mm))
    return InferenceImage(
        voxels=to_canonical(volume.voxels, geometry),
        affine_lps=canonical_affine_lps(geometry),
        zooms_mm=canonical_zooms(geometry),
        to_source=lambda labels: from_canonical(labels, geometry),
    )


def _zoomed(volume: Volume, spacing_mm: Spacing, resample: Resample) -> InferenceImage:
    """Zooms a volume in canonical orientation, as totalsegmentator.nnunet.nnUNet_predict_image."""
    geometry = volume.geometry
    canonical = to_canonical(volume.voxels, geometry)
    zooms_mm = canonical_zooms(geometry)
    voxels = resample(canonical, zooms_mm, spacing_mm)

    def to_source(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return from_canonical(resample_labels(labels, canonical.shape), geometry)

    # totalsegmentator.resampling.change_spacing writes this affine into the file for nnU-Net.
    stored = canonical_affine_lps(geometry).astype(np.float32).astype(np.float64)
    stored[:3, :3] /= zooms_mm / np.array(spacing_mm)
    return InferenceImage(
        voxels=voxels,
        affine_lps=_zoomed_affine(geometry, voxels.shape),
        zooms_mm=stored_zooms(stored),
        to_source=to_source,
    )


def _straightened(volume: Volume, spacing_mm: NDArray[np.float64]) -> InferenceImage:
    """Returns a stack on a grid along its rows, columns and normal.

    Args:
        spacing_mm: (3,) distance of columns, of rows and of slices.
    """
    source = _Straight(volume.geometry)
    grid = source.grid(spacing_mm)
    voxels = np.empty(grid.shape, dtype=np.int32)
    fill = float(volume.voxels.min())  # value of the corners beside tilted slices

    @lru_cache(maxsize=2)
    def plane(k: int) -> NDArray[np.float32]:
        """Returns slice k on the rows and columns of the grid."""
        offset = (source.low[:2] - source.shifts[k]) / source.pixel_mm
        resampled: NDArray[np.float32] = ndimage.affine_transform(
            volume.voxels[k],
            spacing_mm[1::-1] / source.pixel_mm,
            offset,
            grid.shape[1:],
            output=np.float32,
            order=1,
            cval=fill,
        )
        return resampled

    for n in range(grid.shape[0]):
        # Truncated towards zero, as in `resample_image`.
        below, share = source.neighbours(n * spacing_mm[2])
        voxels[n] = plane(below) * (1 - share) + plane(below + 1) * share

    def to_source(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return source.nearest(from_canonical(labels, grid), spacing_mm)

    return InferenceImage(
        voxels=to_canonical(voxels, grid),
        affine_lps=canonical_affine_lps(grid),
        zooms_mm=canonical_zooms(grid),
        to_source=to_source,
    )


class _Straight:
    """The slices of a stack in a frame along their columns, rows and normal, in mm.

    Attributes:
        pixel_mm: (2,) distance of rows and of columns.
        shifts: (k, 2) position of the first pixel of each slice along a column and along a row.
        heights: (k,) position of each slice along the normal, ascending from 0.
        low: (2,) lowest position of any pixel along a column and along a row.
    """

    def __init__(self, geometry: Geometry) -> None:
        row, column, step = geometry.affine_lps[:3, :3].T
        self._geometry = geometry
        self._origin = geometry.affine_lps[:3, 3]
        self.pixel_mm = np.array([np.linalg.norm(column), np.linalg.norm(row)])
        normal = np.cross(row, column)
        self._axes = np.stack(
            [column / self.pixel_mm[0], row / self.pixel_mm[1], normal / np.linalg.norm(normal)]
        )
        places = np.outer(geometry.slice_steps, self._axes @ step)
        self.shifts, self.heights = places[:, :2], places[:, 2]
        self.low = self.shifts.min(axis=0)

    @property
    def frame(self) -> Geometry:
        """A grid along the rows, columns and normal, with a spacing of 1 mm."""
        return self.grid(np.ones(3))

    def grid(self, spacing_mm: NDArray[np.float64]) -> Geometry:
        """Returns the smallest grid that holds all slices.

        Args:
            spacing_mm: (3,) distance of columns, of rows and of slices.
        """
        size_mm = self.pixel_mm * (np.array(self._geometry.shape[1:]) - 1)
        height_mm, width_mm = np.ptp(self.shifts, axis=0) + size_mm
        extent_mm = np.array([width_mm, height_mm, self.heights[-1]])
        columns, rows, slices = (int(count) + 1 for count in np.ceil(extent_mm / spacing_mm))
        column, row, normal = self._axes
        affine = np.eye(4)
        affine[:3, :3] = np.stack([row, column, normal], axis=1) * spacing_mm
        affine[:3, 3] = self._origin + self.low @ self._axes[:2]
        return Geometry.regular(affine, (slices, rows, columns))

    def neighbours(self, height_mm: float) -> tuple[int, float]:
        """Returns the slice below a height, and the fraction (0..1) of the gap above it."""
        last = len(self.heights) - 2
        below = int(np.clip(np.searchsorted(self.heights, height_mm, "right") - 1, 0, last))
        gap = self.heights[below + 1] - self.heights[below]
        return below, float(np.clip((height_mm - self.heights[below]) / gap, 0.0, 1.0))

    def nearest(
        self, labels: NDArray[np.uint8], spacing_mm: NDArray[np.float64]
    ) -> NDArray[np.uint8]:
        """Returns the labels of a `grid`, (n, rows, columns), at the pixels of the slices."""
        result = np.empty(self._geometry.shape, dtype=np.uint8)
        for k, (shift, height) in enumerate(zip(self.shifts, self.heights, strict=True)):
            plane = labels[_index(height, spacing_mm[2], labels.shape[0])]
            first = shift - self.low
            j, i = (
                _index(start + pixel * np.arange(size), step, limit)
                for start, pixel, size, step, limit in zip(
                    first,
                    self.pixel_mm,
                    result.shape[1:],
                    spacing_mm[1::-1],
                    plane.shape,
                    strict=True,
                )
            )
            result[k] = plane[np.ix_(j, i)]
        return result


def _index(place_mm: NDArray[np.float64], spacing_mm: float, limit: int) -> NDArray[np.intp]:
    nearest = np.floor(place_mm / spacing_mm + 0.5).astype(np.intp)
    clipped: NDArray[np.intp] = np.clip(nearest, 0, limit - 1)
    return clipped
