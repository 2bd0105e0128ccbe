"""Measures how far two label images agree."""

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

# The Dice of fewer voxels is not meaningful.
SMALLEST_STRUCTURE_VOXELS = 100
_LABELS = 256

Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The agreement of labels with a reference.

    Attributes:
        voxels: The number of all voxels.
        differing: The number of voxels with another label.
        min_dice: The lowest Dice of the structures that have at least SMALLEST_STRUCTURE_VOXELS in
            the reference; 1 without such a structure.
        structures: The number of these structures.
    """

    voxels: int
    differing: int
    min_dice: float
    structures: int


def compare(labels: Labels, reference: Labels) -> Agreement:
    """Compares two label images on the same grid.

    Raises:
        ValueError: The grids differ.
    """
    if labels.shape != reference.shape:
        raise ValueError(f"labels of {labels.shape} against a reference of {reference.shape}")
    pairs = np.zeros(_LABELS * _LABELS, dtype=np.int64)
    for ours, theirs in zip(labels, reference, strict=True):  # plane by plane: less memory
        joint = ours.astype(np.intp) * _LABELS + theirs
        pairs += np.bincount(joint.ravel(), minlength=pairs.size)
    table = pairs.reshape(_LABELS, _LABELS)
    both, sizes = np.diag(table), table.sum(axis=0)
    dice = 2 * both / np.maximum(sizes + table.sum(axis=1), 1)
    large = sizes >= SMALLEST_STRUCTURE_VOXELS
    large[0] = False
    return Agreement(
        voxels=int(pairs.sum()),
        differing=int(pairs.sum() - both.sum()),
        min_dice=float(dice[large].min(initial=1.0)),
        structures=int(large.sum()),
    )


def load_labels(path: Path) -> Labels:
    """Returns the labels of a NIfTI file, with the axes of the file."""
    return np.asarray(nibabel.load(path).dataobj).astype(np.uint8)
