"""What passes from the engine to the writers: labels on the source grid, and their origin."""

import hashlib
from copy import copy
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Self

import numpy as np

from totalmap.dicom.geometry import Affine
from totalmap.dicom.volume import Volume
from totalmap.finding import Assessment, Finding, Verdict
from totalmap.measure.label_statistics import Labels, LabelStatistics, label_statistics
from totalmap.structures import MeasuredStructure, Structure


class EngineKind(StrEnum):
    """What ran the networks: our engine, or TotalSegmentator's python API (docs/tasks.md)."""

    TOTALMAP = "totalmap"
    TOTALSEGMENTATOR_API = "totalsegmentator-api"


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
        labels: (x, y, z) on the inference grid.
        affine_lps: (4, 4), maps (x, y, z, 1) to mm in LPS.
    """

    labels: Labels
    affine_lps: Affine


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """By how much a structure's network chose it where it did. No probability.

    Attributes:
        mean: Mean margin between best and second logit, over these voxels.
        voxels: On the inference grid.
    """

    structure: Structure
    mean: float
    voxels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """How far networks of another resolution agree on a structure.

    Attributes:
        dice: Of both, 0..1, on the coarser of the two inference grids.
        volume_ml: Of the result there.
        other_volume_ml: Of what the other networks found.
    """

    structure: Structure
    dice: float
    volume_ml: float
    other_volume_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """What networks' own numbers say of a result; none of them is a probability.

    Attributes:
        margins: Of all structures that were found.
        opinions: On all structures that either network found; None: no other was asked.
    """

    margins: tuple[Margin, ...]
    opinions: tuple[Opinion, ...] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """The labels of a task for one volume.

    Attributes:
        labels: (k, j, i) uint8, or uint16 for more than 255 structures, on the grid of `volume`;
            0 is background, other values are labels of `structures`.
        inference: The same labels where the network put them.
        structures: All structures that were looked for, found or not, by label: those that were
            asked for and that the networks have learnt.
        models: The networks that took part.
        arithmetic: How the networks were computed: exact, compiled, bf16, or float16 on a GPU.
        findings: What whoever reads the result must know, in words.
        engine: What ran the networks.
        confidence: What their own numbers say; None where they were not to be had.
        assessment: Whether the labels are to be believed; None: nobody has looked.
    """

    task: str
    variant: str
    volume: Volume
    labels: Labels
    inference: InferenceLabels
    structures: tuple[Structure, ...]
    models: tuple[ModelIdentity, ...]
    arithmetic: str = "exact"
    findings: tuple[str, ...] = ()
    engine: EngineKind = EngineKind.TOTALMAP
    confidence: Confidence | None = None
    assessment: Assessment | None = None

    @property
    def device(self) -> str:
        """The class of device that ran the networks: cpu, cuda, or both after a step down.

        float16 is what a GPU computes with, and nothing else does.
        """
        classes = {"cuda" if one == "float16" else "cpu" for one in self.arithmetic.split("+")}
        return "+".join(sorted(classes))

    @property
    def verdict(self) -> Verdict:
        """What is to be done with the labels; OK where nobody has looked."""
        return self.assessment.verdict if self.assessment else Verdict.OK

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """Why the labels are to be believed less."""
        return self.assessment.findings if self.assessment else ()

    def assessed(self, assessment: Assessment) -> Self:
        """Returns the same with what was found about it; what was measured is not measured anew."""
        same = copy(self)
        object.__setattr__(same, "assessment", assessment)
        return same

    def found(self) -> tuple[MeasuredStructure, ...]:
        """Returns the structures with at least one voxel, by label, measured once."""
        return self._found

    @cached_property
    def inputs_sha256(self) -> str:
        """The SHA-256 of what the labels were made from, and how: as in every UID."""
        inputs = (
            self.task,
            self.variant,
            self.engine,
            self.arithmetic,
            self.device,
            *(structure.name for structure in self.structures),
            *(model.sha256 for model in self.models),
            *self.volume.source_names,
        )
        return hashlib.sha256("\n".join(inputs).encode()).hexdigest()

    @cached_property
    def labels_sha256(self) -> str:
        """The SHA-256 of the labels."""
        return hashlib.sha256(np.ascontiguousarray(self.labels).data).hexdigest()

    @cached_property
    def statistics(self) -> LabelStatistics:
        """What was counted of the labels, once."""
        return label_statistics(
            self.labels, self.volume.voxels, self.volume.geometry, self.inference.labels
        )

    @cached_property
    def _found(self) -> tuple[MeasuredStructure, ...]:
        table = self.statistics
        return tuple(
            _measured(structure, table)
            for structure in self.structures
            if structure.label < len(table.voxels) and table.voxels[structure.label]
        )


def _measured(structure: Structure, table: LabelStatistics) -> MeasuredStructure:
    label = structure.label
    return MeasuredStructure(
        structure=structure,
        voxels=int(table.voxels[label]),
        volume_ml=round(float(table.volume_ml[label]), 3),
        mean=round(float(table.mean[label]), 2),
        sd=round(float(table.sd[label]), 2),
        faces=table.faces[label],
        components=int(table.components[label]),
        largest_share=round(float(table.largest[label] / max(table.counted[label], 1)), 4),
    )
