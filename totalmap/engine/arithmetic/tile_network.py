"""What a sliding window asks of a network."""

from typing import Protocol

import torch


class TileNetwork(Protocol):
    """A network for one tile, in two steps, so that logits exist for a few planes at a time.

    The logits of a whole tile are large (118 channels: 0.76 GB), and all that is done with them
    is to be added up.
    """

    @property
    def heads(self) -> int:
        """Number of channels of the logits, background included."""

    @property
    def device(self) -> torch.device:
        """Where tiles are expected and logits come out."""

    @property
    def planes_at_once(self) -> int:
        """For how many planes logits are best asked for."""

    def features(self, tile: torch.Tensor) -> torch.Tensor:
        """Returns (feature, z, y, x) of a normalized tile, (z, y, x) float32.

        They hold until the next call.
        """

    def logits(self, features: torch.Tensor, planes: slice) -> torch.Tensor:
        """Returns (channel, z, y, x) of some planes; they hold until the next call."""

    def rest(self) -> None:
        """Gives up what memory it needs for a tile alone; called when an image is done."""
