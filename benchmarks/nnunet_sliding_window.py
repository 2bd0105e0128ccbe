"""Runs nnU-Net's own sliding window in this process, with TotalSegmentator's settings."""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray

from totalmap.engine.nnunet_plans import read_plans
from totalmap.engine.normalize import scaling
from totalmap.engine.predict import nonzero_box, overwrite_labels
from totalmap.engine.tasks import Task

# nnU-Net imports them to read files and to draw, which nothing here does.
_READERS = ("SimpleITK", "imagecodecs", "graphviz")


def nnunet_labels(
    image: NDArray[np.generic], task: Task, models: Path, device: torch.device
) -> NDArray[np.uint8]:
    """Returns the labels of a task, (z, y, x), with networks that are loaded for it.

    Args:
        image: (z, y, x) at the spacing of the task.
        task: The task, with all its networks.
        models: Holds the networks.
        device: A GPU or the CPU.
    """
    _stand_in_for_readers()
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    box = nonzero_box(image)
    labels = np.zeros(image.shape, dtype=np.uint8)
    for model in task.models:
        predictor = nnUNetPredictor(
            tile_step_size=task.step_size,
            use_mirroring=False,
            perform_everything_on_device=True,
            device=device,
            allow_tqdm=False,
        )
        trainer = models / model.dataset / model.trainer_folder
        predictor.initialize_from_trained_model_folder(str(trainer), model.folds or (0, 1))
        scale = scaling(image, box, read_plans(trainer).normalization)
        data = torch.from_numpy(scale(image[box])[None])
        logits = predictor.predict_sliding_window_return_logits(data)
        found = logits.argmax(0).to(torch.uint8).cpu().numpy()
        overwrite_labels(labels[box], found, model.label_table)
    return labels


class _StandIn(ModuleType):
    """A module of which names can be imported, and none used."""

    def __getattr__(self, name: str) -> type[object]:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


def _stand_in_for_readers() -> None:
    for name in _READERS:
        if name not in sys.modules and find_spec(name) is None:
            sys.modules[name] = _StandIn(name)
