"""Runs a network on a GPU with automatic mixed precision, float16, as nnU-Net does."""

import torch
from torch.nn import functional

from totalmap.engine.arithmetic.feature_network import FeatureNetwork


class AutocastNetwork:
    """A U-Net on a device; features and logits are float16 and stay on it."""

    def __init__(self, network: torch.nn.Module, device: torch.device, planes_at_once: int) -> None:
        """Takes the network over and moves it to the device."""
        self.device = device
        self.planes_at_once = planes_at_once
        self._unet = FeatureNetwork(network)
        last = self._unet.last_layer.to(device)
        self._weight, self._bias = last.weight.detach(), last.bias
        # NVIDIA's tensor cores need the channels side by side in memory.
        self._unet.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    @property
    def heads(self) -> int:
        """Number of channels of the logits."""
        return int(self._weight.shape[0])

    def features(self, tile: torch.Tensor) -> torch.Tensor:
        """Returns the input of the last layer, (feature, z, y, x) float16."""
        image = tile[None, None].contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast(self.device.type, dtype=torch.float16):
            features: torch.Tensor = self._unet(image)[0]
        return features

    def logits(self, features: torch.Tensor, planes: slice) -> torch.Tensor:
        """Returns the logits of some planes, (channel, z, y, x) float16."""
        with torch.autocast(self.device.type, dtype=torch.float16):
            return functional.conv3d(features[None, :, planes], self._weight, self._bias)[0]

    def free_tile_memory(self) -> None:
        """Does nothing, since all networks share the memory of the device."""
