"""Adds up the margins of all networks of a task, by the task's labels.

`totalmap.engine.logit_margins` sums those of one network. This module does without PyTorch, which
takes seconds to import.
"""

from typing import TYPE_CHECKING

import numpy as np

from totalmap.segmentation import Margin
from totalmap.structures import Structure

if TYPE_CHECKING:
    from totalmap.engine.logit_margins import MarginSums

LABELS = 256


class TaskMargins:
    """The sums of all networks of a task, by the task's labels.

    A voxel counts for the structure that its network chose, even if another label replaces it
    later. In an image that is split into three parts, planes that two parts share count twice.
    """

    def __init__(self) -> None:
        self._totals = np.zeros(LABELS)
        self._voxels = np.zeros(LABELS, dtype=np.int64)

    def add(self, sums: "MarginSums", label_table: tuple[int, ...]) -> None:
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
