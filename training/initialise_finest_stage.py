"""Initialises the finest stage of the decoder from the next coarser one, which is trained.

Training the finest stage from random weights takes most of the time: each step costs four times as
much as at half resolution. Here the finest stage starts with the upsampled prediction of the
coarser one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

SHIFT = 2.0  # deviations; keeps normalised features above the kink of the LeakyReLU
KEPT_NOISE = 0.2  # of the random initial weights, so that the stage can learn


def start_finest(network: nn.Module, images: Sequence[Tensor]) -> None:
    """Sets the finest decoder stage and head to repeat the next coarser head's logits.

    Both stages must have the same number of features. The transposed convolution and the two
    convolutions pass the coarse features on; the instance normalisations between them are undone,
    on average over the images, by the head.

    Args:
        network: as build_network returns it, trained at half resolution.
        images: some training images, each (batch, 1, z, y, x).
    """
    decoder: Any = network.decoder
    mean, deviation = _feature_statistics(network, decoder.stages[-2], images)
    width = len(mean)
    with torch.no_grad():
        up = decoder.transpconvs[-1]
        up.bias.zero_()
        up.weight.mul_(KEPT_NOISE).add_(torch.eye(width)[:, :, None, None, None])
        for block in decoder.stages[-1].convs:
            block.conv.bias.zero_()
            block.conv.weight.mul_(KEPT_NOISE)
            block.conv.weight[:, :width, 1, 1, 1] += torch.eye(width)
            block.norm.weight.fill_(1.0)
            block.norm.bias.fill_(SHIFT)
        coarse, fine = decoder.seg_layers[-2], decoder.seg_layers[-1]
        weight = coarse.weight[:, :, 0, 0, 0]
        fine.weight.copy_((weight * deviation)[:, :, None, None, None])
        fine.bias.copy_(coarse.bias + weight @ (mean - SHIFT * deviation))


def _feature_statistics(
    network: nn.Module, stage: nn.Module, images: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Returns the mean and the standard deviation of each output feature of a stage."""
    means, deviations = [], []

    def collect(_module: nn.Module, _inputs: object, features: Tensor) -> None:
        means.append(features.float().mean(dim=(0, 2, 3, 4)))
        deviations.append(features.float().std(dim=(0, 2, 3, 4)))

    handle = stage.register_forward_hook(collect)
    with torch.inference_mode():
        for image in images:
            network(image)
    handle.remove()
    return torch.stack(means).mean(dim=0).clone(), torch.stack(deviations).mean(dim=0).clone()
