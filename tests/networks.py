"""Writes untrained networks with TotalSegmentator's architecture and folder layout."""

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from tests.phantom.study import SeriesSpec
from totalmap.engine.nnunet_plans import read_plans
from totalmap.engine.tasks import SubModel, Task, load_task
from totalmap.engine.weights_manifest import (
    BoxAgreement,
    adopt,
    read_manifest,
    record_box_agreements,
)
from totalmap.settings import Variant

# Published with the weights of the 3 mm model.
INTENSITY = {"mean": -50.38, "std": 503.39, "percentile_00_5": -1004.0, "percentile_99_5": 1588.0}
STAGES = {Variant.FULL: 6, Variant.FAST: 5, Variant.FASTEST: 5}
# In a phantom, only stained voxels are this bright after any normalization.
BRIGHT = 2.0
BONE = 0.45  # 176 HU, normalized as INTENSITY says
GALLBLADDER, VERTEBRA = 4, 31  # labels of task total; the second one is vertebrae_L1
# A small volume around the stained gallbladder of the body of SEED_WITH_GALLBLADDER.
AROUND_GALLBLADDER = SeriesSpec(
    rows=26,
    columns=28,
    n_slices=20,
    pixel_spacing_mm=(3.5, 3.3),
    slice_spacing_mm=4.5,
    slice_thickness_mm=4.5,
    centre_lps_mm=(-29.0, -59.0, 110.0),
    stained=(GALLBLADDER,),
)
SEED_WITH_GALLBLADDER = 3
CONV = "torch.nn.modules.conv.Conv3d"
Size = tuple[int, int, int]


def build_models(
    folder: Path,
    variant: Variant,
    *,
    patch_size: Size = (64, 64, 64),
    base_features: int = 4,
    max_features: int = 32,
) -> Path:
    """Writes random networks for task total, narrow by default, and records them."""
    return build_task(
        folder,
        load_task("total", variant),
        patch_size=patch_size,
        base_features=base_features,
        max_features=max_features,
        stages=STAGES[variant],
    )


def build_task(
    folder: Path,
    task: Task,
    *,
    patch_size: Size = (32, 32, 32),
    base_features: int = 4,
    max_features: int = 32,
    stages: int = 4,
) -> Path:
    """Writes narrow random networks for any task, whose labels are noise, and records them."""
    for seed, model in enumerate(task.models):
        configuration = _random_configuration(patch_size, base_features, max_features, stages)
        torch.manual_seed(seed)
        _write(folder, task, model, configuration)
    adopt(folder, source="random weights for tests", licence="Apache-2.0")
    return folder


def build_finder(folder: Path, task: Task, label: int, bone_label: int = 0) -> Path:
    """Writes a network that labels all stained voxels of a phantom, and records it.

    Args:
        bone_label: Label of unstained voxels that are about as bright as bone; 0 for none.
    """

    def aim(name: str, weight: torch.Tensor) -> None:
        weight.zero_()
        if "seg_layers" in name and name.endswith("weight"):
            weight[label] = 20.0 if bone_label else 10.0
            if bone_label:
                weight[bone_label] = 10.0
        elif "seg_layers" in name:
            weight[1:] = -50.0
            weight[label] = -10.0 * BRIGHT
            if bone_label:  # of three lines, the one of bone is the highest between two limits
                weight[bone_label] = -10.0 * BONE
                weight[label] -= 10.0 * BONE
        elif name.endswith("weight") and "stages.0" in name:
            weight[0, -1, 1, 1, 1] = 1.0  # passes the image on, past what is below

    (model,) = task.models
    _write(folder, task, model, _finder_configuration(_patch_size(task)), aim)
    adopt(folder, source="made by hand for tests", licence="Apache-2.0")
    return folder


def build_walk(folder: Path, task: Task) -> Path:
    """Writes networks for a task and the tasks before it; they find the stained voxels."""
    for rough, next_one in pairwise(task.chain):
        assert next_one.crop is not None
        build_finder(folder, rough, next_one.crop.labels[0])
    whole = load_task(task.name, task.variant)  # TotalSegmentator wants all folders of a task
    return build_task(folder, whole, patch_size=_patch_size(task))


def _patch_size(task: Task) -> Size:
    """Returns a patch with which the small volumes of the tests have few tiles, but several."""
    is_fine = 0 < min(task.spacing_mm) < 1.5
    return (64, 64, 64) if is_fine else (32, 32, 32)


def build_boxes(folder: Path, task: Task) -> Path:
    """Writes random networks for task total with boxes, and records that they agree.

    The rough network finds the stained voxels of a phantom (gallbladder), and the bones and the
    borders of what is stained (vertebra).
    """
    (rough,) = task.chain[:-1]
    build_finder(folder, rough, GALLBLADDER, VERTEBRA)
    build_task(folder, load_task(task.name, task.variant), patch_size=(64, 64, 64))
    allow_boxes(folder, task)
    return folder


def allow_boxes(folder: Path, task: Task) -> None:
    """Records for each network of a task with boxes that its boxes were measured and are good."""
    (rough,) = task.chain[:-1]
    (rough_model,) = rough.models
    (record,) = (
        found for found in read_manifest(folder).models if found.dataset == rough_model.dataset
    )
    good = BoxAgreement(
        rough_sha256=record.checkpoint_sha256(rough_model.checkpoint), dice={"liver": 1.0}
    )
    record_box_agreements(folder, {model.dataset: good for model in task.models})


def _write(
    folder: Path,
    task: Task,
    model: SubModel,
    configuration: Mapping[str, object],
    aim: Callable[[str, torch.Tensor], None] | None = None,
) -> None:
    trainer = folder / model.dataset / model.trainer_folder
    trainer_name, plans_name, configuration_name = model.trainer_folder.split("__")
    labels = {"background": 0} | {f"label_{n}": n for n in range(1, len(model.label_table))}
    dataset = {
        "channel_names": {"0": task.modality},
        "labels": labels,
        "numTraining": 0,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "NibabelIOWithReorient",
    }
    plans = _plans(task, model, configuration, configuration_name, plans_name)
    trainer.mkdir(parents=True)
    (trainer / "plans.json").write_text(json.dumps(plans))
    (trainer / "dataset.json").write_text(json.dumps(dataset))
    architecture = read_plans(trainer).architecture
    network = get_network_from_plans(
        architecture.network_class,
        dict(architecture.arguments),
        architecture.arguments_to_import,
        1,
        len(labels),
        allow_init=True,
        deep_supervision=False,
    )
    if aim:
        with torch.no_grad():
            for name, weight in network.named_parameters():
                aim(name, weight)
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": trainer_name,
        "init_args": {"configuration": configuration_name, "plans": plans, "dataset_json": dataset},
        "inference_allowed_mirroring_axes": None,
    }
    for fold in model.folds or (0, 1):
        (trainer / f"fold_{fold}").mkdir()
        torch.save(checkpoint, trainer / f"fold_{fold}" / "checkpoint_final.pth")


def _plans(
    task: Task,
    model: SubModel,
    configuration: Mapping[str, object],
    configuration_name: str,
    plans_name: str,
) -> dict[str, object]:
    """Returns plans in the format of TotalSegmentator's v2.0.0 weights.

    A configuration with another name inherits from that of nnU-Net, as in real weights.
    """
    spacing_mm = list(task.spacing_mm[::-1]) if any(task.spacing_mm) else [1.5, 1.5, 1.5]
    scheme = {"CT": "CTNormalization", "MR": "ZScoreNormalization"}[task.modality]
    resample = "resample_data_or_seg_to_shape"
    separate = {"order_z": 0, "force_separate_z": None}
    base = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "median_image_size_in_voxels": [231.0, 243.0, 243.0],
        "spacing": spacing_mm,
        "normalization_schemes": [scheme],
        "use_mask_for_norm": [False],
        "resampling_fn_data": resample,
        "resampling_fn_seg": resample,
        "resampling_fn_probabilities": resample,
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **separate},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **separate},
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, **separate},
        "batch_dice": False,
        **configuration,
    }
    configurations: dict[str, object] = {"3d_fullres": base}
    if configuration_name != "3d_fullres":
        configurations["3d_fullres"] = base | {"spacing": [9.0, 9.0, 9.0]}
        heir = {"inherits_from": "3d_fullres", "spacing": spacing_mm}
        configurations[configuration_name] = heir
    return {
        "dataset_name": model.dataset,
        "plans_name": plans_name,
        "original_median_spacing_after_transp": spacing_mm,
        "original_median_shape_after_transp": [231, 243, 243],
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": configurations,
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": INTENSITY},
    }


def _random_configuration(
    patch_size: Size, base_features: int, max_features: int, stages: int
) -> dict[str, object]:
    return {
        "patch_size": list(patch_size),
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": base_features,
        "n_conv_per_stage_encoder": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "num_pool_per_axis": [stages - 1] * 3,
        "pool_op_kernel_sizes": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
        "conv_kernel_sizes": [[3, 3, 3]] * stages,
        "unet_max_num_features": max_features,
    }


def _finder_configuration(patch_size: Size) -> dict[str, object]:
    arguments: dict[str, Any] = {
        "n_stages": 2,
        "features_per_stage": [1, 1],
        "conv_op": CONV,
        "kernel_sizes": [[3, 3, 3]] * 2,
        "strides": [[1, 1, 1], [2, 2, 2]],
        "n_conv_per_stage": [1, 1],
        "n_conv_per_stage_decoder": [1],
        "conv_bias": True,
        "norm_op": None,
        "norm_op_kwargs": None,
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": None,
        "nonlin_kwargs": None,
    }
    return {
        "patch_size": list(patch_size),
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": arguments,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
