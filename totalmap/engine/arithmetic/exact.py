"""PyTorch's own arithmetic in float32, as nnU-Net runs it on a CPU, bit for bit.

Three things are done otherwise than torch.nn does them, none of which changes a bit: instance
normalization is called as what it is for one image, batch normalization; a transposed
convolution whose stride is its kernel is one matrix product; and so is the last layer.
"""

from math import prod

import torch
from torch.nn import functional

from totalmap.engine.arithmetic.feature_network import FeatureNetwork
from totalmap.engine.arithmetic.head import Head
from totalmap.engine.arithmetic.shortcut import Shortcut


class ExactNetwork:
    """A U-Net of dynamic_network_architectures for one tile at a time."""

    device = torch.device("cpu")
    planes_at_once = 1

    def __init__(self, network: torch.nn.Module) -> None:
        """Takes the network over: its layers are replaced."""
        self._unet = FeatureNetwork(network)
        self._head = Head(self._unet.last_layer)
        _quicken(self._unet)

    @property
    def heads(self) -> int:
        """Number of channels of the logits."""
        return self._head.heads

    def features(self, tile: torch.Tensor) -> torch.Tensor:
        """Returns what the last layer works on, (feature, z, y, x)."""
        features: torch.Tensor = self._unet(tile[None, None].contiguous())[0]
        self._head.prove(features)
        return features

    def logits(self, features: torch.Tensor, planes: slice) -> torch.Tensor:
        """Returns the logits of some planes, (channel, z, y, x) float32."""
        return self._head.logits(features, planes)


class _InstanceNorm(torch.nn.Module):
    """Instance normalization of one image, as torch.instance_norm ends up calling it."""

    def __init__(self, layer: torch.nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self._eps = layer.weight, layer.bias, layer.eps

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return functional.batch_norm(
            image, None, None, self.weight, self.bias, training=True, momentum=0.0, eps=self._eps
        )


class _Upsampling(torch.nn.Module):
    """A transposed convolution whose kernel is its stride: nothing overlaps."""

    def __init__(self, layer: torch.nn.ConvTranspose3d) -> None:
        super().__init__()
        self._stride = layer.stride
        self._inputs, self._outputs = layer.weight.shape[:2]
        copies = prod(self._stride)
        self._matrix = (
            layer.weight.detach()
            .permute(2, 3, 4, 1, 0)
            .reshape(copies * self._outputs, self._inputs)
            .contiguous()
        )
        bias = torch.zeros(self._outputs) if layer.bias is None else layer.bias.detach()
        self._bias = bias.repeat(copies)[:, None].contiguous()
        self._shortcut = Shortcut("upsampling", usual=layer, quick=self._multiply)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self._shortcut(image)

    def _multiply(self, image: torch.Tensor) -> torch.Tensor:
        z, y, x = image.shape[2:]
        by_z, by_y, by_x = self._stride
        product = torch.mm(self._matrix, image[0].reshape(self._inputs, -1)).add_(self._bias)
        parts = product.view(by_z, by_y, by_x, self._outputs, z, y, x)
        return parts.permute(3, 4, 0, 5, 1, 6, 2).reshape(
            1, self._outputs, z * by_z, y * by_y, x * by_x
        )


def _quicken(module: torch.nn.Module) -> None:
    """Replaces layers in place by their quicker equals."""
    for name, layer in module.named_children():
        if isinstance(layer, torch.nn.InstanceNorm3d) and not layer.track_running_stats:
            setattr(module, name, _InstanceNorm(layer))
        elif isinstance(layer, torch.nn.ConvTranspose3d) and layer.kernel_size == layer.stride:
            setattr(module, name, _Upsampling(layer))
        else:
            _quicken(layer)
