"""Applies TotalSegmentator's postprocessing to the labels of some tasks, on the inference grid.

Source: totalsegmentator.nnunet.nnUNet_predict_image, "Postprocessing multilabel", which depends on
the name of the task. The functions are TotalSegmentator's.
"""

import numpy as np
from numpy.typing import NDArray
from totalsegmentator.map_to_binary import class_map
from totalsegmentator.postprocessing import (
    dilate_vertebrae_labels,
    keep_largest_blob_multilabel,
    postprocess_vertebrae_pp,
    remove_small_blobs_multilabel,
)

from totalmap.engine.tasks import Task

SMALLEST_EXTREMITY_MM3 = 50_000
NO_LIMIT = 1e10


def clean(
    labels: NDArray[np.uint8], task: Task, zooms_mm: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Returns the labels after the postprocessing of the task, without labels it does not name.

    Args:
        labels: (x, y, z) from the networks.
        task: The task.
        zooms_mm: Spacing along x, y, z. Another rounding moves the borders of vertebrae.
    """
    names: dict[int, str] = class_map[task.name]
    volume_mm3 = np.prod(zooms_mm)
    if task.name == "body":
        labels = keep_largest_blob_multilabel(labels.copy(), names, ["body_trunc"], quiet=True)
        interval = [SMALLEST_EXTREMITY_MM3 / volume_mm3, NO_LIMIT]
        labels = remove_small_blobs_multilabel(
            labels, names, ["body_extremities"], interval=interval, quiet=True
        )
    if task.name == "vertebrae_pp":
        labels = _separated(labels, names, volume_mm3, tuple(zooms_mm))
    return only_named(labels, task)


def _separated(
    labels: NDArray[np.uint8],
    names: dict[int, str],
    volume_mm3: np.float32,
    zooms_mm: tuple[np.float32, ...],
) -> NDArray[np.uint8]:
    """Returns vertebrae that do not touch, one label each, grown by 3 mm."""
    separated: NDArray[np.uint8]
    try:
        separated = postprocess_vertebrae_pp(
            labels.copy(), names, voxel_volume=volume_mm3, voxel_spacing=zooms_mm
        )
    except IndexError:
        # TotalSegmentator 2.18 fails if all vertebrae that touch are in one piece.
        separated = dilate_vertebrae_labels(labels, names, zooms_mm)
    return separated


def only_named(labels: NDArray[np.uint8], task: Task) -> NDArray[np.uint8]:
    """Returns the labels of the task's structures, and 0 elsewhere.

    Labels that were only used in training (remove_auxiliary_labels) and structures that were not
    asked for become 0.
    """
    kept = np.zeros(256, dtype=np.uint8)
    for structure in task.structures:
        kept[structure.label] = structure.label
    return kept[labels]
