"""Defines the interface of a network for a sliding window."""

from typing import Protocol

import torch


class TileNetwork(Protocol):
    """A network for single tiles, in two steps, so that logits exist for a few planes at a time.

    The logits of a whole tile are large (0.76 GB for 118 channels), and they are only summed.
    """

    @property
    def heads(self) -> int:
        """Number of channels of the logits, background included."""

    @property
    def device(self) -> torch.device:
        """The device of tiles and logits."""

    @property
    def on_gpu(self) -> bool:
        """Whether tiles are cut and summed on its device, all planes at once."""

    @property
    def planes_at_once(self) -> int:
        """Best number of planes for a call of `logits`."""

    def features(self, tile: torch.Tensor) -> torch.Tensor:
        """Returns (feature, z, y, x) of a normalized tile, (z, y, x) float32.

        They are valid until the next call.
        """

    def logits(self, features: torch.Tensor, planes: slice) -> torch.Tensor:
        """Returns the logits of some planes, (channel, z, y, x), valid until the next call."""

    def free_tile_memory(self) -> None:
        """Frees the memory that only tiles need; called after each image."""
