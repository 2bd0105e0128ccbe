"""Sums the margins of the labels that networks choose, label by label.

The margin of a voxel is its largest logit minus the second largest. It is not a probability:
networks are sure of wrong labels, too, and logits have no fixed scale.
"""

import numpy as np
from numpy.typing import NDArray

from totalmap.segmentation import Margin
from totalmap.structures import Structure

LABELS = 256


class MarginSums:
    """Sums of margins and numbers of voxels of each label of one network.

    Attributes:
        totals: (label,) sums of margins.
        voxels: (label,) numbers of voxels.
    """

    def __init__(self, inside: tuple[slice, slice, slice]) -> None:
        """Takes the box (z, y, x) of the image within its padding."""
        self._inside = inside
        self.totals = np.zeros(LABELS)
        self.voxels = np.zeros(LABELS, dtype=np.int64)

    def add(self, planes: slice, labels: NDArray[np.uint8], margins: NDArray[np.float32]) -> None:
        """Adds the voxels of some planes, (z, y, x) both, in the order of the planes."""
        z, y, x = self._inside
        box = slice(max(z.start - planes.start, 0), max(z.stop - planes.start, 0)), y, x
        of = labels[box].ravel()
        self.voxels += np.bincount(of, minlength=LABELS)
        self.totals += np.bincount(of, weights=margins[box].ravel(), minlength=LABELS)


class TaskMargins:
    """The sums of all networks of a task, by the task's labels.

    A voxel counts for the structure that its network chose, even if another label replaces it
    later. In an image that is split into three parts, planes that two parts share count twice.
    """

    def __init__(self) -> None:
        self._totals = np.zeros(LABELS)
        self._voxels = np.zeros(LABELS, dtype=np.int64)

    def add(self, sums: MarginSums, label_table: tuple[int, ...]) -> None:
        """Adds the sums of a network.

        Args:
            sums: Sums by the network's own labels.
            label_table: Place n holds the task's label for the network's label n.
        """
        table = np.asarray(label_table)
        np.add.at(self._totals, table, sums.totals[: len(table)])
        np.add.at(self._voxels, table, sums.voxels[: len(table)])

    def of(self, structures: tuple[Structure, ...]) -> tuple[Margin, ...]:
        """Returns the mean margin of each structure that a network chose in any voxel."""
        return tuple(
            Margin(
                structure=structure,
                mean=float(self._totals[structure.label] / self._voxels[structure.label]),
                voxels=int(self._voxels[structure.label]),
            )
            for structure in structures
            if self._voxels[structure.label]
        )
