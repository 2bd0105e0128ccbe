"""Small U-Nets with random weights."""

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet

PATCH = (32, 48, 32)
HEADS = 7


def plain(features: int = 8, heads: int = HEADS, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    network: torch.nn.Module = PlainConvUNet(
        input_channels=1,
        n_stages=3,
        features_per_stage=[features, 2 * features, 4 * features],
        kernel_sizes=[[3, 3, 3]] * 3,
        strides=[[1, 1, 1], [2, 2, 2], [1, 2, 2]],
        n_conv_per_stage=[2, 2, 2],
        n_conv_per_stage_decoder=[2, 2],
        num_classes=heads,
        **_layers(),
    )
    return network.eval()


def residual(features: int = 8, heads: int = HEADS, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    network: torch.nn.Module = ResidualEncoderUNet(
        input_channels=1,
        n_stages=3,
        features_per_stage=[features, 2 * features, 4 * features],
        kernel_sizes=[[3, 3, 3]] * 3,
        strides=[[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        n_blocks_per_stage=[1, 2, 2],
        n_conv_per_stage_decoder=[1, 1],
        num_classes=heads,
        **_layers(),
    )
    return network.eval()


def _layers() -> dict[str, object]:
    return {
        "conv_op": torch.nn.Conv3d,
        "conv_bias": True,
        "norm_op": torch.nn.InstanceNorm3d,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": torch.nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
        "deep_supervision": False,
    }


def tile(patch: tuple[int, int, int] = PATCH, seed: int = 1) -> torch.Tensor:
    return torch.randn(patch, generator=torch.Generator().manual_seed(seed))
