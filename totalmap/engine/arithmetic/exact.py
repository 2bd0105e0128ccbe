"""PyTorch's own arithmetic in float32, as nnU-Net runs it on a CPU, bit for bit.

Some things are done otherwise than torch.nn does them, none of which changes a bit: instance
normalization is called as what it is for one image, batch normalization, and works in place; a
transposed convolution whose stride is its kernel is one matrix product, and so is the last layer;
and nothing is kept longer, or copied more often, than it must be.
"""

from collections.abc import Iterator
from math import prod

import torch
from dynamic_network_architectures.building_blocks.residual import StackedResidualBlocks
from dynamic_network_architectures.building_blocks.simple_conv_blocks import StackedConvBlocks

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
        skips = list(self._unet.encoder(tile[None, None].contiguous()))
        features: torch.Tensor = skips.pop()
        for upsample, stage in zip(self._unet.upsamplings, self._unet.stages, strict=True):
            features = _run(stage, [torch.cat((upsample(features), skips.pop()), 1)])
        features = features[0]
        self._head.prove(features)
        return features

    def logits(self, features: torch.Tensor, planes: slice) -> torch.Tensor:
        """Returns the logits of some planes, (channel, z, y, x) float32."""
        return self._head.logits(features, planes)

    def rest(self) -> None:
        """Does nothing: its memory is shared with all others."""


def _run(stage: torch.nn.Module, inputs: list[torch.Tensor]) -> torch.Tensor:
    """Returns what a stage makes of its input, which is taken, so that it can be forgotten."""
    for step in _steps(stage):
        inputs.append(step(inputs.pop()))
    return inputs.pop()


def _steps(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Yields the blocks of a stage that run one after the other."""
    if isinstance(module, torch.nn.Sequential):
        for one in module:
            yield from _steps(one)
    elif isinstance(module, StackedConvBlocks):
        yield from module.convs
    elif isinstance(module, StackedResidualBlocks):
        yield from module.blocks
    else:
        yield module


class _InstanceNorm(torch.nn.Module):
    """Instance normalization of one image, in place, as torch.instance_norm ends up calling it."""

    def __init__(self, layer: torch.nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self._eps = layer.weight, layer.bias, layer.eps
        self._mean, self._invstd = torch.empty(2, layer.num_features)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        torch.ops.aten.native_batch_norm.out(
            image,
            self.weight,
            self.bias,
            None,
            None,
            True,
            0.0,
            self._eps,
            out=image,
            save_mean=self._mean,
            save_invstd=self._invstd,
        )
        return image


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
