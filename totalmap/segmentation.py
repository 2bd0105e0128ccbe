"""What passes from the engine to the writers: labels on the source grid, and their origin."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.volume import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """One structure of a task, with TotalSegmentator's label number and name."""

    label: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureVolume:
    """How much of a structure was found."""

    structure: Structure
    voxels: int
    volume_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which weights made a result, for the provenance in every output."""

    dataset: str
    sha256: str
    source: str
    licence: str
    notice: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmentation:
    """The labels of a task for one volume.

    Attributes:
        labels: (k, j, i) uint8 on the grid of `volume`; 0 is background, other values are
            labels of `structures`.
        structures: All structures that the task knows, found or not, by label.
        models: The networks that took part.
    """

    task: str
    variant: str
    volume: Volume
    labels: NDArray[np.uint8]
    structures: tuple[Structure, ...]
    models: tuple[ModelIdentity, ...]

    def found(self) -> tuple[StructureVolume, ...]:
        """Returns the structures with at least one voxel, by label, with their volumes."""
        counts = np.bincount(self.labels.ravel(), minlength=256)
        voxel_ml = self.volume.geometry.voxel_volume_ml
        return tuple(
            StructureVolume(
                structure=structure,
                voxels=int(counts[structure.label]),
                volume_ml=float(counts[structure.label]) * voxel_ml,
            )
            for structure in self.structures
            if counts[structure.label]
        )
