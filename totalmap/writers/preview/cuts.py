"""Cuts through a volume along the patient's own axes, whatever way its slices were taken.

A cut is sampled at its points in the patient (LPS, mm), so that tilted, oblique and unevenly spaced
slices need no case of their own, distances are right along both sides, and nothing but the cut is
computed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from totalmap.dicom.geometry import Geometry
from totalmap.measure.label_statistics import Labels
from totalmap.segmentation import Segmentation

Millimetres = NDArray[np.float64]

# So much of the patient is shown around what was found, and at least so much in all.
MARGIN_MM = 20.0
SMALLEST_VIEW_MM = 120.0

# Of all cuts so many are looked at, this coarsely, to choose the one that shows most.
_CANDIDATES = 32
_CANDIDATE_PIXELS = 64
# What was found is measured on no finer grid than so many points along each axis.
_SAMPLES = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How a radiologist looks at a patient: the patient's right is on the left, the head above.

    Attributes:
        across: The axis of LPS that grows from left to right.
        down: The axis of LPS that grows or shrinks from top to bottom.
        is_down_growing: Which of the two it does.
        through: The axis of LPS on which the cut has one place.
        edges: What is beyond the left, right, upper and lower edge.
    """

    name: str
    across: int
    down: int
    is_down_growing: bool
    through: int
    edges: tuple[str, str, str, str]


CORONAL = View(
    name="Coronal", across=0, down=2, is_down_growing=False, through=1, edges=("R", "L", "H", "F")
)
SAGITTAL = View(
    name="Sagittal", across=1, down=2, is_down_growing=False, through=0, edges=("A", "P", "H", "F")
)
AXIAL = View(
    name="Axial", across=0, down=1, is_down_growing=True, through=2, edges=("R", "L", "A", "P")
)
VIEWS = (CORONAL, SAGITTAL, AXIAL)

# Where the axes of LPS begin and end.
_DIRECTIONS = (("R", "L"), ("A", "P"), ("F", "H"))


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
class Overview:
    """Where to look.

    Attributes:
        region: What the views show.
        places_mm: For each axis of LPS, the place of the cut that shows most.
        heights_mm: Places of all axial cuts that might be shown, from feet to head.
    """

    region: Region
    places_mm: tuple[float, float, float]
    heights_mm: Millimetres


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """What lies on a cut, (rows, columns).

    Attributes:
        values: float32, interpolated linearly; minus infinity outside the volume.
        labels: Of the nearest voxel; 0 outside.
    """

    values: NDArray[np.float32]
    labels: Labels


def place_name(axis: int, place_mm: float) -> str:
    """Returns a place on an axis of LPS as viewers write it, such as "H 120 mm"."""
    rounded = round(place_mm)
    return f"{_DIRECTIONS[axis][rounded > 0]} {abs(rounded)} mm" if rounded else "0 mm"


def overview(segmentation: Segmentation) -> Overview:
    """Returns where to look; where nothing was found, at all of the volume."""
    geometry = segmentation.volume.geometry
    whole = _extent(geometry, _corners(geometry.shape))
    kji = _found_voxels(segmentation.labels)
    if not len(kji):
        middle = (whole.low_mm + whole.high_mm) / 2
        heights = _planes(geometry, whole, axis=2)
        return Overview(region=whole, places_mm=tuple(middle.tolist()), heights_mm=heights)
    found = _extent(geometry, kji)
    region = _with_margin(found, whole)
    x, y, z = (
        _fullest(segmentation, view, region, _planes(geometry, found, view.through))
        for view in sorted(VIEWS, key=lambda view: view.through)
    )
    heights = _planes(geometry, found, axis=2)
    return Overview(region=region, places_mm=(x, y, z), heights_mm=heights)


def evenly_chosen(places: Millimetres, most: int) -> Millimetres:
    """Returns places with equal distances, from the first to the last, at most so many."""
    chosen = np.unique(np.linspace(0, len(places) - 1, min(most, len(places))).round())
    return places[chosen.astype(np.intp)]


def cut(
    segmentation: Segmentation, view: View, place_mm: float, region: Region, pixels_per_mm: float
) -> Cut:
    """Returns what lies on a cut through a region."""
    volume = segmentation.volume
    kji = _indices(volume.geometry, view, place_mm, region, pixels_per_mm)
    labels, is_outside = _labels_at(kji, segmentation.labels)
    values = ndimage.map_coordinates(volume.voxels, kji, np.float32, order=1, mode="nearest")
    values[is_outside] = -np.inf
    return Cut(values=values, labels=labels)


def _labels_at(kji: NDArray[np.float64], labels: Labels) -> tuple[Labels, NDArray[np.bool_]]:
    """Returns the labels of the nearest voxels, 0 outside, and which pixels are outside."""
    shape = np.reshape(labels.shape, (3, 1, 1))
    nearest = np.rint(kji).astype(np.intp)
    is_outside: NDArray[np.bool_] = np.any((nearest < 0) | (nearest >= shape), axis=0)
    at = labels[tuple(np.clip(nearest, 0, shape - 1))]
    at[is_outside] = 0
    return at, is_outside


def _indices(
    geometry: Geometry, view: View, place_mm: float, region: Region, pixels_per_mm: float
) -> NDArray[np.float64]:
    """Returns which voxel is at each pixel of a cut, (3, rows, columns) in the order k, j, i."""
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
        + (row[view.through] * place_mm + row[3])
        for row in to_index[:3]
    )
    return np.stack([_between_slices(step, geometry), j, i])


def _between_slices(step: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float64]:
    """Returns the slice k, or a place between two, for places s along the stack."""
    if geometry.is_equidistant:
        return step
    steps = np.asarray(geometry.slice_steps)
    beyond = np.minimum(step - steps[0], 0) + np.maximum(step - steps[-1], 0)
    k: NDArray[np.float64] = np.interp(step, steps, np.arange(len(steps))) + beyond
    return k


def _found_voxels(labels: Labels) -> NDArray[np.intp]:
    """Returns (n, 3) indices k, j, i of labelled voxels: all, or enough to know where they lie."""
    per_slice = labels.reshape(len(labels), -1).max(axis=1)
    over_slices = labels.max(axis=0)
    present = per_slice, over_slices.max(axis=1), over_slices.max(axis=0)
    if not per_slice.any():
        return np.empty((0, 3), dtype=np.intp)
    first = np.array([np.flatnonzero(one)[0] for one in present])
    last = np.array([np.flatnonzero(one)[-1] for one in present])
    step = (last - first) // _SAMPLES + 1
    part = labels[tuple(slice(*one) for one in zip(first, last + 1, step, strict=True))]
    voxels: NDArray[np.intp] = np.argwhere(part) * step + first
    return voxels if len(voxels) else np.array([first, last])


def _corners(shape: tuple[int, int, int]) -> NDArray[np.intp]:
    corners: NDArray[np.intp] = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    return corners


def _extent(geometry: Geometry, kji: NDArray[np.intp]) -> Region:
    """Returns the box around voxels, each of them as large as it is."""
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
    """Returns the places on an axis of LPS, ascending, at which a region has planes of voxels.

    Where the slices are oblique there are none: then as many places as there would be.
    """
    along = int(np.argmax(np.abs(geometry.affine_lps[axis, :3])))
    indices = [np.arange(n, dtype=float) for n in reversed(geometry.shape[1:])]
    indices.append(np.asarray(geometry.slice_steps))
    middle = [float(one[-1]) / 2 for one in indices]
    offset = geometry.affine_lps[axis] @ [*middle, 1.0]
    places = offset + geometry.affine_lps[axis, along] * (indices[along] - middle[along])
    inside = places[(places > region.low_mm[axis]) & (places < region.high_mm[axis])]
    if not len(inside):
        return np.array([(region.low_mm[axis] + region.high_mm[axis]) / 2])
    return np.sort(inside)


def _fullest(segmentation: Segmentation, view: View, region: Region, places: Millimetres) -> float:
    """Returns the place of the cut that shows most structures, and much of them."""
    pixels_per_mm = _CANDIDATE_PIXELS / float(region.size_mm.max())
    candidates = evenly_chosen(places, _CANDIDATES)
    geometry = segmentation.volume.geometry
    cuts = [
        _labels_at(_indices(geometry, view, place, region, pixels_per_mm), segmentation.labels)[0]
        for place in candidates
    ]
    structures = np.array([len(np.unique(labels[labels > 0])) for labels in cuts])
    pixels = np.array([np.count_nonzero(labels) for labels in cuts])
    shown = structures / max(structures.max(), 1) + pixels / max(pixels.max(), 1)
    return float(candidates[int(np.argmax(shown))])
