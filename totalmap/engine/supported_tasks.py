"""Decides whether our own engine supports a task; if not, TotalSegmentator's python API runs it.

Reads plans, loads no network.
"""

from pathlib import Path

import numpy as np

from totalmap.engine.nnunet_plans import read_plans
from totalmap.engine.tasks import SubModel, Task
from totalmap.engine.weights import find_home
from totalmap.errors import UnsupportedModel

# nnU-Net resamples again if the size of the image, rounded to voxels, would change. Below this
# relative difference, the size of no image shorter than 50 000 voxels changes.
SAME_SPACING = 1e-5


def why_unsupported(task: Task, models_folder: Path) -> str:
    """Returns why our engine does not support a task with these weights; empty if it does.

    Raises:
        ModelError: Weights are missing, or their plans are damaged.
    """
    for needed in task.chain:
        for model in needed.models:
            if reason := needed.unsupported or _reason(needed, model, models_folder, task):
                return reason
    return ""


def _reason(task: Task, model: SubModel, models_folder: Path, wanted: Task) -> str:
    home = find_home(models_folder, task, model, wanted)
    try:
        plans = read_plans(home / model.dataset / model.trainer_folder)
    except UnsupportedModel as reason:
        return str(reason)
    if not np.allclose(plans.spacing_mm, task.spacing_mm[::-1], rtol=SAME_SPACING, atol=0):
        return (
            f"{model.dataset} works at {plans.spacing_mm[::-1]} mm, "
            f"the task at {task.spacing_mm} mm"
        )
    return ""
