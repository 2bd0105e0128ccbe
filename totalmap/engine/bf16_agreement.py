"""Measures how well bfloat16 agrees with exact arithmetic, network by network.

Rounding to 8 bits moves borders, by an amount that depends on the weights. Therefore bf16 is
allowed only for weights that were measured on a CT of the user.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.volume import Volume
from totalmap.engine.inference_resampling import to_inference_grid
from totalmap.engine.predict import Networks
from totalmap.engine.supported_tasks import why_unsupported
from totalmap.engine.tasks import SUPPORTED_TASKS, Task, load_task, variants
from totalmap.engine.weights_manifest import Agreement, Manifest, read_manifest, record_agreements
from totalmap.errors import InputError
from totalmap.log import get_logger
from totalmap.settings import Arithmetic, Device

log = get_logger()

# The Dice of fewer voxels is not meaningful.
SMALLEST_VOXELS = 100


def measure_bf16(folder: Path, volume: Volume) -> Manifest:
    """Runs every network of a models folder in both arithmetics and records their agreement.

    Networks for another modality than the volume's, and networks that our engine does not support,
    are skipped.

    Args:
        folder: Models on record.
        volume: A volume with many structures of the networks.

    Raises:
        ModelError: Weights are not on record or changed.
        InputError: No network on record finds anything in the volume.
    """
    agreements = {}
    for task in _networks_one_by_one(folder, volume.modality):
        (model,) = task.models
        agreement = _agreement(task, folder, volume)
        if agreement is None:
            log.warning("bf16_not_measured", dataset=model.dataset, reason="it finds nothing")
            continue
        agreements[model.dataset] = agreement
    if not agreements:
        raise InputError(
            f"no network in {folder} finds a structure of {SMALLEST_VOXELS} voxels in this "
            "series: bf16 can't be measured on it"
        )
    return record_agreements(folder, agreements)


def _networks_one_by_one(folder: Path, modality: str) -> Iterator[Task]:
    """Yields a task with a single network for each network on record that our engine supports."""
    on_record = {record.dataset for record in read_manifest(folder).models}
    for name in SUPPORTED_TASKS:
        for variant in variants(name):
            task = load_task(name, variant)
            for model in task.models:
                alone = replace(task, models=(model,), crop=None, refined_by=None)
                is_ours = (folder / model.checkpoint).is_file() and modality == task.modality
                if is_ours and model.dataset in on_record and not why_unsupported(alone, folder):
                    on_record.remove(model.dataset)
                    yield alone


def _agreement(task: Task, folder: Path, volume: Volume) -> Agreement | None:
    """Returns the agreement of a network; None if it finds nothing."""
    image = to_inference_grid(volume, task.spacing_mm).voxels.transpose(2, 1, 0)
    exact, rounded = (
        Networks(
            task, folder, arithmetic=arithmetic, device=Device.CPU, measured_only=False
        ).predict(image, lambda _done, _total: None)
        for arithmetic in (Arithmetic.EXACT, Arithmetic.BF16)
    )
    dice = dice_by_label(exact, rounded)
    if not dice:
        return None
    names = {structure.label: structure.name for structure in task.structures}
    worst = min(dice, key=lambda label: dice[label])
    return Agreement(
        min_dice=round(dice[worst], 4),
        structure=names.get(worst, f"label {worst}"),
        structures=len(dice),
    )


def dice_by_label(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> dict[int, float]:
    """Returns the Dice coefficient of each label with enough voxels in one of the images."""
    both = np.bincount(first[first == second], minlength=256)
    sizes = np.bincount(first.ravel(), minlength=256), np.bincount(second.ravel(), minlength=256)
    return {
        label: float(2 * both[label] / (sizes[0][label] + sizes[1][label]))
        for label in range(1, 256)
        if max(sizes[0][label], sizes[1][label]) >= SMALLEST_VOXELS
    }
