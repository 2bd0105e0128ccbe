"""Measures the demonstration model: `python -m training.evaluate --seeds 9000-9003`.

Every seed is a body that the model has never seen. It is scanned twice: at 3 mm, as in training,
and as a finer CT, which is resampled to 3 mm and back as in TotalSegmentator.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from numpy.typing import NDArray
from totalsegmentator.resampling import change_spacing

from tests.phantom import Anatomy

from .demo_network import model_folder
from .demo_structures import CLASS_NUMBERS, STRUCTURES
from .phantom_volumes import SPACING_MM, normalised, render

TILE_STEP = 0.8  # TotalSegmentator's step for the task `total`
FINE_SPACING_MM = (1.25, 1.25, 1.5)  # i, j, k
FINE_FIELD_MM = (420.0, 340.0, 560.0)
FINE_CENTRE_MM = (0.0, 5.0, 135.0)

Labels = NDArray[np.uint8]


def load_predictor(models: Path) -> Any:
    """Returns nnU-Net's own predictor with the model of a weights folder, on the CPU.

    The network is built from the plans beside the checkpoint. nnU-Net's own loading searches all
    its trainers and unpickles anything; a checkpoint of plain tensors needs neither.
    """
    folder = model_folder(models)
    plans = PlansManager(json.loads((folder / "plans.json").read_text()))
    dataset = json.loads((folder / "dataset.json").read_text())
    checkpoint = torch.load(
        folder / "fold_0" / "checkpoint_final.pth", map_location="cpu", weights_only=True
    )
    configuration = plans.get_configuration(checkpoint["init_args"]["configuration"])
    network = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        1,
        plans.get_label_manager(dataset).num_segmentation_heads,
        deep_supervision=False,
    )
    weights = checkpoint["network_weights"]
    network.load_state_dict(weights)
    predictor = nnUNetPredictor(
        tile_step_size=TILE_STEP,
        use_gaussian=True,
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.manual_initialization(
        network, plans, configuration, [weights], dataset, checkpoint["trainer_name"], None
    )
    return predictor


def segment(predictor: Any, hu: NDArray[np.int16]) -> Labels:
    """Returns the labels that nnU-Net finds in a scan of 3 mm.

    Args:
        predictor: from load_predictor.
        hu: (z, y, x) with x to the patient's right, y to the front, z to the head.
    """
    image = torch.from_numpy(normalised(hu))[None]
    logits = predictor.predict_logits_from_preprocessed_data(image)
    labels: Labels = logits.argmax(0).numpy().astype(np.uint8)
    return labels


def coarse_pair(predictor: Any, seed: int) -> tuple[Labels, Labels]:
    """Returns (found, true) labels of a trunk rendered at 3 mm."""
    hu, truth, _affine = render(seed, "trunk")
    return segment(predictor, hu), truth


def fine_pair(predictor: Any, seed: int) -> tuple[Labels, Labels]:
    """Returns (found, true) labels of a finer CT, by way of 3 mm as TotalSegmentator goes."""
    size_ijk = np.round(np.divide(FINE_FIELD_MM, FINE_SPACING_MM)).astype(int)
    affine_lps = np.diag([-FINE_SPACING_MM[0], -FINE_SPACING_MM[1], FINE_SPACING_MM[2], 1.0])
    affine_lps[:3, 3] = np.asarray(FINE_CENTRE_MM) - affine_lps[:3, :3] @ ((size_ijk - 1) / 2)
    shape_kji = (int(size_ijk[2]), int(size_ijk[1]), int(size_ijk[0]))
    hu, truth = Anatomy.random(seed).sample(affine_lps, shape_kji)
    affine_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_lps
    image = nibabel.Nifti1Image(hu.transpose(2, 1, 0), affine_ras)
    coarse = change_spacing(image, [SPACING_MM] * 3, order=1, dtype=np.int32)
    hu_coarse = np.asarray(coarse.dataobj).transpose(2, 1, 0).astype(np.int16)
    found = segment(predictor, hu_coarse).transpose(2, 1, 0)
    back = change_spacing(
        nibabel.Nifti1Image(found, coarse.affine),
        list(FINE_SPACING_MM),
        list(image.shape),
        order=0,
        dtype=np.uint8,
        force_affine=image.affine,
    )
    return np.asarray(back.dataobj).astype(np.uint8).transpose(2, 1, 0), truth


def dice_scores(found: Labels, truth: Labels) -> dict[str, float]:
    """Returns the Dice of each structure the model knows and that is in the scan."""
    counts_found = np.bincount(found.ravel(), minlength=256)
    counts_truth = np.bincount(truth.ravel(), minlength=256)
    overlap = np.bincount(truth[found == truth].ravel(), minlength=256)
    scores = {}
    for name in STRUCTURES:
        number = CLASS_NUMBERS[name]
        if counts_truth[number]:
            both = counts_found[number] + counts_truth[number]
            scores[name] = float(2.0 * overlap[number] / both)
    return scores


def evaluate(models: Path, seeds: Iterable[int]) -> dict[str, tuple[float, float]]:
    """Returns the mean Dice over the seeds of every structure, at 3 mm and on the finer CT."""
    predictor = load_predictor(models)
    coarse, fine = [], []
    for seed in seeds:
        coarse.append(dice_scores(*coarse_pair(predictor, seed)))
        fine.append(dice_scores(*fine_pair(predictor, seed)))
    return {
        name: (
            float(np.mean([scores[name] for scores in coarse if name in scores])),
            float(np.mean([scores[name] for scores in fine if name in scores])),
        )
        for name in STRUCTURES
    }


def parse_seeds(text: str) -> range:
    """Returns the seeds of "9000-9003" or of "9000"."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main() -> None:
    """Parses the arguments and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models/demo"))
    parser.add_argument("--seeds", type=parse_seeds, default=range(9000, 9004))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    scores = evaluate(arguments.models, arguments.seeds)
    print("| structure | Dice at 3 mm | Dice on a finer CT |")
    print("| --- | --- | --- |")
    for name, (coarse, fine) in scores.items():
        print(f"| {name} | {coarse:.3f} | {fine:.3f} |")
    means = np.mean(list(scores.values()), axis=0)
    print(f"| mean of {len(scores)} | {means[0]:.3f} | {means[1]:.3f} |")


if __name__ == "__main__":
    main()
