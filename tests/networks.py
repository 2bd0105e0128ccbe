"""Networks of TotalSegmentator's architecture with random weights, in its folder layout."""

import json
from pathlib import Path

import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from totalmap.engine.plans import read_plans
from totalmap.engine.tasks import SubModel, load_task
from totalmap.engine.weights import adopt
from totalmap.settings import Variant

# Published with the weights of the 3 mm model.
INTENSITY = {"mean": -50.38, "std": 503.39, "percentile_00_5": -1004.0, "percentile_99_5": 1588.0}
STAGES = {Variant.FULL: 6, Variant.FAST: 5, Variant.FASTEST: 5}


def build_models(
    folder: Path,
    variant: Variant,
    *,
    patch_size: tuple[int, int, int] = (64, 64, 64),
    base_features: int = 4,
    max_features: int = 32,
) -> Path:
    """Writes random networks, narrow unless said, for task total and puts them on record."""
    task = load_task("total", variant)
    for seed, model in enumerate(task.models):
        plans = _plans(
            model, task.spacing_mm, STAGES[variant], patch_size, base_features, max_features
        )
        _build_model(folder, model, plans, seed)
    adopt(folder, source="random weights for tests", licence="none")
    return folder


def _build_model(folder: Path, model: SubModel, plans: dict[str, object], seed: int) -> None:
    trainer = folder / model.dataset / model.trainer_folder
    (trainer / "fold_0").mkdir(parents=True)
    labels = {"background": 0} | {f"label_{n}": n for n in range(1, len(model.label_table))}
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": labels,
        "numTraining": 0,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "NibabelIOWithReorient",
    }
    (trainer / "plans.json").write_text(json.dumps(plans))
    (trainer / "dataset.json").write_text(json.dumps(dataset))
    architecture = read_plans(trainer).architecture
    torch.manual_seed(seed)
    network = get_network_from_plans(
        architecture.network_class,
        dict(architecture.arguments),
        architecture.arguments_to_import,
        1,
        len(labels),
        allow_init=True,
        deep_supervision=False,
    )
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": model.trainer_folder.split("__")[0],
        "init_args": {"configuration": "3d_fullres", "plans": plans, "dataset_json": dataset},
        "inference_allowed_mirroring_axes": None,
    }
    torch.save(checkpoint, trainer / "fold_0" / "checkpoint_final.pth")


def _plans(
    model: SubModel,
    spacing_mm: float,
    stages: int,
    patch_size: tuple[int, int, int],
    base_features: int,
    max_features: int,
) -> dict[str, object]:
    """Returns plans in the format of TotalSegmentator's v2.0.0 weights."""
    resample = "resample_data_or_seg_to_shape"
    separate = {"order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(patch_size),
        "median_image_size_in_voxels": [231.0, 243.0, 243.0],
        "spacing": [spacing_mm] * 3,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": base_features,
        "n_conv_per_stage_encoder": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "num_pool_per_axis": [stages - 1] * 3,
        "pool_op_kernel_sizes": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
        "conv_kernel_sizes": [[3, 3, 3]] * stages,
        "unet_max_num_features": max_features,
        "resampling_fn_data": resample,
        "resampling_fn_seg": resample,
        "resampling_fn_probabilities": resample,
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **separate},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **separate},
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, **separate},
        "batch_dice": False,
    }
    return {
        "dataset_name": model.dataset,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [spacing_mm] * 3,
        "original_median_shape_after_transp": [231, 243, 243],
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": INTENSITY},
    }
