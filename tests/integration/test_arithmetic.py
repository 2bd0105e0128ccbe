"""Compiled arithmetic gives nearly the labels of exact arithmetic with trained networks."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tests.conftest import DEMO_MODELS
from tests.networks import build_models
from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import volume_of
from totalmap.dicom.geometry import to_canonical
from totalmap.dicom.volume import Volume
from totalmap.engine.arithmetic.split_off_last_layer import FeatureNetwork
from totalmap.engine.bf16_agreement import dice_by_label
from totalmap.engine.inference_resampling import to_inference_grid
from totalmap.engine.network_loader import load_network
from totalmap.engine.nnunet_plans import read_plans
from totalmap.engine.normalize_intensity import scaling
from totalmap.engine.predict import Networks
from totalmap.engine.resample import resample_labels
from totalmap.engine.tasks import Task, load_task
from totalmap.engine.weights_manifest import adopt
from totalmap.settings import Arithmetic, Variant

SPEC = SeriesSpec(
    rows=128, columns=128, n_slices=100, pixel_spacing_mm=(3.2, 3.2), slice_spacing_mm=3.0
)
PATCH = (64, 64, 64)


def labels_of(
    volume: Volume, task: Task, models: Path, arithmetic: Arithmetic
) -> NDArray[np.uint8]:
    image = to_inference_grid(volume, task.spacing_mm).voxels.transpose(2, 1, 0)
    networks = Networks(task, models, arithmetic=arithmetic)
    return networks.predict(image, lambda _done, _total: None)


def assert_agreement(volume: Volume, task: Task, models: Path) -> None:
    exact, compiled = (
        labels_of(volume, task, models, arithmetic)
        for arithmetic in (Arithmetic.EXACT, Arithmetic.COMPILED)
    )
    dice = dice_by_label(exact, compiled)
    assert len(dice) >= 10, "too few structures to say anything"
    assert (exact == compiled).mean() >= 0.999
    assert min(dice.values()) >= 0.99, dice


def test_compiled_arithmetic_gives_nearly_exact_labels_with_the_demo_model(tmp_path: Path) -> None:
    volume = volume_of(write_series(tmp_path / "in", 21, SPEC).folder)
    assert_agreement(volume, load_task("total", Variant.FAST), DEMO_MODELS)


def test_compiled_arithmetic_gives_nearly_exact_labels_with_a_fitted_network(
    tmp_path: Path,
) -> None:
    task = load_task("total", Variant.FASTEST)
    models = build_models(tmp_path / "models", Variant.FASTEST, patch_size=PATCH, base_features=8)
    written = write_series(tmp_path / "in", 22, SPEC)
    volume = volume_of(written.folder)
    fit_last_layer(models, task, volume, written.labels)
    assert_agreement(volume, task, models)


@torch.inference_mode()
def fit_last_layer(models: Path, task: Task, volume: Volume, true: NDArray[np.uint8]) -> None:
    """Fits the last layer by least squares, which takes a second."""
    (model,) = task.models
    plans = read_plans(models / model.dataset / model.trainer_folder)
    checkpoint = models / model.checkpoint
    image = to_inference_grid(volume, task.spacing_mm).voxels
    labels = resample_labels(to_canonical(true, volume.geometry), image.shape)
    patch = np.zeros(PATCH, dtype=np.float32)
    wanted = np.zeros(PATCH, dtype=np.uint8)
    there = (slice(0, PATCH[0]), slice(0, PATCH[1]), slice(0, PATCH[2]))
    whole = image.transpose(2, 1, 0)
    seen = scaling(whole, there, plans.normalization)(whole[there])
    inside = tuple(slice(0, n) for n in seen.shape)
    patch[inside], wanted[inside] = seen, labels.transpose(2, 1, 0)[there]
    features = FeatureNetwork(load_network(plans, checkpoint))(torch.from_numpy(patch)[None, None])
    columns = features[0].reshape(features.shape[1], -1).double().T
    columns = torch.cat([columns, torch.ones(len(columns), 1)], 1)
    # A large structure counts as much as a small one.
    counts = np.bincount(wanted.ravel(), minlength=plans.heads)
    importance = torch.from_numpy(1 / np.sqrt(counts[wanted.ravel()]))[:, None]
    targets = torch.nn.functional.one_hot(torch.from_numpy(wanted).long().ravel(), plans.heads)
    weights = (
        torch.linalg.lstsq(columns * importance, targets.double() * importance).solution.float()
        * 10
    )
    document = torch.load(checkpoint, weights_only=True)
    last = len([1 for name in document["network_weights"] if "seg_layers" in name]) // 2 - 1
    name = f"decoder.seg_layers.{last}"
    document["network_weights"][f"{name}.weight"] = weights[:-1].T[..., None, None, None].clone()
    document["network_weights"][f"{name}.bias"] = weights[-1].clone()
    torch.save(document, checkpoint)
    adopt(models)
