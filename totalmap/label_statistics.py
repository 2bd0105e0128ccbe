"""All that is counted of labels, label by label, in one table."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from totalmap.dicom.geometry import Geometry
from totalmap.dicom.pixels import Voxels
from totalmap.structures import Face

Labels = NDArray[np.uint8] | NDArray[np.uint16]
Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]

# Voxels that meet at a corner belong together.
_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelStatistics:
    """A row for each label, from 0.

    Attributes:
        voxels: (label,).
        volume_ml: (label,).
        mean: (label,) of the values of its voxels; NaN where a label has none.
        sd: (label,) standard deviation of all of them, not of a sample.
        faces: For each label the sides of the field of view that it touches.
        components: (label,) number of connected pieces.
        largest: (label,) voxels of the largest of them, on the grid where they were counted.
        counted: (label,) all voxels on that grid.
    """

    voxels: Counts
    volume_ml: Numbers
    mean: Numbers
    sd: Numbers
    faces: tuple[tuple[Face, ...], ...]
    components: Counts
    largest: Counts
    counted: Counts


def label_statistics(
    labels: Labels, values: Voxels, geometry: Geometry, inference: Labels
) -> LabelStatistics:
    """Returns the table.

    Sums of whole numbers are exact in float64, and those of slices are added in their order, so
    that the same voxels give the same numbers whatever the number of threads.

    Args:
        labels: (k, j, i) on the grid of `geometry`.
        values: (k, j, i), HU or the scanner's units.
        inference: The labels where the network put them, any axis order; pieces are counted here,
            where slices are not yet thick.
    """
    rows = 1 + max(int(labels.max(initial=0)), int(inference.max(initial=0)))
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        sums = np.array(list(pool.map(_slice_sums, labels, values, [rows] * len(labels))))
        pieces = np.array(list(pool.map(_pieces, *zip(*_boxes(inference, rows), strict=True))))
    voxels, total, squares = sums.sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = total / voxels
        variance = squares / voxels - mean**2
    return LabelStatistics(
        voxels=voxels.astype(np.int64),
        volume_ml=geometry.voxel_volumes_ml @ sums[:, 0],
        mean=mean,
        sd=np.sqrt(np.maximum(variance, 0)),
        faces=_faces(labels, geometry, rows),
        components=pieces[:, 0],
        largest=pieces[:, 1],
        counted=pieces[:, 2],
    )


def _slice_sums(labels: Labels, values: Voxels, rows: int) -> Numbers:
    """Returns (3, label): number, sum, and sum of squares of the values of a slice."""
    labelled = np.flatnonzero(labels)
    of = labels.ravel()[labelled]
    value = values.ravel()[labelled].astype(np.float64)
    return np.array(
        [
            np.bincount(of, minlength=rows),
            np.bincount(of, weights=value, minlength=rows),
            np.bincount(of, weights=value**2, minlength=rows),
        ]
    )


def _boxes(labels: Labels, rows: int) -> Iterator[tuple[Labels | None, int]]:
    """Yields for each label what lies in the box around it."""
    yield None, 0  # the background is no structure
    boxes = ndimage.find_objects(labels, max_label=rows - 1) if rows > 1 else []
    for label, box in enumerate(boxes, start=1):
        yield None if box is None else labels[box], label


def _pieces(part: Labels | None, label: int) -> tuple[int, int, int]:
    """Returns the number of connected pieces, the voxels of the largest, and of all."""
    if part is None:
        return 0, 0, 0
    mask = part == label
    mask = mask.T if mask.flags.f_contiguous else mask  # pieces are the same, and found faster
    voxels = int(np.count_nonzero(mask))
    pieces, number = ndimage.label(mask, _NEIGHBOURS)
    if number == 1:  # so it mostly is, and sizes take as long to count as pieces
        return number, voxels, voxels
    return number, int(np.bincount(pieces.ravel())[1:].max()), voxels


def _faces(labels: Labels, geometry: Geometry, rows: int) -> tuple[tuple[Face, ...], ...]:
    """Returns which outermost slices, rows and columns hold a label."""
    touched: list[list[Face]] = [[] for _ in range(rows)]
    for axis, pair in enumerate(geometry.faces):
        for index, face in zip((0, -1), pair, strict=True):
            for label in np.unique(labels.take(index, axis=axis)):
                touched[label].append(face)
    return tuple(tuple(face for face in Face if face in faces) for faces in touched)
