"""What passes from the engine to the writers: labels on the source grid, and their origin."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.geometry import Affine
from totalmap.dicom.volume import Volume


class EngineKind(StrEnum):
    """What ran the networks: our engine, or TotalSegmentator's python API (docs/tasks.md)."""

    TOTALMAP = "totalmap"
    TOTALSEGMENTATOR_API = "totalsegmentator-api"


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
class InferenceLabels:
    """The labels where the network put them, before they were brought back to the source.

    Attributes:
        labels: (x, y, z) uint8 on the inference grid.
        affine_lps: (4, 4), maps (x, y, z, 1) to mm in LPS.
    """

    labels: NDArray[np.uint8]
    affine_lps: Affine


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """The labels of a task for one volume.

    Attributes:
        labels: (k, j, i) uint8 on the grid of `volume`; 0 is background, other values are
            labels of `structures`.
        inference: The same labels where the network put them.
        structures: All structures that were looked for, found or not, by label.
        models: The networks that took part.
        arithmetic: How the networks were computed: exact, compiled, bf16, or float16 on a GPU.
        findings: What whoever reads the result must know, in words.
        engine: What ran the networks.
    """

    task: str
    variant: str
    volume: Volume
    labels: NDArray[np.uint8]
    inference: InferenceLabels
    structures: tuple[Structure, ...]
    models: tuple[ModelIdentity, ...]
    arithmetic: str = "exact"
    findings: tuple[str, ...] = ()
    engine: EngineKind = EngineKind.TOTALMAP

    def found(self) -> tuple[StructureVolume, ...]:
        """Returns the structures with at least one voxel, by label, with their volumes."""
        return self._found

    @cached_property
    def _found(self) -> tuple[StructureVolume, ...]:
        by_slice = np.array([np.bincount(one.ravel(), minlength=256) for one in self.labels])
        voxels = by_slice.sum(axis=0)
        volumes_ml = self.volume.geometry.voxel_volumes_ml @ by_slice
        return tuple(
            StructureVolume(
                structure=structure,
                voxels=int(voxels[structure.label]),
                volume_ml=float(volumes_ml[structure.label]),
            )
            for structure in self.structures
            if voxels[structure.label]
        )
