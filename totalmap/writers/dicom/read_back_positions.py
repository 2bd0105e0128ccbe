"""Checks that labelled pixels of a written object lie at the positions where the network put them.

The positions come from the written object, and the labels from the inference grid of the engine.
Therefore a slice that was mirrored, shifted or confused with another one is noticed.
"""

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.slices import MAX_SHIFT_MM
from totalmap.measure.label_statistics import Labels
from totalmap.segmentation import InferenceLabels

# The slice audit accepts this shift; the rest is the rounding of decimal strings.
TOLERANCE_MM = MAX_SHIFT_MM + 0.01


def is_placed(
    positions_lps: NDArray[np.float64], labels: NDArray[np.integer[Any]], inference: InferenceLabels
) -> NDArray[np.bool_]:
    """Returns for each position whether the network put the same label there.

    Args:
        positions_lps: (n, 3) mm.
        labels: (n,) labels at these positions.
        inference: The labels on the inference grid; on the grids of all boxes if there are any.
    """
    is_equal = np.zeros(len(labels), dtype=bool)
    for grid in inference.of_boxes or (inference,):
        is_equal |= _is_placed_on_grid(positions_lps, labels, grid)
    return is_equal


def _is_placed_on_grid(
    positions_lps: NDArray[np.float64], labels: NDArray[np.integer[Any]], inference: InferenceLabels
) -> NDArray[np.bool_]:
    to_index = np.linalg.inv(inference.affine_lps)
    index = positions_lps @ to_index[:3, :3].T + to_index[:3, 3]
    tolerance = TOLERANCE_MM / np.linalg.norm(inference.affine_lps[:3, :3], axis=0)
    is_equal = np.zeros(len(index), dtype=bool)
    for corner in product((-1, 1), repeat=3):
        nearest = np.floor(index + tolerance * corner + 0.5).astype(np.intp)
        is_equal |= _labels_at(inference.labels, nearest) == labels
    return is_equal


def _labels_at(labels: Labels, index: NDArray[np.intp]) -> Labels:
    """Returns the labels at (n, 3) indices; 0 for those outside by more than a voxel."""
    limits = np.array(labels.shape) - 1
    inside = ((index >= -1) & (index <= limits + 1)).all(axis=1)
    x, y, z = np.clip(index, 0, limits).T
    at: Labels = np.where(inside, labels[x, y, z], 0)
    return at
