"""Computes the last layer of a network, a convolution by 1 x 1 x 1, for a few planes at a time."""

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

# The logits of a whole tile would need the most memory. A convolution computes its channels in
# blocks of at most 16, so that some of them have the same bits as in the whole.
HEADS_AT_ONCE = 32


class LastLayer:
    """Turns features into logits by a matrix product, in reused memory.

    oneDNN starts each sum with the bias and adds the features' products one after the other.
    A feature that is 1 everywhere, with the bias as its weight, makes a matrix product do the
    same, four times faster. `prove` compares the two on real features.
    """

    def __init__(self, convolution: torch.nn.Conv3d) -> None:
        self._layer = layer_text(convolution)
        self._weight = convolution.weight.detach()
        self.heads = self._weight.shape[0]
        bias = convolution.bias
        self._bias = self._weight.new_zeros(self.heads) if bias is None else bias.detach()
        self._matrix = torch.cat([self._bias[:, None], self._weight.reshape(self.heads, -1)], 1)
        self._whole: torch.Tensor | None = None
        self._rows = self._out = self._weight.new_empty(0)

    def prove(self, features: torch.Tensor) -> None:
        """Compares, the first time, `logits` with the convolution bit for bit.

        Args:
            features: (feature, z, y, x) float32 of one tile.
        """
        operation = Operation("last layer as a matrix product", self._layer, operand_text(features))
        if proven(operation) is None:
            parts = range(0, self.heads, HEADS_AT_ONCE)
            agree = all(
                self._agree(features, slice(first, first + HEADS_AT_ONCE)) for first in parts
            )
            if not agree or is_telling(features):
                record(operation, is_exact=agree)
        self._whole = None if proven(operation) else self._convolve(features, slice(None))

    def _agree(self, features: torch.Tensor, heads: slice) -> bool:
        expected = self._convolve(features, heads)
        return all(
            torch.equal(self._multiply(features[:, z : z + 1])[heads], expected[:, z : z + 1])
            for z in range(features.shape[1])
        )

    def logits(self, features: torch.Tensor, planes: slice) -> torch.Tensor:
        """Returns (channel, z, y, x) float32 of some planes; they hold until the next call."""
        if self._whole is not None:
            return self._whole[:, planes]
        return self._multiply(features[:, planes])

    def _convolve(self, features: torch.Tensor, heads: slice) -> torch.Tensor:
        return functional.conv3d(features[None], self._weight[heads], self._bias[heads])[0]

    def _multiply(self, features: torch.Tensor) -> torch.Tensor:
        count, shape = features.shape[0], features.shape[1:]
        size = shape.numel()
        if self._rows.shape[1:] != (size,):
            self._rows = features.new_ones(count + 1, size)
            self._out = features.new_empty(self.heads, size)
        self._rows[1:].view(count, *shape).copy_(features)
        torch.mm(self._matrix, self._rows, out=self._out)
        return self._out.view(self.heads, *shape)
