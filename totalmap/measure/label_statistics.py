"""Computes the statistics of all labels: volume, values, position, edges and pieces."""

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
from totalmap.environment_variables import processor_threads
from totalmap.measure.detect_field_of_view import FieldOfView, field_of_view
from totalmap.structures import Face

Labels = NDArray[np.uint8] | NDArray[np.uint16]
Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]
_Box = tuple[slice, ...]

# Networks leave stray voxels; up to this share of a structure does not count for its ends.
_STRAY_SHARE = 0.01
# Voxels are connected by faces, edges or corners.
_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)
# Smaller pieces are crumbs of a network and are not counted as pieces of a structure.
_PIECE_SHARE, _PIECE_ML = 0.01, 1.0
# In larger boxes, holes are looked for in every second voxel along each axis.
_LARGE_VOXELS = 100_000

# Values are counted in bins of width 1; values beyond these limits count in the first or last bin.
_LOWEST, _HIGHEST = -1024, 2047
_BINS = _HIGHEST - _LOWEST + 1
_QUARTERS = (0.25, 0.5, 0.75)
_SLAB = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelStatistics:
    """Statistics with a row for each label, from 0; NaN in rows of labels without voxels.

    Attributes:
        voxels: (label,) number of voxels.
        volume_ml: (label,) volume in mL.
        mean: (label,) mean of the values of the voxels.
        sd: (label,) standard deviation of these values, of the population and not of a sample.
        quartiles: (label, 3) lower quartile, median and upper quartile of the values, limited to
            -1024 to 2047.
        centre_lps: (label, 3) centre of mass, mm in LPS.
        ends_lps: (label, face, 3) middle of the outermost voxels on each side, without stray
            voxels (1 %), in the order of `Face`, mm in LPS.
        faces: For each label the sides of the field of view that it touches.
        field: The field of view: the array without its padding.
        components: (label,) number of connected pieces, on the inference grid: the largest, and
            all others of more than 1 % of the voxels and more than 1 mL.
        largest: (label,) voxels of the largest piece, on that grid.
        second: (label,) voxels of the second largest piece, on that grid.
        holes: (label,) unlabelled voxels that a label encloses, on that grid.
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


class _Sums(NamedTuple):
    """Sums over the voxels of each label.

    Attributes:
        of_values: (2, label) sums of values and of their squares.
        of_slices: (3, label, k) in each slice: number, sums of j and of i.
        of_rows: (3, label, j) in each row: number, sums of steps along the slices and of i.
        of_columns: (3, label, i) in each column: number, sums of steps along the slices and of j.
        histogram: (label, bin) how often each label has each value.
    """

    of_values: Numbers
    of_slices: Numbers
    of_rows: Numbers
    of_columns: Numbers
    histogram: Counts


class _Planes(NamedTuple):
    """Number of voxels in each plane across an axis, and sums of their indices, (label, plane)."""

    voxels: Numbers
    steps: Numbers
    j: Numbers
    i: Numbers


class _Pieces(NamedTuple):
    """The pieces of a label."""

    number: int = 0
    largest: int = 0
    second: int = 0
    holes: int = 0
    voxels: int = 0


def label_statistics(
    labels: Labels,
    values: Voxels,
    geometry: Geometry,
    inference: Labels,
    inference_voxel_ml: float | None = None,
) -> LabelStatistics:
    """Returns the statistics of all labels.

    Sums of whole numbers are exact in float64, and sums of slices are added in their order, so the
    same voxels give the same numbers with any number of threads.

    Args:
        labels: (k, j, i) on the grid of `geometry`.
        values: (k, j, i), HU or the scanner's units.
        inference: The labels on the inference grid, in any axis order; pieces and holes are
            counted here, since the slices of the source may be thick.
        inference_voxel_ml: The volume of a voxel of the inference grid in mL; None: of a voxel of
            `geometry`.
    """
    rows = 1 + max(int(labels.max(initial=0)), int(inference.max(initial=0)))
    steps = np.asarray(geometry.slice_steps)
    slabs = [slice(start, start + _SLAB) for start in range(0, len(labels), _SLAB)]
    with ThreadPoolExecutor(processor_threads()) as pool:
        parts = pool.map(
            lambda slab: _slab_sums(labels[slab], values[slab], steps[slab], rows), slabs
        )
        sums = _added(parts)
        if inference_voxel_ml is None:
            inference_voxel_ml = geometry.voxel_ml
        pieces_of = partial(_pieces, inference, _PIECE_ML / inference_voxel_ml)
        pieces = np.array([*pool.map(pieces_of, *_boxes(inference, rows))])
    planes = _planes(sums, steps)
    voxels, (total, squares) = planes[0].voxels.sum(axis=1), sums.of_values
    field = field_of_view(values, geometry)
    with np.errstate(invalid="ignore"):
        mean = total / voxels
        variance = squares / voxels - mean**2
    return LabelStatistics(
        voxels=voxels.astype(np.int64),
        volume_ml=planes[0].voxels @ geometry.voxel_volumes_ml,
        mean=mean,
        sd=np.sqrt(np.maximum(variance, 0)),
        quartiles=_quartiles(sums.histogram),
        centre_lps=_middles(_Planes(*(column.sum(axis=1) for column in planes[0])), geometry),
        ends_lps=_ends(planes, geometry),
        faces=_faces(labels, field, rows),
        field=field,
        components=pieces[:, 0],
        largest=pieces[:, 1],
        second=pieces[:, 2],
        holes=pieces[:, 3],
        counted=pieces[:, 4],
    )


def _slab_sums(labels: Labels, values: Voxels, steps: Numbers, rows: int) -> _Sums:
    """Returns the sums of some slices."""
    _, n_j, n_i = labels.shape
    of_values, of_slices, cells = np.zeros((2, rows)), np.zeros((3, rows, len(steps))), []
    of_rows, of_columns = np.zeros((3, rows, n_j)), np.zeros((3, rows, n_i))
    for k, step in enumerate(steps):
        labelled = np.flatnonzero(labels[k] != 0).astype(np.int32)
        of = labels[k].ravel()[labelled]
        value = values[k].ravel()[labelled].astype(np.float64)
        j, i = np.divmod(labelled, np.int32(n_i))
        # A slice has few of the labels, so only their rows are counted.
        present = np.flatnonzero(np.bincount(of, minlength=rows))
        row_of = np.zeros(rows, dtype=np.int32)
        row_of[present] = np.arange(len(present))
        row = row_of[of]
        in_rows, i_of_rows = _counted(row, j, i, (len(present), n_j))
        in_columns, j_of_columns = _counted(row, i, j, (len(present), n_i))
        of_values[:, present] += [
            np.bincount(row, weights=weights, minlength=len(present))
            for weights in (value, value**2)
        ]
        of_slices[:, present, k] = [sums.sum(axis=1) for sums in (in_rows, j_of_columns, i_of_rows)]
        of_rows[:, present] += in_rows, step * in_rows, i_of_rows
        of_columns[:, present] += in_columns, step * in_columns, j_of_columns
        cells.append(of * np.int32(_BINS) + _bin_of(value))
    histogram = np.bincount(np.concatenate(cells), minlength=rows * _BINS).reshape(rows, _BINS)
    return _Sums(of_values, of_slices, of_rows, of_columns, histogram)


def _counted(
    of: NDArray[np.int32],
    place: NDArray[np.int32],
    other: NDArray[np.int32],
    shape: tuple[int, int],
) -> tuple[Counts, Numbers]:
    """Returns the number of voxels for each label and place, and the sum of `other`."""
    cell, cells = of * np.int32(shape[1]) + place, shape[0] * shape[1]
    number = np.bincount(cell, minlength=cells).astype(np.int64, copy=False)
    sums = np.bincount(cell, other, minlength=cells).astype(np.float64, copy=False)
    return number.reshape(shape), sums.reshape(shape)


def _bin_of(value: Numbers) -> NDArray[np.int32]:
    return np.clip(value, _LOWEST, _HIGHEST).astype(np.int32) - np.int32(_LOWEST)


def _added(parts: Iterator[_Sums]) -> _Sums:
    """Returns the sums of all slices from the sums of slabs, in their order."""
    total = next(parts)
    of_slices = [total.of_slices]
    for part in parts:
        of_slices.append(part.of_slices)
        total = _Sums(
            of_values=total.of_values + part.of_values,
            of_slices=part.of_slices,
            of_rows=total.of_rows + part.of_rows,
            of_columns=total.of_columns + part.of_columns,
            histogram=total.histogram + part.histogram,
        )
    return total._replace(of_slices=np.concatenate(of_slices, axis=2))


def _planes(sums: _Sums, steps: Numbers) -> tuple[_Planes, _Planes, _Planes]:
    """Returns the planes across k, j and i."""
    in_slices, j_of_slices, i_of_slices = sums.of_slices
    in_rows, steps_of_rows, i_of_rows = sums.of_rows
    in_columns, steps_of_columns, j_of_columns = sums.of_columns
    j, i = np.arange(in_rows.shape[1]), np.arange(in_columns.shape[1])
    return (
        _Planes(in_slices, in_slices * steps, j_of_slices, i_of_slices),
        _Planes(in_rows, steps_of_rows, in_rows * j, i_of_rows),
        _Planes(in_columns, steps_of_columns, j_of_columns, in_columns * i),
    )


def _quartiles(histogram: Counts) -> Numbers:
    below = histogram.cumsum(axis=1)
    total = below[:, -1:]
    bins = [(below < share * total).sum(axis=1) for share in _QUARTERS]
    return np.where(total > 0, np.transpose(bins) + float(_LOWEST), np.nan)


def _middles(sums: _Planes, geometry: Geometry) -> Numbers:
    """Returns the middle of some voxels of each label, from their sums, (label, 3) in mm LPS.

    The affine maps means to means. NaN without voxels.
    """
    with np.errstate(invalid="ignore"):
        means = np.stack([sums.i, sums.j, sums.steps, sums.voxels]) / sums.voxels
    middles: Numbers = (geometry.affine_lps @ means)[:3].T
    return middles


def _ends(planes: tuple[_Planes, ...], geometry: Geometry) -> Numbers:
    """Returns the middle of the outermost voxels of each label, (label, face, 3) in mm LPS."""
    every = np.arange(len(planes[0].voxels))
    ends = np.empty((len(every), len(Face), 3))
    for across, pair in zip(planes, geometry.faces, strict=True):
        for outermost, face in zip(_outermost(across.voxels), pair, strict=True):
            there = _Planes(*(column[every, outermost] for column in across))
            ends[:, tuple(Face).index(face)] = _middles(there, geometry)
    return ends


def _outermost(counts: Numbers) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns the first and the last plane of each label, without stray voxels.

    Args:
        counts: (label, plane) of its voxels.
    """
    stray = _STRAY_SHARE * counts.sum(axis=1, keepdims=True)
    first, last = (
        np.argmax(planes.cumsum(axis=1) > stray, axis=1) for planes in (counts, counts[:, ::-1])
    )
    return first, counts.shape[1] - 1 - last


def _boxes(labels: Labels, rows: int) -> tuple[list[_Box | None], range]:
    """Returns the box around each label, and the labels; the background has no box."""
    boxes = ndimage.find_objects(labels, max_label=rows - 1) if rows > 1 else []
    return [None, *boxes], range(rows)


def _pieces(labels: Labels, smallest: float, box: _Box | None, label: int) -> _Pieces:
    """Returns the pieces of a label in the box around it.

    Args:
        labels: Labels on the inference grid.
        smallest: Number of voxels that a further piece has to exceed.
        box: The box around the label.
        label: The label.
    """
    if box is None:
        return _Pieces()
    part = labels[box]
    part = part.T if part.flags.f_contiguous else part  # pieces are the same, and found faster
    mask = part == label
    voxels = int(np.count_nonzero(mask))
    pieces, number = ndimage.label(mask, _NEIGHBOURS)
    holes = _holes(part, mask)
    if number == 1:  # the usual case; counting sizes takes as long as finding pieces
        return _Pieces(number, voxels, 0, holes, voxels)
    sizes = np.sort(np.bincount(pieces.ravel())[1:])
    further = int(np.count_nonzero(sizes[:-1] > max(smallest, _PIECE_SHARE * voxels)))
    return _Pieces(1 + further, int(sizes[-1]), int(sizes[-2]), holes, voxels)


def _holes(part: Labels, mask: NDArray[np.bool_]) -> int:
    """Returns the number of unlabelled voxels that a label encloses."""
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
    """Returns the sides of the field of view that each label touches; none for the background."""
    touched: list[set[Face]] = [set() for _ in range(rows)]
    for face, places in field.edge(labels):
        for label in np.flatnonzero(np.bincount(labels[tuple(places.T)], minlength=rows)):
            if label:
                touched[label].add(face)
    return tuple(tuple(face for face in Face if face in faces) for faces in touched)
