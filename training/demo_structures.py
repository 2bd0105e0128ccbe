"""Lists the structures that the demonstration model knows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from totalsegmentator.map_to_binary import class_map

TASK_ID = 297  # TotalSegmentator's task `total` at 3 mm
CLASS_NAMES: dict[int, str] = class_map["total"]
CLASS_NUMBERS: dict[str, int] = {name: number for number, name in CLASS_NAMES.items()}
N_CLASSES = len(CLASS_NAMES) + 1  # with the background

STRUCTURES: tuple[str, ...] = (
    "spleen",
    "kidney_right",
    "kidney_left",
    "liver",
    "stomach",
    "lung_upper_lobe_left",
    "lung_lower_lobe_left",
    "lung_upper_lobe_right",
    "lung_middle_lobe_right",
    "lung_lower_lobe_right",
    "urinary_bladder",
    "sacrum",
    "vertebrae_L5",
    "vertebrae_L4",
    "vertebrae_L3",
    "vertebrae_L2",
    "vertebrae_L1",
    "heart",
    "aorta",
    "femur_left",
    "femur_right",
    "hip_left",
    "hip_right",
    "gluteus_maximus_left",
    "gluteus_maximus_right",
    "gluteus_medius_left",
    "gluteus_medius_right",
    "autochthon_left",
    "autochthon_right",
    "iliopsoas_left",
    "iliopsoas_right",
)
"""The structures that can be learned at 3 mm: not ribs, thoracic vertebrae and thin tubes."""


def compact_labels(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns labels with the model's structures as 1, 2, ... in order and the rest as 0.

    Args:
        labels: class numbers of the task `total`, any shape.
    """
    table = np.zeros(256, np.uint8)
    for index, name in enumerate(STRUCTURES, start=1):
        table[CLASS_NUMBERS[name]] = index
    result: NDArray[np.uint8] = table[labels]
    return result
