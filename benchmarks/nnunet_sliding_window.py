"""Runs nnU-Net's own sliding window in this process, with TotalSegmentator's settings."""

import json
from pathlib import Path

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from numpy.typing import NDArray

from totalmap.engine.network_loader import load_network
from totalmap.engine.nnunet_plans import read_plans
from totalmap.engine.normalize_intensity import scaling
from totalmap.engine.predict import nonzero_box, overwrite_labels
from totalmap.engine.tasks import SubModel, Task


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
    box = nonzero_box(image)
    labels = np.zeros(image.shape, dtype=np.uint8)
    for model in task.models:
        predictor = _predictor(model, task.step_size, models, device)
        scale = scaling(
            image, box, read_plans(models / model.dataset / model.trainer_folder).normalization
        )
        data = torch.from_numpy(scale(image[box])[None])
        logits = predictor.predict_sliding_window_return_logits(data)
        found = logits.argmax(0).to(torch.uint8).cpu().numpy()
        overwrite_labels(labels[box], found, model.label_table)
    return labels


def _predictor(
    model: SubModel, step_size: float, models: Path, device: torch.device
) -> nnUNetPredictor:
    """Returns nnU-Net's predictor with one network, of nnU-Net's classes.

    The predictor can load it, too, but then imports all classes for training.
    """
    predictor = nnUNetPredictor(
        tile_step_size=step_size,
        use_mirroring=False,
        perform_everything_on_device=True,
        device=device,
        allow_tqdm=False,
    )
    folder = models / model.dataset / model.trainer_folder
    trainer_name, _, configuration_name = model.trainer_folder.split("__")
    plans = PlansManager(json.loads((folder / "plans.json").read_text()))
    predictor.manual_initialization(
        network=load_network(read_plans(folder), models / model.checkpoint),
        plans_manager=plans,
        configuration_manager=plans.get_configuration(configuration_name),
        parameters=None,
        dataset_json=json.loads((folder / "dataset.json").read_text()),
        trainer_name=trainer_name,
        inference_allowed_mirroring_axes=None,
    )
    return predictor
