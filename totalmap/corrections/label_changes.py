"""Counts what a correction changed in each structure: Dice with the result before, and volumes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from totalmap.measure.label_statistics import Labels
from totalmap.structures import Structure

_DECIMALS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureChange:
    """The change of a structure by a correction.

    Attributes:
        edit_dice: Dice coefficient of the structure before and after the correction, 0..1.
        added_ml: Volume that the structure gained, in mL.
        removed_ml: Volume that it lost, in mL.
        is_new: Whether it was absent before, and all of its voxels were background.
    """

    structure: Structure
    edit_dice: float
    added_ml: float
    removed_ml: float
    is_new: bool


def count_changes(
    before: Labels,
    after: Labels,
    structures: Iterable[Structure],
    voxel_volumes_ml: NDArray[np.float64],
) -> tuple[StructureChange, ...]:
    """Returns the changes of all structures that have changed voxels, by label.

    Changed voxels are counted by their label before and after, in one pass.

    Args:
        before: (k, j, i) labels before the correction.
        after: (k, j, i) labels after it.
        structures: All structures that labels may stand for.
        voxel_volumes_ml: (k,) volume of a voxel of each slice in mL.
    """
    known = sorted(structures, key=lambda structure: structure.label)
    size = 1 + max((structure.label for structure in known), default=0)
    moved, moved_ml = np.zeros(size**2, np.int64), np.zeros(size**2)
    present = np.zeros(size, np.int64)
    for old, new, voxel_ml in zip(before, after, voxel_volumes_ml, strict=True):
        present += np.bincount(old.ravel(), minlength=size)
        is_changed = old != new
        if is_changed.any():
            pairs = old[is_changed].astype(np.intp) * size + new[is_changed]
            counted = np.bincount(pairs, minlength=size**2)
            moved += counted
            moved_ml += counted * voxel_ml
    voxels, volumes = moved.reshape(size, size), moved_ml.reshape(size, size)
    changes = []
    for structure in known:
        label = structure.label
        removed, added = int(voxels[label].sum()), int(voxels[:, label].sum())
        if not removed and not added:
            continue
        kept, total = present[label] - removed, 2 * present[label] - removed + added
        changes.append(
            StructureChange(
                structure=structure,
                edit_dice=round(float(2 * kept / total), 4),
                added_ml=round(float(volumes[:, label].sum()), _DECIMALS),
                removed_ml=round(float(volumes[label].sum()), _DECIMALS),
                is_new=not present[label] and added == voxels[0, label],
            )
        )
    return tuple(changes)
