"""Splits a U-Net of dynamic_network_architectures before its last layer."""

from math import prod
from typing import Any

import torch

from totalmap.errors import ModelError


class FeatureNetwork(torch.nn.Module):
    """A U-Net without its last layer (dynamic_network_architectures' UNetDecoder.forward).

    Skip connections are freed as soon as they are used.

    Attributes:
        strides: Voxels of the image for each voxel at the bottom of the U-Net, (z, y, x).
    """

    def __init__(self, network: torch.nn.Module) -> None:
        """Takes over the layers of a network.

        Raises:
            ModelError: The network is no U-Net.
        """
        super().__init__()
        unet: Any = network
        try:
            self.encoder = unet.encoder
            self.upsamplings = unet.decoder.transpconvs
            self.stages = unet.decoder.stages
            last_layer = unet.decoder.seg_layers[-1]
        except AttributeError as error:
            raise ModelError(f"{type(network).__name__} is no U-Net with a decoder") from error
        if not isinstance(last_layer, torch.nn.Conv3d) or last_layer.kernel_size != (1, 1, 1):
            raise ModelError("the last layer is not a convolution by 1 x 1 x 1")
        self._last_layer = (last_layer,)  # a tuple hides it from torch.nn.Module
        self.strides = tuple(prod(axis) for axis in zip(*unet.encoder.strides, strict=True))

    @property
    def last_layer(self) -> torch.nn.Conv3d:
        """The convolution by 1 x 1 x 1 that turns features into logits."""
        return self._last_layer[0]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Returns (1, feature, z, y, x) of an image (1, 1, z, y, x)."""
        skips = list(self.encoder(image))
        features: torch.Tensor = skips.pop()
        for upsample, stage in zip(self.upsamplings, self.stages, strict=True):
            features = stage(torch.cat((upsample(features), skips.pop()), 1))
        return features
