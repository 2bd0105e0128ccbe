"""PyTorch on a GPU with automatic mixed precision, float16, as nnU-Net runs it there."""

import torch
from torch.nn import functional

from totalmap.engine.arithmetic.feature_network import FeatureNetwork


class AutocastNetwork:
    """A U-Net on a device; features and logits are float16 and stay there."""

    def __init__(self, network: torch.nn.Module, device: torch.device, planes_at_once: int) -> None:
        """Takes the network over and moves it to the device."""
        self.device = device
        self.planes_at_once = planes_at_once
        self._unet = FeatureNetwork(network)
        last = self._unet.last_layer.to(device)
        self._weight, self._bias = last.weight.detach(), last.bias
        # NVIDIA's tensor cores work on channels that lie side by side.
        self._unet.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    @property
    def heads(self) -> int:
        """Number of channels of the logits."""
        return int(self._weight.shape[0])

    def features(self, tile: torch.Tensor) -> torch.Tensor:
        """Returns what the last layer works on, (feature, z, y, x) float16."""
        image = tile[None, None].contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast(self.device.type, dtype=torch.float16):
            features: torch.Tensor = self._unet(image)[0]
        return features

    def logits(self, features: torch.Tensor, planes: slice) -> torch.Tensor:
        """Returns the logits of some planes, (channel, z, y, x) float16."""
        with torch.autocast(self.device.type, dtype=torch.float16):
            return functional.conv3d(features[None, :, planes], self._weight, self._bias)[0]

    def rest(self) -> None:
        """Does nothing: its memory is shared with all others."""
