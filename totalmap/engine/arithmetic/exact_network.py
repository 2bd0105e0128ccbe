"""Computes a network exactly as nnU-Net on a CPU: PyTorch in float32, bit for bit.

Some layers are replaced by faster ones with the same bits: instance normalization of one image is
batch normalization in place; a transposed convolution whose stride is its kernel is a matrix
product, and so is the last layer. Tensors are freed and copied as little as possible.
"""

from collections.abc import Iterator
from math import prod

import torch
from dynamic_network_architectures.building_blocks.residual import StackedResidualBlocks
from dynamic_network_architectures.building_blocks.simple_conv_blocks import (
    ConvDropoutNormReLU,
    StackedConvBlocks,
)

from totalmap.engine.arithmetic.last_layer import LastLayer
from totalmap.engine.arithmetic.proven_shortcuts import Shortcut, keep_new_facts, layer_text
from totalmap.engine.arithmetic.slab_convolution import SlabConvolution, joined
from totalmap.engine.arithmetic.split_off_last_layer import FeatureNetwork
from totalmap.engine.arithmetic.tensor_pool import TensorPool
from totalmap.keep_freed_memory import give_back_freed_memory


class ExactNetwork:
    """A U-Net of dynamic_network_architectures for single tiles."""

    device = torch.device("cpu")
    on_gpu = False
    planes_at_once = 1

    def __init__(self, network: torch.nn.Module) -> None:
        """Takes the network over: its layers are replaced."""
        self._unet = FeatureNetwork(network)
        self._head = LastLayer(self._unet.last_layer)
        self._pool = TensorPool()
        _accelerate(self._unet, self._pool)
        self._proven = False

    @property
    def heads(self) -> int:
        """Number of channels of the logits."""
        return self._head.heads

    def features(self, tile: torch.Tensor) -> torch.Tensor:
        """Returns the input of the last layer, (feature, z, y, x)."""
        skips = list(self._unet.encoder(tile[None, None].contiguous()))
        features: torch.Tensor = skips.pop()
        for upsample, stage in zip(self._unet.upsamplings, self._unet.stages, strict=True):
            features = _run(stage, [upsample(features), skips.pop()])
        features = features[0]
        self._head.prove(features)
        if not self._proven:
            give_back_freed_memory()  # the comparisons need the most memory
            self._proven = True
        keep_new_facts()
        return features

    def logits(self, features: torch.Tensor, planes: slice) -> torch.Tensor:
        """Returns the logits of some planes, (channel, z, y, x) float32."""
        return self._head.logits(features, planes)

    def free_tile_memory(self) -> None:
        """Frees its largest blocks; all networks share the heap."""
        self._pool.give_back()


def _run(stage: torch.nn.Module, parts: list[torch.Tensor]) -> torch.Tensor:
    """Returns the output of a stage for an image whose channels come in parts.

    The list is emptied, so that the parts can be freed.
    """
    first, *others = _steps(stage)
    image: torch.Tensor = first(parts if _takes_parts(first) else joined(parts))
    for step in others:
        image = step(image)
    return image


def _takes_parts(step: torch.nn.Module) -> bool:
    return isinstance(step, ConvDropoutNormReLU) and isinstance(
        step.all_modules[0], SlabConvolution
    )


def _steps(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Yields the blocks of a stage in the order of execution."""
    if isinstance(module, torch.nn.Sequential):
        for part in module:
            yield from _steps(part)
    elif isinstance(module, StackedConvBlocks):
        yield from module.convs
    elif isinstance(module, StackedResidualBlocks):
        yield from module.blocks
    else:
        yield module


class _InstanceNorm(torch.nn.Module):
    """Instance normalization of one image, in place, with the kernel of torch.instance_norm."""

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
    """A transposed convolution whose kernel is its stride, so that nothing overlaps."""

    def __init__(self, layer: torch.nn.ConvTranspose3d, pool: TensorPool) -> None:
        super().__init__()
        self._pool = pool
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
        self._shortcut = Shortcut(
            "upsampling as a matrix product", layer_text(layer), usual=layer, fast=self._multiply
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self._shortcut(image)

    def _multiply(self, image: torch.Tensor) -> torch.Tensor:
        z, y, x = image.shape[2:]
        by_z, by_y, by_x = self._stride
        rows = image[0].reshape(self._inputs, -1)
        product = self._pool.empty((self._matrix.shape[0], rows.shape[1]))
        torch.mm(self._matrix, rows, out=product).add_(self._bias)
        parts = product.view(by_z, by_y, by_x, self._outputs, z, y, x)
        result = self._pool.empty((1, self._outputs, z * by_z, y * by_y, x * by_x))
        result.view(self._outputs, z, by_z, y, by_y, x, by_x).copy_(
            parts.permute(3, 4, 0, 5, 1, 6, 2)
        )
        return result


def _accelerate(module: torch.nn.Module, pool: TensorPool) -> None:
    """Replaces layers in place by faster ones with the same bits."""
    for name, layer in module.named_children():
        if isinstance(layer, torch.nn.InstanceNorm3d) and not layer.track_running_stats:
            setattr(module, name, _InstanceNorm(layer))
        elif isinstance(layer, torch.nn.ConvTranspose3d) and layer.kernel_size == layer.stride:
            setattr(module, name, _Upsampling(layer, pool))
        elif isinstance(layer, torch.nn.Conv3d) and SlabConvolution.fits(layer):
            setattr(module, name, SlabConvolution(layer, pool))
        else:
            _accelerate(layer, pool)
