"""Computes coronal, sagittal and axial views of a volume with slices of any orientation.

A view is sampled at positions in the patient (LPS, mm). Therefore tilted, oblique and unevenly
spaced slices need no special case, distances are correct in both directions, and only the pixels of
the view are computed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from totalmap.dicom.geometry import Geometry
from totalmap.measure.label_statistics import Labels
from totalmap.segmentation import Segmentation
from totalmap.selection_settings import Orientation

Millimetres = NDArray[np.float64]

# Views show this much around the structures, and at least this much in all.
MARGIN_MM = 20.0
SMALLEST_VIEW_MM = 120.0

# The number of candidate views, of which the one that shows most is used, and their pixels a side.
_CANDIDATES = 32
_CANDIDATE_PIXELS = 64
# The largest number of points along each axis for measuring the extent of the structures.
_SAMPLES = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view in a radiologist's orientation: patient's right on the left, head above.

    Attributes:
        orientation: The orientation of slices that show the same plane.
        across: The axis of LPS that runs from left to right.
        down: The axis of LPS that runs from top to bottom, or from bottom to top.
        is_down_growing: Whether it runs from top to bottom.
        through: The axis of LPS at right angles to the view.
        edges: The direction in the patient at the left, right, upper and lower edge.
    """

    orientation: Orientation
    across: int
    down: int
    is_down_growing: bool
    through: int
    edges: tuple[str, str, str, str]


CORONAL = View(
    orientation=Orientation.CORONAL,
    across=0,
    down=2,
    is_down_growing=False,
    through=1,
    edges=("R", "L", "H", "F"),
)
SAGITTAL = View(
    orientation=Orientation.SAGITTAL,
    across=1,
    down=2,
    is_down_growing=False,
    through=0,
    edges=("A", "P", "H", "F"),
)
AXIAL = View(
    orientation=Orientation.AXIAL,
    across=0,
    down=1,
    is_down_growing=True,
    through=2,
    edges=("R", "L", "A", "P"),
)
VIEWS = (CORONAL, SAGITTAL, AXIAL)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """A box in the patient: its lowest and highest corner, (3,) mm in LPS."""

    low_mm: Millimetres
    high_mm: Millimetres

    @property
    def size_mm(self) -> Millimetres:
        """(3,) along the axes of LPS."""
        return self.high_mm - self.low_mm


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewPositions:
    """The region and the positions of the views.

    Attributes:
        region: The region that all views show.
        positions_mm: For each axis of LPS, the position of the view that shows most.
        heights_mm: Positions of all possible axial views, from feet to head.
    """

    region: Region
    positions_mm: tuple[float, float, float]
    heights_mm: Millimetres


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampledView:
    """Values and labels of a view, (rows, columns).

    Attributes:
        values: float32, linearly interpolated; minus infinity outside the volume.
        labels: Labels of the nearest voxels; 0 outside.
    """

    values: NDArray[np.float32]
    labels: Labels


def slice_through(geometry: Geometry, view: View, position_mm: float, region: Region) -> int | None:
    """Returns the slice k nearest to the middle of a view; None if slices lie across the view."""
    if geometry.orientation is not view.orientation:
        return None
    middle = (region.low_mm + region.high_mm) / 2
    middle[view.through] = position_mm
    step = float((np.linalg.inv(geometry.affine_lps) @ [*middle, 1.0])[2])
    return int(np.argmin(np.abs(np.asarray(geometry.slice_steps) - step)))


def view_positions(segmentation: Segmentation) -> ViewPositions:
    """Returns region and positions of the views; the region is the volume if nothing was found."""
    geometry = segmentation.volume.geometry
    whole = _extent(geometry, _corners(geometry.shape))
    kji = _found_voxels(segmentation.labels)
    if not len(kji):
        middle = (whole.low_mm + whole.high_mm) / 2
        heights = _planes(geometry, whole, axis=2)
        return ViewPositions(region=whole, positions_mm=tuple(middle.tolist()), heights_mm=heights)
    found = _extent(geometry, kji)
    region = _with_margin(found, whole)
    x, y, z = (
        _fullest(segmentation, view, region, _planes(geometry, found, view.through))
        for view in sorted(VIEWS, key=lambda view: view.through)
    )
    heights = _planes(geometry, found, axis=2)
    return ViewPositions(region=region, positions_mm=(x, y, z), heights_mm=heights)


def evenly_spaced(positions_mm: Millimetres, most: int) -> Millimetres:
    """Returns at most `most` of the positions, at equal distances from the first to the last."""
    count = min(most, len(positions_mm))
    chosen = np.unique(np.linspace(0, len(positions_mm) - 1, count).round())
    return positions_mm[chosen.astype(np.intp)]


def sampled_view(
    segmentation: Segmentation, view: View, position_mm: float, region: Region, pixels_per_mm: float
) -> SampledView:
    """Returns values and labels of a view of a region."""
    volume = segmentation.volume
    kji = _indices(volume.geometry, view, position_mm, region, pixels_per_mm)
    labels, is_outside = _labels_at(kji, segmentation.labels)
    values = ndimage.map_coordinates(volume.voxels, kji, np.float32, order=1, mode="nearest")
    values[is_outside] = -np.inf
    return SampledView(values=values, labels=labels)


def _labels_at(kji: NDArray[np.float64], labels: Labels) -> tuple[Labels, NDArray[np.bool_]]:
    """Returns the labels of the nearest voxels, 0 outside, and a mask of the pixels outside."""
    shape = np.reshape(labels.shape, (3, 1, 1))
    nearest = np.rint(kji).astype(np.intp)
    is_outside: NDArray[np.bool_] = np.any((nearest < 0) | (nearest >= shape), axis=0)
    at = labels[tuple(np.clip(nearest, 0, shape - 1))]
    at[is_outside] = 0
    return at, is_outside


def _indices(
    geometry: Geometry, view: View, position_mm: float, region: Region, pixels_per_mm: float
) -> NDArray[np.float64]:
    """Returns the voxel indices k, j, i of the pixels of a view, (3, rows, columns)."""
    width, height = (
        max(1, round(float(region.size_mm[axis]) * pixels_per_mm))
        for axis in (view.across, view.down)
    )
    across = region.low_mm[view.across] + (np.arange(width) + 0.5) / pixels_per_mm
    downwards = (np.arange(height) + 0.5) / pixels_per_mm
    down = (
        region.low_mm[view.down] + downwards
        if view.is_down_growing
        else region.high_mm[view.down] - downwards
    )
    to_index = np.linalg.inv(geometry.affine_lps)
    i, j, step = (
        row[view.across] * across
        + row[view.down] * down[:, None]
        + (row[view.through] * position_mm + row[3])
        for row in to_index[:3]
    )
    return np.stack([_between_slices(step, geometry), j, i])


def _between_slices(step: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float64]:
    """Returns the index k, also between two slices, for steps along the stack."""
    if geometry.is_equidistant:
        return step
    steps = np.asarray(geometry.slice_steps)
    beyond = np.minimum(step - steps[0], 0) + np.maximum(step - steps[-1], 0)
    k: NDArray[np.float64] = np.interp(step, steps, np.arange(len(steps))) + beyond
    return k


def _found_voxels(labels: Labels) -> NDArray[np.intp]:
    """Returns (n, 3) indices k, j, i of labelled voxels: all, or enough to know their extent."""
    per_slice = labels.reshape(len(labels), -1).max(axis=1)
    over_slices = labels.max(axis=0)
    present = per_slice, over_slices.max(axis=1), over_slices.max(axis=0)
    if not per_slice.any():
        return np.empty((0, 3), dtype=np.intp)
    first = np.array([np.flatnonzero(along_axis)[0] for along_axis in present])
    last = np.array([np.flatnonzero(along_axis)[-1] for along_axis in present])
    step = (last - first) // _SAMPLES + 1
    part = labels[tuple(slice(*ends) for ends in zip(first, last + 1, step, strict=True))]
    voxels: NDArray[np.intp] = np.argwhere(part) * step + first
    return voxels if len(voxels) else np.array([first, last])


def _corners(shape: tuple[int, int, int]) -> NDArray[np.intp]:
    corners: NDArray[np.intp] = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    return corners


def _extent(geometry: Geometry, kji: NDArray[np.intp]) -> Region:
    """Returns the box around voxels, with their full size."""
    positions = geometry.positions_lps(kji)
    half_mm = np.abs(geometry.affine_lps[:3, :3]).sum(axis=1) / 2
    return Region(low_mm=positions.min(axis=0) - half_mm, high_mm=positions.max(axis=0) + half_mm)


def _with_margin(found: Region, whole: Region) -> Region:
    half_mm = np.maximum(found.size_mm / 2 + MARGIN_MM, SMALLEST_VIEW_MM / 2)
    middle = (found.low_mm + found.high_mm) / 2
    return Region(
        low_mm=np.maximum(middle - half_mm, whole.low_mm),
        high_mm=np.minimum(middle + half_mm, whole.high_mm),
    )


def _planes(geometry: Geometry, region: Region, axis: int) -> Millimetres:
    """Returns the positions on an axis of LPS, ascending, of the planes of voxels in a region.

    Oblique slices have no such planes. They give as many positions as the volume has planes along
    its closest axis.
    """
    along = int(np.argmax(np.abs(geometry.affine_lps[axis, :3])))
    indices = [np.arange(n, dtype=float) for n in reversed(geometry.shape[1:])]
    indices.append(np.asarray(geometry.slice_steps))
    middle = [float(of_axis[-1]) / 2 for of_axis in indices]
    offset = geometry.affine_lps[axis] @ [*middle, 1.0]
    planes = offset + geometry.affine_lps[axis, along] * (indices[along] - middle[along])
    inside = planes[(planes > region.low_mm[axis]) & (planes < region.high_mm[axis])]
    if not len(inside):
        return np.array([(region.low_mm[axis] + region.high_mm[axis]) / 2])
    return np.sort(inside)


def _fullest(
    segmentation: Segmentation, view: View, region: Region, positions_mm: Millimetres
) -> float:
    """Returns the position of the view that shows most structures and most of their pixels."""
    pixels_per_mm = _CANDIDATE_PIXELS / float(region.size_mm.max())
    candidates = evenly_spaced(positions_mm, _CANDIDATES)
    geometry = segmentation.volume.geometry
    views = [
        _labels_at(_indices(geometry, view, mm, region, pixels_per_mm), segmentation.labels)[0]
        for mm in candidates
    ]
    structures = np.array([len(np.unique(labels[labels > 0])) for labels in views])
    pixels = np.array([np.count_nonzero(labels) for labels in views])
    shown = structures / max(structures.max(), 1) + pixels / max(pixels.max(), 1)
    return float(candidates[int(np.argmax(shown))])
