"""A second opinion: what networks of another resolution find in the same volume.

TotalSegmentator has one training of each network, but two that are independent of each other, at
1.5 and at 3 mm. How far they agree on a structure is the pairwise Dice that Zenk et al.
(arXiv 2406.03323) found the most robust sign of failure. What both do wrong stays unseen.
"""

import numpy as np
from numpy.typing import NDArray

from totalmap.engine.tasks import WHOLE_BODY_TASKS, Task, load_task
from totalmap.errors import ConfigError
from totalmap.measure.label_statistics import Labels
from totalmap.segmentation import InferenceLabels, Opinion
from totalmap.settings import Variant
from totalmap.structures import Structure


def second_opinion_task(task: Task) -> Task:
    """Returns the same task at 3 mm, for one at 1.5 mm: an eighth of the voxels, one network.

    Raises:
        ConfigError: The task has no coarser networks that would cost little and see as much: at
            6 mm, structures of 1 mL are five voxels.
    """
    if task.name not in WHOLE_BODY_TASKS or task.variant is not Variant.FULL:
        raise ConfigError(
            f"quality.second_opinion: there is none on task {task.name}, variant {task.variant}; "
            f"choose segmentation.variant full and a task of {', '.join(WHOLE_BODY_TASKS)}, "
            "or set it to false"
        )
    looks_around = task.structures if task.crop else ()
    return load_task(task.name, Variant.FAST, tuple(structure.name for structure in looks_around))


def opinions(
    result: InferenceLabels, other: InferenceLabels, structures: tuple[Structure, ...]
) -> tuple[Opinion, ...]:
    """Returns how far two label images agree, for each structure that one of them holds.

    Args:
        result: On the finer grid.
        other: On the coarser one, which is where they are compared; its axes are parallel.
        structures: Of both.
    """
    own_labels = _at_voxels_of(other, result)
    both = np.bincount(own_labels[own_labels == other.labels], minlength=256)
    sizes, other_sizes = (
        np.bincount(labels.ravel(), minlength=256) for labels in (own_labels, other.labels)
    )
    voxel_ml = abs(float(np.linalg.det(other.affine_lps[:3, :3]))) / 1000.0
    return tuple(
        Opinion(
            structure=structure,
            dice=float(2 * both[label] / (sizes[label] + other_sizes[label])),
            volume_ml=float(sizes[label] * voxel_ml),
            other_volume_ml=float(other_sizes[label] * voxel_ml),
        )
        for structure in structures
        if sizes[label := structure.label] + other_sizes[label]
    )


def _at_voxels_of(grid: InferenceLabels, seen: InferenceLabels) -> Labels:
    """Returns labels at the centres of the voxels of another grid: those of the nearest voxel."""
    index = np.linalg.inv(seen.affine_lps) @ grid.affine_lps
    places = (
        _nearest(index[axis, axis] * np.arange(count) + index[axis, 3], limit)
        for axis, (count, limit) in enumerate(
            zip(grid.labels.shape, seen.labels.shape, strict=True)
        )
    )
    return seen.labels[np.ix_(*places)]


def _nearest(index: NDArray[np.float64], limit: int) -> NDArray[np.intp]:
    """Returns whole numbers 0..limit - 1; grids of one volume may end a voxel apart."""
    rounded: NDArray[np.intp] = np.clip(np.floor(index + 0.5), 0, limit - 1).astype(np.intp)
    return rounded
