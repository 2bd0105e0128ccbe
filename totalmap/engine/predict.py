"""Runs the networks of a task over a volume.

Gives the labels of TotalSegmentator 2.18 (totalsegmentator.nnunet.nnUNet_predict_image with
nnunetv2.inference.predict_from_raw_data) with the same weights, voxel by voxel, in memory and
in one process.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from totalmap.engine.network import load_network
from totalmap.engine.normalize import normalize
from totalmap.engine.plans import Plans, read_plans
from totalmap.engine.postprocess import labels_from_logits, lay_over
from totalmap.engine.segment import Progress
from totalmap.engine.tasks import Task
from totalmap.engine.tiling import Slices, gaussian_weights, pad_to_patch, tiles
from totalmap.engine.weights import VerifiedModel, verify_models
from totalmap.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _LoadedModel:
    plans: Plans
    network: torch.nn.Module
    label_table: tuple[int, ...]


class Networks:
    """The networks of one task, loaded once, for any number of images."""

    def __init__(self, task: Task, models_folder: Path) -> None:
        """Verifies and loads the networks.

        Raises:
            ModelError: Weights are missing, not on record, changed, or of another kind.
        """
        verified = verify_models(models_folder, task)
        self.task = task
        self.identities = tuple(model.identity for model in verified)
        self._models = tuple(_load(model) for model in verified)

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
        cropped = np.ascontiguousarray(image, dtype=np.float32)[box]  # see normalize
        layouts = [self._layout(cropped.shape, model.plans) for model in self._models]
        counter = _TileCounter(sum(map(len, layouts)), progress)
        for model, layout in zip(self._models, layouts, strict=True):
            logits = _predict_logits(model, cropped, layout, counter)
            lay_over(labels[box], labels_from_logits(logits), model.label_table)
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


def _load(model: VerifiedModel) -> _LoadedModel:
    plans = read_plans(model.trainer_folder)
    if plans.heads > len(model.label_table):
        raise ModelError(
            f"{model.identity.dataset} has {plans.heads} labels, the task {len(model.label_table)}"
        )
    return _LoadedModel(
        plans=plans,
        network=load_network(plans, model.checkpoint),
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


@torch.inference_mode()
def _predict_logits(
    model: _LoadedModel, image: NDArray[np.float32], layout: list[Slices], counter: _TileCounter
) -> torch.Tensor:
    """Returns the weighted mean of the tiles' logits, (channel, z, y, x) float16.

    Sums are kept in float16 tile by tile, as in
    nnUNetPredictor._internal_predict_sliding_window_return_logits: another order or precision
    would give other labels where two structures are nearly equal.

    Args:
        image: (z, y, x), HU at the network's resolution.
        layout: The tiles of the image padded to at least a patch.
    """
    plans = model.plans
    padded, inside = pad_to_patch(normalize(image, plans.normalization), plans.patch_size)
    source = torch.from_numpy(padded)
    weights = gaussian_weights(plans.patch_size)
    sums = torch.zeros((plans.heads, *padded.shape), dtype=torch.half)
    weight_sums = torch.zeros(padded.shape, dtype=torch.half)
    for tile in layout:
        prediction = model.network(source[tile][None, None].contiguous())[0]
        prediction *= weights
        sums[(slice(None), *tile)] += prediction
        weight_sums[tile] += weights
        counter.tile_done()
    torch.div(sums, weight_sums, out=sums)
    return sums[(slice(None), *inside)]
