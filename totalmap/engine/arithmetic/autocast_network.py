"""Computes a network on a GPU with automatic mixed precision, as nnU-Net does."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn import functional

from totalmap.engine.arithmetic.split_off_last_layer import FeatureNetwork

_CONVOLUTIONS = (torch.nn.Conv3d, torch.nn.ConvTranspose3d)


class AutocastNetwork:
    """A U-Net on a GPU with automatic mixed precision.

    Features and logits are float16 and stay on the GPU. All tensors have their channels side by
    side in memory, as NVIDIA's tensor cores need them, so no layer copies its input.
    """

    on_gpu = True

    def __init__(
        self,
        network: torch.nn.Module,
        device: torch.device,
        planes_at_once: int,
        dtype: torch.dtype = torch.float16,
    ) -> None:
        """Takes the network over, replaces its normalizations and moves it to the device.

        Args:
            network: A U-Net of dynamic_network_architectures.
            device: A GPU; a CPU to test it.
            planes_at_once: Planes of a tile.
            dtype: Of features and logits; nnU-Net's is float16.
        """
        self.device = device
        self.planes_at_once = planes_at_once
        self._dtype = dtype
        self._unet = FeatureNetwork(network)
        _keep_layout(self._unet)
        last = self._unet.last_layer
        # Automatic mixed precision rounds these weights in the same way, but for each tile.
        for layer in (*self._unet.modules(), last):
            if isinstance(layer, _CONVOLUTIONS):
                layer.to(dtype)
        self._weight = last.weight.detach().to(device)
        self._bias = None if last.bias is None else last.bias.detach().to(device)
        self._unet.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    @property
    def heads(self) -> int:
        """Number of channels of the logits."""
        return int(self._weight.shape[0])

    def features(self, tile: torch.Tensor) -> torch.Tensor:
        """Returns the input of the last layer, (feature, z, y, x) float16."""
        image = tile[None, None].contiguous(memory_format=torch.channels_last_3d)
        with self._settings():
            features: torch.Tensor = self._unet(image)[0]
        return features

    def logits(self, features: torch.Tensor, planes: slice) -> torch.Tensor:
        """Returns the logits of some planes, (channel, z, y, x) float16."""
        some = features[:, planes]
        # The stride that `some[None]` gives the first axis would hide the layout.
        image = some.as_strided((1, *some.shape), (some.numel(), *some.stride()))
        with self._settings():
            return functional.conv3d(image, self._weight, self._bias)[0]

    def free_tile_memory(self) -> None:
        """Does nothing, since all networks share the memory of the device."""

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Sets what nnUNetPredictor sets, and restores it: these settings are the process's.

        cuDNN measures its algorithms and takes the fastest. TF32 and determinism keep PyTorch's
        defaults, as in nnU-Net.
        """
        cudnn = torch.backends.cudnn
        before = cudnn.benchmark
        cudnn.benchmark = True
        try:
            with torch.autocast(self.device.type, dtype=self._dtype):
                yield
        finally:
            cudnn.benchmark = before


class _InstanceNorm(torch.nn.Module):
    """Instance normalization of one image that keeps the channels side by side.

    torch.instance_norm copies its input to the usual layout and returns that one. It normalizes by
    the same batch normalization, with float32 statistics and weights of a float16 image.
    """

    def __init__(self, layer: torch.nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self._eps = layer.weight, layer.bias, layer.eps

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        # On a GPU, batch normalization has a fast kernel for this layout for (1, c, y, x) only.
        flat = image.flatten(2, 3)
        result: torch.Tensor = torch.native_batch_norm(
            flat, self.weight, self.bias, None, None, True, 0.0, self._eps
        )[0]
        return result.view(image.shape)


def _keep_layout(module: torch.nn.Module) -> None:
    """Replaces the instance normalizations in place."""
    for name, layer in module.named_children():
        if isinstance(layer, torch.nn.InstanceNorm3d) and not layer.track_running_stats:
            setattr(module, name, _InstanceNorm(layer))
        else:
            _keep_layout(layer)
