"""Runs the networks of a task over a volume.

Gives the labels of TotalSegmentator 2.18 (totalsegmentator.nnunet.nnUNet_predict_image with
nnunetv2.inference.predict_from_raw_data) with the same weights, voxel by voxel, in memory and
in one process.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from totalmap.engine.allocator import keep_freed_memory
from totalmap.engine.arithmetic.exact import ExactNetwork
from totalmap.engine.arithmetic.tile_network import TileNetwork
from totalmap.engine.network import load_network
from totalmap.engine.plans import CtNormalization, Plans, read_plans
from totalmap.engine.postprocess import lay_over
from totalmap.engine.segment import Progress
from totalmap.engine.sliding_window import predict_labels
from totalmap.engine.tasks import Task
from totalmap.engine.tiling import Slices, pad_to_patch, tiles
from totalmap.engine.weights import VerifiedModel, verify_models
from totalmap.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _LoadedModel:
    plans: Plans
    network: TileNetwork
    label_table: tuple[int, ...]


class Networks:
    """The networks of one task, loaded once, for any number of images."""

    def __init__(self, task: Task, models_folder: Path) -> None:
        """Verifies and loads the networks.

        Raises:
            ModelError: Weights are missing, not on record, changed, or of another kind.
        """
        keep_freed_memory()
        verified = verify_models(models_folder, task)
        self.task = task
        self.identities = tuple(model.identity for model in verified)
        self._models = tuple(_load(model, task) for model in verified)

    def predict(self, image: NDArray[np.generic], progress: Progress) -> NDArray[np.uint8]:
        """Returns the labels of all networks laid over each other.

        Args:
            image: (z, y, x) in HU, at the spacing of the task.
            progress: Is told about every tile.

        Returns:
            (z, y, x) labels of the task.
        """
        labels = np.zeros(image.shape, dtype=np.uint8)
        box = _nonzero_box(image)
        cropped = image[box].astype(np.float32)
        layouts = [self._layout(cropped.shape, model.plans) for model in self._models]
        counter = _TileCounter(sum(map(len, layouts)), progress)
        for model, layout in zip(self._models, layouts, strict=True):
            normalized = _normalize(cropped, model.plans.normalization)
            padded, inside = pad_to_patch(normalized, model.plans.patch_size)
            part = predict_labels(padded, layout, model.network, counter.tile_done)[inside]
            lay_over(labels[box], part, model.label_table)
        return labels

    def _layout(self, shape: tuple[int, ...], plans: Plans) -> list[Slices]:
        padded = tuple(map(max, shape, plans.patch_size))
        return tiles(padded, plans.patch_size, self.task.step_size)


class _TileCounter:
    """Counts tiles over all networks of a run and tells the observer."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._done = 0
        self._total = total
        self._progress = progress

    def tile_done(self) -> None:
        self._done += 1
        self._progress(self._done, self._total)


def _load(model: VerifiedModel, task: Task) -> _LoadedModel:
    plans = read_plans(model.trainer_folder)
    if set(plans.spacing_mm) != {task.spacing_mm}:
        raise ModelError(
            f"{model.identity.dataset} works at {plans.spacing_mm} mm, "
            f"the task at {task.spacing_mm} mm"
        )
    if plans.heads > len(model.label_table):
        raise ModelError(
            f"{model.identity.dataset} has {plans.heads} labels, the task {len(model.label_table)}"
        )
    return _LoadedModel(
        plans=plans,
        network=ExactNetwork(load_network(plans, model.checkpoint)),
        label_table=model.label_table,
    )


def _nonzero_box(image: NDArray[np.generic]) -> Slices:
    """Returns the box of all voxels that are not 0 (nnunetv2's crop_to_nonzero).

    The original fills holes first, which can't move the box.
    """
    slices = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        occupied = np.flatnonzero((image != 0).any(axis=others))
        first, last = (occupied[0], occupied[-1]) if occupied.size else (0, image.shape[axis] - 1)
        slices.append(slice(int(first), int(last) + 1))
    z, y, x = slices
    return z, y, x


def _normalize(image: NDArray[np.float32], values: CtNormalization) -> NDArray[np.float32]:
    """Clips to the training data's range and scales (nnunetv2's CTNormalization)."""
    normalized = np.clip(image, values.lower, values.upper)
    normalized -= values.mean
    normalized /= max(values.std, 1e-8)
    return normalized
