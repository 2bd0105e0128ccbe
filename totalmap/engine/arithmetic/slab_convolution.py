"""Computes a convolution of a large image in slabs, bit for bit, with less memory."""

import torch
from torch.nn import functional

from totalmap.engine.arithmetic.proven_shortcuts import (
    Operation,
    is_telling,
    layer_text,
    operand_text,
    proven,
    record,
)
from totalmap.engine.arithmetic.tensor_pool import TensorPool
from totalmap.keep_freed_memory import give_back_freed_memory

# The channels of an image may come in parts, which are not joined. The list is emptied, so that the
# parts can be freed.
Parts = list[torch.Tensor]
Image = torch.Tensor | Parts

# oneDNN copies its input into blocks of channels and its output back. Therefore a convolution needs
# twice the memory of its input and output, up to 1.6 GB for a tile of the 1.5 mm networks.
SLAB_BYTES = 32 * 2**20
# Smaller images are not worth the time for copying.
FEWEST_SLABS = 4


class SlabConvolution(torch.nn.Module):
    """Replaces a convolution and computes it for some planes at a time.

    Each voxel is the same sum; the first image proves that the order of summation is the same.
    """

    def __init__(
        self, layer: torch.nn.Conv3d, pool: TensorPool, slab_bytes: int = SLAB_BYTES
    ) -> None:
        super().__init__()
        self._layer = layer
        self._pool = pool
        self._slab_bytes = slab_bytes

    @staticmethod
    def fits(layer: torch.nn.Conv3d) -> bool:
        """Returns whether this class can replace a convolution."""
        return (
            set(layer.dilation) == {1}
            and layer.padding_mode == "zeros"
            and not isinstance(layer.padding, str)
        )

    def forward(self, image: Image) -> torch.Tensor:
        """Returns the output of the layer for an image (1, channel, z, y, x)."""
        parts = [image] if isinstance(image, torch.Tensor) else image
        shape = self._result_shape(parts)
        thickness = self._thickness(parts, shape)
        operation = self._operation(parts, thickness)
        exact = thickness * FEWEST_SLABS < shape[2] and proven(operation)
        if exact is False:
            whole: torch.Tensor = self._layer(joined(parts))
            return whole
        if exact is None:
            return self._prove(operation, joined(parts), thickness)
        result = self._pool.empty(shape)
        for planes in _slabs(shape[2], thickness):
            result[:, :, planes] = self._slab(parts, planes)
        return result

    def _prove(self, operation: Operation, image: torch.Tensor, thickness: int) -> torch.Tensor:
        """Returns the whole result, after comparing with it slabs at the edges and inside."""
        give_back_freed_memory()  # the comparison needs the most memory
        expected: torch.Tensor = self._layer(image)
        give_back_freed_memory()
        every = _slabs(expected.shape[2], thickness)
        is_exact = all(
            torch.equal(self._slab([image], planes), expected[:, :, planes])
            for planes in (every[0], every[len(every) // 2], every[-1])
        )
        if not is_exact or is_telling(expected):
            record(operation, is_exact=is_exact)
        return expected

    def _operation(self, parts: Parts, thickness: int) -> Operation:
        return Operation(
            "convolution in slabs",
            f"{layer_text(self._layer)}, {thickness} planes",
            operand_text(parts[0]),
        )

    def _slab(self, parts: Parts, planes: slice) -> torch.Tensor:
        """Returns some planes of the result."""
        layer = self._layer
        _, *padding = map(int, layer.padding)
        return functional.conv3d(
            self._seen(parts, planes),
            layer.weight,
            layer.bias,
            layer.stride,
            (0, *padding),
            groups=layer.groups,
        )

    def _seen(self, parts: Parts, planes: slice) -> torch.Tensor:
        """Returns the input planes of some planes of the result, with zeros outside the image."""
        stride, padding, kernel = self._along_z()
        _, _, depth, *plane = parts[0].shape
        first = planes.start * stride - padding
        last = (planes.stop - 1) * stride - padding + kernel
        below, above = max(-first, 0), max(last - depth, 0)
        seen = parts[0].new_empty((1, self._layer.in_channels, last - first, *plane))
        seen[:, :, :below] = 0
        seen[:, :, last - first - above :] = 0
        inside = seen[:, :, below : last - first - above]
        torch.cat([part[:, :, max(first, 0) : last] for part in parts], 1, out=inside)
        return seen

    def _along_z(self) -> tuple[int, int, int]:
        layer = self._layer
        return layer.stride[0], int(layer.padding[0]), layer.kernel_size[0]

    def _result_shape(self, parts: Parts) -> tuple[int, ...]:
        layer = self._layer
        sizes = zip(
            parts[0].shape[2:],
            map(int, layer.padding),
            layer.kernel_size,
            layer.stride,
            strict=True,
        )
        return (1, layer.out_channels, *((n + 2 * p - k) // s + 1 for n, p, k, s in sizes))

    def _thickness(self, parts: Parts, shape: tuple[int, ...]) -> int:
        """Returns the number of planes of the result in a slab."""
        bytes_in = sum(part.nbytes for part in parts) // shape[2]
        bytes_out = shape[1] * shape[3] * shape[4] * torch.float32.itemsize
        return max(1, self._slab_bytes // max(bytes_in, bytes_out))


def _slabs(depth: int, thickness: int) -> list[slice]:
    return [slice(z, min(z + thickness, depth)) for z in range(0, depth, thickness)]


def joined(parts: Parts) -> torch.Tensor:
    """Returns (1, channel, z, y, x) with the channels of all parts, and empties the list."""
    whole = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
    parts.clear()
    return whole
