"""The round trip: does every mask lie where the network put it?

Looks at a SEG as a viewer does, from its own positions, orientation and pixel spacing, and at the
inference grid as the engine left it. Nothing between the two is used, so a slice that was mirrored,
shifted or mixed up on the way does not pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.slices import MAX_SHIFT_MM
from totalmap.errors import OutputError
from totalmap.measure.label_statistics import Labels
from totalmap.segmentation import InferenceLabels
from totalmap.writers.seg.read_groups import FunctionalGroups

# What the slice audit lets pass, and the rounding of decimal strings.
TOLERANCE_MM = MAX_SHIFT_MM + 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A labelled pixel of a SEG: its label in the task, its frame from 0, its row and column."""

    label: int
    frame: int
    row: int
    column: int


def check_placement(
    groups: FunctionalGroups, samples: Sequence[Sample], inference: InferenceLabels
) -> None:
    """Compares labelled pixels of a SEG with the labels on the inference grid at their positions.

    Raises:
        OutputError: A pixel lies where the network saw something else.
    """
    found = np.array([sample.label for sample in samples])
    fits = is_placed(_positions_lps(groups, samples), found, inference)
    if not fits.all():
        first = samples[int(np.argmin(fits))]
        raise OutputError(
            f"{np.count_nonzero(~fits)} of {len(fits)} voxels of the SEG lie where the network saw "
            f"something else, the first of label {first.label} in frame {first.frame + 1}"
        )


def is_placed(
    positions_lps: NDArray[np.float64], found: NDArray[np.integer[Any]], inference: InferenceLabels
) -> NDArray[np.bool_]:
    """Returns whether the network saw the labels that were found at positions there, too.

    Args:
        positions_lps: (n, 3) mm.
        found: (n,) labels.
    """
    to_index = np.linalg.inv(inference.affine_lps)
    index = positions_lps @ to_index[:3, :3].T + to_index[:3, 3]
    tolerance = TOLERANCE_MM / np.linalg.norm(inference.affine_lps[:3, :3], axis=0)
    fits = np.zeros(len(index), dtype=bool)
    for corner in product((-1, 1), repeat=3):
        nearest = np.floor(index + tolerance * corner + 0.5).astype(np.intp)
        fits |= _labels_at(inference.labels, nearest) == found
    return fits


def _positions_lps(groups: FunctionalGroups, samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Returns where pixels lie, (n, 3) mm in LPS (PS3.3 C.7.6.2.1.1, equation 1)."""
    orientation = groups.item(0, "PlaneOrientationSequence").ImageOrientationPatient
    rows_mm, columns_mm = map(float, groups.item(0, "PixelMeasuresSequence").PixelSpacing)
    cosines = np.asarray(orientation, dtype=float)
    planes = [groups.item(frame, "PlanePositionSequence") for frame in range(len(groups))]
    first_pixels = np.array([plane.ImagePositionPatient for plane in planes], dtype=float)
    positions = first_pixels[[sample.frame for sample in samples]]
    columns = np.array([sample.column for sample in samples])
    rows = np.array([sample.row for sample in samples])
    positions += np.outer(columns * columns_mm, cosines[:3])
    positions += np.outer(rows * rows_mm, cosines[3:])
    return positions


def _labels_at(labels: Labels, index: NDArray[np.intp]) -> Labels:
    """Returns the labels at (n, 3) indices; 0 outside by more than a voxel."""
    limits = np.array(labels.shape) - 1
    inside = ((index >= -1) & (index <= limits + 1)).all(axis=1)
    x, y, z = np.clip(index, 0, limits).T
    at: Labels = np.where(inside, labels[x, y, z], 0)
    return at
