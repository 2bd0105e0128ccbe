"""Cuts normalized tiles out of an image, without a normalized image in memory."""

import numpy as np
import torch
from numpy.typing import NDArray

from totalmap.engine.normalize import Scaling
from totalmap.engine.tiling import Slices, inside_padding


class TileSource:
    """An image as a network sees it: normalized, and padded with 0 to at least a tile.

    Attributes:
        shape: (z, y, x) with the padding.
        inside: Where the image lies within.
    """

    def __init__(
        self, image: NDArray[np.generic], scaling: Scaling, patch_size: tuple[int, int, int]
    ) -> None:
        """Takes an image, (z, y, x), cropped to what is not 0."""
        self._image = image
        self._scaling = scaling
        self.shape, self.inside = inside_padding(image.shape, patch_size)

    def __call__(self, tile: Slices) -> torch.Tensor:
        """Returns a tile, (z, y, x) float32."""
        seen, target = [], []
        for wanted, there in zip(tile, self.inside, strict=True):
            first, last = max(wanted.start, there.start), min(wanted.stop, there.stop)
            seen.append(slice(first - there.start, last - there.start))
            target.append(slice(first - wanted.start, last - wanted.start))
        result = np.zeros([axis.stop - axis.start for axis in tile], dtype=np.float32)
        result[tuple(target)] = self._scaling(self._image[tuple(seen)])
        return torch.from_numpy(result)
