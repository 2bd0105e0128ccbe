"""All that is counted of labels, label by label, in one table."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from totalmap.dicom.geometry import Geometry
from totalmap.dicom.pixels import Voxels
from totalmap.field_of_view import FieldOfView, field_of_view
from totalmap.structures import Face

Labels = NDArray[np.uint8] | NDArray[np.uint16]
Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]
_Box = tuple[slice, ...]

# Networks leave voxels far from all the others; so few do not tell how far a structure reaches.
_STRAY_SHARE = 0.01
# Voxels that meet at a corner belong together.
_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)
# In larger boxes, holes are looked for in every second voxel along each axis.
_LARGE_VOXELS = 100_000

# Values are sorted into bins of 1 from here to there; what lies beyond counts as the last of them.
_LOWEST, _HIGHEST = -1024, 2047
_BINS = _HIGHEST - _LOWEST + 1
_QUARTERS = (0.25, 0.5, 0.75)
_SLAB = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelStatistics:
    """A row for each label, from 0.

    Attributes:
        voxels: (label,).
        volume_ml: (label,).
        mean: (label,) of the values of its voxels; NaN where a label has none.
        sd: (label,) standard deviation of all of them, not of a sample.
        quartiles: (label, 3) a quarter, a half and three quarters of the values are at most as
            large; between -1024 and 2047, and NaN where a label has none.
        centre_lps: (label, 3) centre of mass, mm in LPS; NaN where a label has no voxel.
        ends_lps: (label, face, 3) middle of the voxels that reach furthest to each side, but for
            one in a hundred, in the order of `Face`, mm in LPS; NaN where a label has none.
        faces: For each label the sides of the field of view that it touches.
        field: The field of view: the array without its padding.
        components: (label,) number of connected pieces.
        largest: (label,) voxels of the largest of them, on the grid where they were counted.
        second: (label,) voxels of the second largest.
        holes: (label,) voxels of no label that a label encloses, on that grid.
        counted: (label,) all voxels on that grid.
    """

    voxels: Counts
    volume_ml: Numbers
    mean: Numbers
    sd: Numbers
    quartiles: Numbers
    centre_lps: Numbers
    ends_lps: Numbers
    faces: tuple[tuple[Face, ...], ...]
    field: FieldOfView
    components: Counts
    largest: Counts
    second: Counts
    holes: Counts
    counted: Counts


class _Pieces(NamedTuple):
    """The pieces of a label."""

    number: int = 0
    largest: int = 0
    second: int = 0
    holes: int = 0
    voxels: int = 0


def label_statistics(
    labels: Labels, values: Voxels, geometry: Geometry, inference: Labels
) -> LabelStatistics:
    """Returns the table.

    Sums of whole numbers are exact in float64, and those of slices are added in their order, so
    that the same voxels give the same numbers whatever the number of threads.

    Args:
        labels: (k, j, i) on the grid of `geometry`.
        values: (k, j, i), HU or the scanner's units.
        inference: The labels where the network put them, any axis order; pieces and holes are
            counted here, where slices are not yet thick.
    """
    rows = 1 + max(int(labels.max(initial=0)), int(inference.max(initial=0)))
    slabs = [slice(start, start + _SLAB) for start in range(0, len(labels), _SLAB)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        parts = pool.map(lambda slab: _slab_sums(labels[slab], values[slab], rows), slabs)
        sums, histogram = _added(parts, rows)
        pieces = np.array([*pool.map(partial(_pieces, inference), *_boxes(inference, rows))])
        ends = np.array([*pool.map(partial(_ends, labels, geometry), *_boxes(labels, rows))])
    voxels, total, squares = sums[:, :3].sum(axis=0)
    field = field_of_view(values, geometry)
    with np.errstate(invalid="ignore"):
        mean = total / voxels
        variance = squares / voxels - mean**2
    return LabelStatistics(
        voxels=voxels.astype(np.int64),
        volume_ml=geometry.voxel_volumes_ml @ sums[:, 0],
        mean=mean,
        sd=np.sqrt(np.maximum(variance, 0)),
        quartiles=_quartiles(histogram),
        centre_lps=_centres(sums, geometry),
        ends_lps=ends,
        faces=_faces(labels, field, rows),
        field=field,
        components=pieces[:, 0],
        largest=pieces[:, 1],
        second=pieces[:, 2],
        holes=pieces[:, 3],
        counted=pieces[:, 4],
    )


def _slab_sums(labels: Labels, values: Voxels, rows: int) -> tuple[Numbers, Counts]:
    """Returns the sums of some slices, and how often each label has each value, (label, bin)."""
    sums, cells = zip(
        *(_slice_sums(*one, rows) for one in zip(labels, values, strict=True)), strict=True
    )
    histogram = np.bincount(np.concatenate(cells), minlength=rows * _BINS)
    return np.array(sums), histogram.reshape(rows, _BINS)


def _slice_sums(labels: Labels, values: Voxels, rows: int) -> tuple[Numbers, NDArray[np.int32]]:
    """Returns the sums of a slice, and in which cell of the histogram each labelled voxel counts.

    Sums are (5, label): number, sum and sum of squares of the values, sums of j and of i.
    """
    labelled = np.flatnonzero(labels).astype(np.int32)
    of = labels.ravel()[labelled]
    value = values.ravel()[labelled].astype(np.float64)
    j, i = np.divmod(labelled, np.int32(labels.shape[1]))
    sums = [np.bincount(of, weights=one, minlength=rows) for one in (value, value**2, j, i)]
    cell = np.clip(value, _LOWEST, _HIGHEST).astype(np.int32) - _LOWEST
    cell += of.astype(np.int32) * np.int32(_BINS)
    return np.array([np.bincount(of, minlength=rows), *sums]), cell


def _added(parts: Iterator[tuple[Numbers, Counts]], rows: int) -> tuple[Numbers, Counts]:
    """Returns the sums of all slices, (k, 5, label), and one histogram."""
    sums: list[Numbers] = []
    histogram = np.zeros((rows, _BINS), dtype=np.int64)
    for slab_sums, slab_histogram in parts:
        sums.append(slab_sums)
        histogram += slab_histogram
    return np.concatenate(sums), histogram


def _quartiles(histogram: Counts) -> Numbers:
    below = histogram.cumsum(axis=1)
    all_of_it = below[:, -1]
    bins = [(below < share * all_of_it[:, None]).sum(axis=1) for share in _QUARTERS]
    return np.where(all_of_it[:, None] > 0, np.transpose(bins) + float(_LOWEST), np.nan)


def _centres(sums: Numbers, geometry: Geometry) -> Numbers:
    """Returns the centres of mass, (label, 3) in mm LPS; the affine maps means to means."""
    voxels = sums[:, 0].sum(axis=0)
    steps = np.asarray(geometry.slice_steps) @ sums[:, 0]
    j, i = sums[:, 3].sum(axis=0), sums[:, 4].sum(axis=0)
    with np.errstate(invalid="ignore"):
        means = np.stack([i, j, steps, voxels]) / voxels
    centres: Numbers = (geometry.affine_lps @ means)[:3].T
    return centres


def _ends(labels: Labels, geometry: Geometry, box: _Box | None, label: int) -> Numbers:
    """Returns the middle of the outermost voxels of a label, (face, 3) in mm LPS."""
    ends = np.full((len(Face), 3), np.nan)
    if box is None:
        return ends
    mask = labels[box] == label
    corner = np.array([side.start for side in box])
    for axis, pair in enumerate(geometry.faces):
        for end, face in enumerate(pair):
            index = _outermost(mask, axis, -end)
            outermost = np.argwhere(mask.take(index, axis=axis))
            kji = np.insert(outermost, axis, index, axis=1) + corner
            ends[tuple(Face).index(face)] = geometry.positions_lps(kji).mean(axis=0)
    return ends


def _outermost(mask: NDArray[np.bool_], axis: int, end: int) -> int:
    """Returns where a label begins (end 0) or ends (-1) along an axis, but for stray voxels."""
    others = tuple(one for one in range(mask.ndim) if one != axis)
    counts = np.count_nonzero(mask, axis=others)
    passed = (counts if end == 0 else counts[::-1]).cumsum()
    steps = int(np.argmax(passed > _STRAY_SHARE * passed[-1]))
    return steps if end == 0 else len(counts) - 1 - steps


def _boxes(labels: Labels, rows: int) -> tuple[list[_Box | None], range]:
    """Returns the box around each label, and the label; the background is no structure."""
    boxes = ndimage.find_objects(labels, max_label=rows - 1) if rows > 1 else []
    return [None, *boxes], range(rows)


def _pieces(labels: Labels, box: _Box | None, label: int) -> _Pieces:
    """Returns what pieces a label has in the box around it."""
    if box is None:
        return _Pieces()
    part = labels[box]
    part = part.T if part.flags.f_contiguous else part  # pieces are the same, and found faster
    mask = part == label
    voxels = int(np.count_nonzero(mask))
    pieces, number = ndimage.label(mask, _NEIGHBOURS)
    holes = _holes(part, mask)
    if number == 1:  # so it mostly is, and sizes take as long to count as pieces
        return _Pieces(number, voxels, 0, holes, voxels)
    second, largest = np.sort(np.bincount(pieces.ravel())[1:])[-2:]
    return _Pieces(number, int(largest), int(second), holes, voxels)


def _holes(part: Labels, mask: NDArray[np.bool_]) -> int:
    """Returns how many voxels of no label a label encloses."""
    step = 2 if mask.size > _LARGE_VOXELS else 1
    every = (slice(None, None, step),) * 3
    spaces, number = ndimage.label(~mask[every])
    is_open = np.zeros(number + 1, dtype=bool)
    is_open[0] = True  # the label itself
    for axis in range(3):
        is_open[spaces.take((0, -1), axis=axis)] = True
    if is_open.all():
        return 0
    enclosed = ~is_open[spaces] & (part[every] == 0)
    return int(np.count_nonzero(enclosed)) * step**3


def _faces(labels: Labels, field: FieldOfView, rows: int) -> tuple[tuple[Face, ...], ...]:
    """Returns which sides of the field of view each label touches."""
    touched: list[set[Face]] = [set() for _ in range(rows)]
    for face, places in field.edge():
        for label in np.flatnonzero(np.bincount(labels[tuple(places.T)], minlength=rows)):
            touched[label].add(face)
    return tuple(tuple(face for face in Face if face in faces) for faces in touched)
