"""Sums the margins of the labels that a network chooses, label by label, on its device.

The margin of a voxel is its largest logit minus the second largest. It is not a probability:
networks are sure of wrong labels, too, and logits have no fixed scale.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from totalmap.engine.sum_confidence_margins import LABELS


class MarginSums:
    """Sums of margins and numbers of voxels of each label of one network.

    They stay on the device of the labels. Margins are multiples of 2**-24, so float64 sums below
    2**29 are exact, whatever the order in which a GPU adds them.
    """

    def __init__(self, inside: tuple[slice, slice, slice]) -> None:
        """Takes the box (z, y, x) of the image within its padding."""
        self._inside = inside
        self._totals = torch.zeros(LABELS, dtype=torch.float64)
        self._voxels = torch.zeros(LABELS, dtype=torch.int64)

    @property
    def totals(self) -> NDArray[np.float64]:
        """(label,) sums of margins."""
        totals: NDArray[np.float64] = self._totals.cpu().numpy()
        return totals

    @property
    def voxels(self) -> NDArray[np.int64]:
        """(label,) numbers of voxels."""
        voxels: NDArray[np.int64] = self._voxels.cpu().numpy()
        return voxels

    def add(self, planes: slice, labels: torch.Tensor, margins: torch.Tensor) -> None:
        """Adds the voxels of some planes in the order of the planes.

        Args:
            planes: Their places in the image with its padding.
            labels: (z, y, x) uint8.
            margins: (z, y, x) float32, on the same device.
        """
        z, y, x = self._inside
        box = slice(max(z.start - planes.start, 0), max(z.stop - planes.start, 0)), y, x
        of = labels[box].ravel()
        weights = margins[box].ravel().double()
        voxels = torch.bincount(of, minlength=LABELS)
        self._voxels = self._voxels.to(of.device).add_(voxels)
        self._totals = self._totals.to(of.device).add_(torch.bincount(of, weights, LABELS))
