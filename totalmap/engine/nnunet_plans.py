"""Reads nnU-Net's plans.json and dataset.json into a frozen `Plans`.

Source: nnunetv2.utilities.plans_handling.plans_handler.ConfigurationManager, which also converts
plans of older releases. It is not imported, since that takes seconds.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from totalmap.errors import ModelError, UnsupportedModel

CT, Z_SCORE = "CTNormalization", "ZScoreNormalization"
# nnU-Net's label of voxels without annotation; it has no output channel.
IGNORE_LABEL = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class CtNormalization:
    """Intensity statistics of the training data in HU (nnU-Net's CTNormalization)."""

    lower: float
    upper: float
    mean: float
    std: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ZScoreNormalization:
    """Mean and standard deviation of the image itself (nnU-Net's ZScoreNormalization)."""


Normalization = CtNormalization | ZScoreNormalization


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Class and arguments of the network in dynamic_network_architectures."""

    network_class: str
    arguments: Mapping[str, Any]
    arguments_to_import: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """The properties of a trained network that inference needs.

    Attributes:
        patch_size: Voxels of a tile, (z, y, x).
        spacing_mm: Resolution of the network, (z, y, x).
        heads: Number of output channels, background included.
    """

    patch_size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    normalization: Normalization
    architecture: Architecture
    heads: int

    @property
    def features(self) -> int:
        """Number of channels of the first stage, which works at full resolution."""
        return int(self.architecture.arguments["features_per_stage"][0])


def read_plans(folder: Path) -> Plans:
    """Reads plans.json and dataset.json of a trainer folder.

    The last part of the folder's name says which configuration of the plans was trained.

    Raises:
        UnsupportedModel: The network needs a feature that our engine lacks: another normalization,
            transposed axes, regions, a second channel, an earlier stage.
        ModelError: A file is missing or damaged.
    """
    plans = _read_json(folder / "plans.json")
    dataset = _read_json(folder / "dataset.json")
    try:
        configuration = _configuration(plans, folder.name.rpartition("__")[2])
        _refuse_unsupported(folder, plans, configuration, dataset)
        z, y, x = (int(size) for size in configuration["patch_size"])
        spacing_z, spacing_y, spacing_x = (float(mm) for mm in configuration["spacing"])
        return Plans(
            patch_size=(z, y, x),
            spacing_mm=(spacing_z, spacing_y, spacing_x),
            normalization=_normalization(plans, configuration),
            architecture=_architecture(folder, configuration),
            heads=len(dataset["labels"].keys() - {IGNORE_LABEL}),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"plans.json or dataset.json in {folder} is not nnU-Net's: {error!r}"
        ) from error


def _configuration(
    plans: Mapping[str, Any], name: str, heirs: tuple[str, ...] = ()
) -> Mapping[str, Any]:
    """Returns a configuration with all inherited values."""
    if name in heirs:
        raise ValueError(f"configuration {name} inherits from itself")
    own: Mapping[str, Any] = plans["configurations"][name]
    if "inherits_from" not in own:
        return own
    return {**_configuration(plans, own["inherits_from"], (*heirs, name)), **own}


def _normalization(plans: Mapping[str, Any], configuration: Mapping[str, Any]) -> Normalization:
    if configuration["normalization_schemes"] == [Z_SCORE]:
        return ZScoreNormalization()
    statistics = plans["foreground_intensity_properties_per_channel"]["0"]
    return CtNormalization(
        lower=float(statistics["percentile_00_5"]),
        upper=float(statistics["percentile_99_5"]),
        mean=float(statistics["mean"]),
        std=float(statistics["std"]),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} can't be read: {error}") from error
    if not isinstance(document, dict):
        raise ModelError(f"{path} does not hold a JSON object")
    return document


def _refuse_unsupported(
    folder: Path,
    plans: Mapping[str, Any],
    configuration: Mapping[str, Any],
    dataset: Mapping[str, Any],
) -> None:
    schemes = configuration["normalization_schemes"]
    channels = dataset["modality"] if "modality" in dataset else dataset["channel_names"]
    found = {
        "normalization_schemes": schemes in ([CT], [Z_SCORE]),
        "use_mask_for_norm": schemes == [CT] or configuration["use_mask_for_norm"] == [False],
        "transpose_forward": list(plans["transpose_forward"]) == [0, 1, 2],
        "preprocessor_name": configuration["preprocessor_name"] == "DefaultPreprocessor",
        "previous_stage": configuration.get("previous_stage") is None,
        "channel_names": len(channels) == 1,
        "labels": all(isinstance(label, int) for label in dataset["labels"].values()),
    }
    unsupported = [name for name, supported in found.items() if not supported]
    if unsupported:
        raise UnsupportedModel(
            f"the model in {folder} is not supported: its {', '.join(unsupported)}"
        )


def _architecture(folder: Path, configuration: Mapping[str, Any]) -> Architecture:
    if "architecture" in configuration:
        new = configuration["architecture"]
        return Architecture(
            network_class=new["network_class_name"],
            arguments=new["arch_kwargs"],
            arguments_to_import=tuple(new["_kw_requires_import"]),
        )
    if configuration["UNet_class_name"] != "PlainConvUNet":
        network = configuration["UNet_class_name"]
        raise UnsupportedModel(f"the model in {folder} is not supported: its network {network}")
    stages = len(configuration["n_conv_per_stage_encoder"])
    base, most = configuration["UNet_base_num_features"], configuration["unet_max_num_features"]
    return Architecture(
        network_class="dynamic_network_architectures.architectures.unet.PlainConvUNet",
        arguments={
            "n_stages": stages,
            "features_per_stage": [min(base * 2**stage, most) for stage in range(stages)],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": configuration["conv_kernel_sizes"],
            "strides": configuration["pool_op_kernel_sizes"],
            "n_conv_per_stage": configuration["n_conv_per_stage_encoder"],
            "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        arguments_to_import=("conv_op", "norm_op", "dropout_op", "nonlin"),
    )
