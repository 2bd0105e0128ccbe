"""Cuts normalized and padded tiles out of an image, on the CPU or on a GPU.

Both ways give the same bits. Arrays are (z, y, x).
"""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from totalmap.engine.normalize_intensity import SMALLEST_STD, Scaling
from totalmap.engine.tile_layout import Slices, inside_padding


class TileSource(Protocol):
    """Cuts tiles out of an image that is padded with 0 to at least a tile."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(z, y, x) with the padding."""

    @property
    def inside(self) -> Slices:
        """The box of the image within the padding."""

    def __call__(self, tile: Slices) -> torch.Tensor:
        """Returns a tile, (z, y, x) float32."""


class CpuTileSource:
    """Cuts tiles in main memory; no normalized copy of the whole image is made.

    Attributes:
        shape: (z, y, x) with the padding.
        inside: The box of the image within the padding.
    """

    def __init__(
        self, image: NDArray[np.generic], scaling: Scaling, patch_size: tuple[int, int, int]
    ) -> None:
        """Takes an image, (z, y, x), cropped to its nonzero voxels."""
        self._image = image
        self._scaling = scaling
        self.shape, self.inside = inside_padding(image.shape, patch_size)

    def __call__(self, tile: Slices) -> torch.Tensor:
        """Returns a tile, (z, y, x) float32."""
        seen, target = _overlap(tile, self.inside)
        result = np.zeros([axis.stop - axis.start for axis in tile], dtype=np.float32)
        result[target] = self._scaling(self._image[seen])
        return torch.from_numpy(result)


class DeviceTileSource:
    """Cuts, pads and scales tiles on a device that holds the image.

    Attributes:
        shape: (z, y, x) with the padding.
        inside: The box of the image within the padding.
    """

    def __init__(
        self, image: torch.Tensor, scaling: Scaling, patch_size: tuple[int, int, int]
    ) -> None:
        """Takes an image on the device, (z, y, x), cropped to its nonzero voxels."""
        self._image = image
        self._limits = scaling.limits
        # A GPU multiplies by the reciprocal of a divisor that is a number, which changes last bits.
        self._mean, self._std = torch.tensor(
            [float(scaling.mean), max(float(scaling.std), SMALLEST_STD)],
            dtype=torch.float32,
            device=image.device,
        )
        self.shape, self.inside = inside_padding(tuple(image.shape), patch_size)

    def __call__(self, tile: Slices) -> torch.Tensor:
        """Returns a tile on the device, (z, y, x) float32."""
        seen, target = _overlap(tile, self.inside)
        scaled = self._image[seen].to(torch.float32, copy=True)
        if self._limits:
            scaled.clamp_(*self._limits)
        scaled.sub_(self._mean).div_(self._std)
        size = tuple(axis.stop - axis.start for axis in tile)
        if tuple(scaled.shape) == size:
            return scaled
        result = scaled.new_zeros(size)
        result[target] = scaled
        return result


class UploadedImage:
    """An image that goes to a device once, for all networks.

    Attributes:
        voxels: (z, y, x) in main memory.
    """

    def __init__(self, voxels: NDArray[np.generic]) -> None:
        self.voxels = voxels
        self._there: tuple[torch.device, torch.Tensor] | None = None

    def on(self, device: torch.device) -> torch.Tensor:
        """Returns the image on a device, (z, y, x) in its own dtype."""
        if self._there is None or self._there[0] != device:
            # Locking the pages of memory that is copied once would take longer than the copy.
            native = self.voxels.dtype.newbyteorder("=")
            own = np.array(self.voxels, dtype=native, order="C")
            self._there = (device, torch.from_numpy(own).to(device))
        return self._there[1]

    def free(self) -> None:
        """Frees the memory on the device."""
        self._there = None


def _overlap(tile: Slices, inside: Slices) -> tuple[Slices, Slices]:
    """Returns the part of the image that a tile shows, and its box within the tile."""
    seen, target = [], []
    for wanted, there in zip(tile, inside, strict=True):
        first, last = max(wanted.start, there.start), min(wanted.stop, there.stop)
        seen.append(slice(first - there.start, last - there.start))
        target.append(slice(first - wanted.start, last - wanted.start))
    return (seen[0], seen[1], seen[2]), (target[0], target[1], target[2])
