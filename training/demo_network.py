"""Builds the demonstration network, and exports it in TotalSegmentator's folder layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch import Tensor, nn
from totalsegmentator.map_tasks_config import TASK_ID_WEIGHTS_CONFIGS

from totalmap.engine.learnt_structures import LEARNT_KEY

from .demo_structures import CLASS_NAMES, CLASS_NUMBERS, N_CLASSES, STRUCTURES, TASK_ID
from .phantom_volumes import CT_CLIP_HU, CT_MEAN_HU, CT_STD_HU, SPACING_MM

PATCH_SIZE = (80, 96, 128)  # z, y, x; x covers a body's whole width
FEATURES = (16, 16, 32, 64, 128)  # 32, 64, 128, 256, 320 in TotalSegmentator's own network
TRAINER = "nnUNetTrainer_4000epochs_NoMirroring"
CONFIGURATION = "3d_fullres"
ABSENT_BIAS = -200.0  # never the maximum, and safe in nnU-Net's float16 sums over tiles


def plans() -> dict[str, Any]:
    """Returns nnU-Net's plans in the newer format, which names the width of every stage."""
    resample = "resample_data_or_seg_to_shape"
    configuration = {
        "data_identifier": f"nnUNetPlans_{CONFIGURATION}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 1,
        "patch_size": list(PATCH_SIZE),
        "median_image_size_in_voxels": [140.0, 110.0, 130.0],
        "spacing": [SPACING_MM] * 3,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "architecture": _architecture(),
        "resampling_fn_data": resample,
        "resampling_fn_seg": resample,
        "resampling_fn_probabilities": resample,
        "resampling_fn_data_kwargs": _resampling(is_seg=False, order=3),
        "resampling_fn_seg_kwargs": _resampling(is_seg=True, order=1),
        "resampling_fn_probabilities_kwargs": _resampling(is_seg=False, order=1),
        "batch_dice": False,
    }
    intensity = {
        "max": 3071.0,
        "mean": CT_MEAN_HU,
        "median": -24.0,
        "min": -1024.0,
        "percentile_00_5": CT_CLIP_HU[0],
        "percentile_99_5": CT_CLIP_HU[1],
        "std": CT_STD_HU,
    }
    return {
        "dataset_name": TASK_ID_WEIGHTS_CONFIGS[TASK_ID]["foldername"],
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [SPACING_MM] * 3,
        "original_median_shape_after_transp": [140, 110, 130],
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {CONFIGURATION: configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": intensity},
    }


def dataset() -> dict[str, Any]:
    """Returns nnU-Net's description of the data set, with all structures of the task.

    The key `learnt` lists the structures that the model knows (totalmap.engine.learnt_structures).
    """
    names = {name: number for number, name in CLASS_NAMES.items()}
    return {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **names},
        LEARNT_KEY: list(STRUCTURES),
        "numTraining": 0,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "NibabelIOWithReorient",
    }


def build_network(n_heads: int) -> nn.Module:
    """Returns a new network of the plans, with deep supervision."""
    configuration = PlansManager(plans()).get_configuration(CONFIGURATION)
    network: nn.Module = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        1,
        n_heads,
        allow_init=True,
        deep_supervision=True,
    )
    return network


def forward(network: nn.Module, image: Tensor, *, finest: int) -> list[Tensor]:
    """Returns the logits of every resolution, finest first.

    Args:
        network: as build_network returns it.
        image: (batch, 1, z, y, x).
        finest: 0 for full resolution, 1 to stop at half of it, which costs much less.
    """
    encoder: Any = network.encoder
    decoder: Any = network.decoder
    skips = encoder(image)
    features, logits = skips[-1], []
    for stage in range(len(decoder.stages) - finest):
        features = decoder.transpconvs[stage](features)
        features = decoder.stages[stage](torch.cat((features, skips[-(stage + 2)]), 1))
        logits.append(decoder.seg_layers[stage](features))
    return logits[::-1]


def widened(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the weights with the heads placed among all classes of the task.

    A class that the model does not know gets weights of 0 and a bias that never wins.
    """
    rows = torch.tensor([0, *(CLASS_NUMBERS[name] for name in STRUCTURES)])
    result: dict[str, Tensor] = {}
    written: dict[int, Tensor] = {}  # nnU-Net lists the same weights under several names
    for key, value in state.items():
        if value.data_ptr() not in written:
            row_major = value.detach().contiguous()
            if ".seg_layers." in key:
                fill = ABSENT_BIAS if key.endswith(".bias") else 0.0
                wide = torch.full((N_CLASSES, *value.shape[1:]), fill)
                wide[rows] = row_major
                row_major = wide
            written[value.data_ptr()] = row_major
        result[key] = written[value.data_ptr()]
    return result


def export(state: dict[str, Tensor], models: Path) -> Path:
    """Writes the model in the layout that TotalSegmentator and nnU-Net load.

    Args:
        state: the network's weights with one head per structure and one for the background.
        models: the weights folder, TOTALSEG_WEIGHTS_PATH.

    Returns:
        The model's folder.
    """
    folder = model_folder(models)
    (folder / "fold_0").mkdir(parents=True, exist_ok=True)
    for name, content in (("plans.json", plans()), ("dataset.json", dataset())):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    checkpoint = {
        "network_weights": widened(state),
        "trainer_name": TRAINER,
        "init_args": {
            "configuration": CONFIGURATION,
            "plans": plans(),
            "fold": 0,
            "dataset_json": dataset(),
        },
        "inference_allowed_mirroring_axes": None,
    }
    save_atomically(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return folder


def model_folder(models: Path) -> Path:
    """Returns the folder of the model in the weights folder."""
    name: str = TASK_ID_WEIGHTS_CONFIGS[TASK_ID]["foldername"]
    return models / name / f"{TRAINER}__nnUNetPlans__{CONFIGURATION}"


def save_atomically(content: object, path: Path) -> None:
    """Writes a checkpoint beside its place and then moves it, so that it is never incomplete."""
    aside = path.with_suffix(".part")
    torch.save(content, aside)
    aside.replace(path)


def _architecture() -> dict[str, Any]:
    """Returns TotalSegmentator's architecture (PlainConvUNet, 5 stages, 2 convolutions each)."""
    stages = len(FEATURES)
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(FEATURES),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def _resampling(*, is_seg: bool, order: int) -> dict[str, Any]:
    return {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}
