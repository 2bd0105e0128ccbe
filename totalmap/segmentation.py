"""Holds the labels of a volume, how they were made, their measurements and their assessment."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Self

import numpy as np

from totalmap.correction_history import AlgorithmType, PersonsCorrection
from totalmap.dicom.geometry import Affine
from totalmap.dicom.volume import Volume
from totalmap.finding import Assessment, Finding, Verdict
from totalmap.measure.label_statistics import Labels, LabelStatistics, label_statistics
from totalmap.measure.structure_boxes_in_slices import SliceBox, slice_boxes
from totalmap.structures import BoxContact, MeasuredStructure, Structure


class EngineKind(StrEnum):
    """The engine that ran the networks: ours, or TotalSegmentator's python API (docs/tasks.md)."""

    TOTALMAP = "totalmap"
    TOTALSEGMENTATOR_API = "totalsegmentator-api"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """The weights of a network, for the provenance in every output."""

    dataset: str
    sha256: str
    source: str
    licence: str
    notice: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InferenceLabels:
    """The labels where they were made: on the grid of the network, before they were resampled.

    Labels that a person has corrected were made on the slices of the source; this is their straight
    grid (`totalmap.dicom.geometry.to_equidistant`). Written objects are compared with these labels,
    so they are always the labels that are meant.

    Attributes:
        labels: (x, y, z) on the inference grid.
        affine_lps: (4, 4), maps (x, y, z, 1) to mm in LPS.
        of_boxes: Where each network searched in a box: the labels of each on its own grid. `labels`
            then holds all of them, at the nearest voxels of the grid of the whole volume.
    """

    labels: Labels
    affine_lps: Affine
    of_boxes: tuple["InferenceLabels", ...] = ()

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel of the inference grid in mL."""
        return abs(float(np.linalg.det(self.affine_lps[:3, :3]))) / 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """The margin by which a network preferred a structure, over the voxels that it gave to it.

    It is not a probability.

    Attributes:
        mean: Mean difference of the largest and the second largest logit.
        voxels: Number of voxels, on the inference grid.
    """

    structure: Structure
    mean: float
    voxels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """How far networks of another resolution agree on a structure.

    Attributes:
        dice: Dice coefficient, 0..1, on the coarser of the two inference grids.
        volume_ml: Volume in the result, on that grid.
        other_volume_ml: Volume that the other networks found.
    """

    structure: Structure
    dice: float
    volume_ml: float
    other_volume_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """How sure the networks are of a result; none of the numbers is a probability.

    Attributes:
        margins: One for each structure that was found.
        opinions: One for each structure that either network found; None without a second opinion.
    """

    margins: tuple[Margin, ...]
    opinions: tuple[Opinion, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """Statistics of labels, and the objects that they were counted from."""

    volume: Volume
    labels: Labels
    inference: InferenceLabels
    statistics: LabelStatistics


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """The labels of a task for one volume.

    Attributes:
        labels: (k, j, i) uint8, or uint16 for more than 255 structures, on the grid of `volume`;
            0 is background, other values are labels of `structures`.
        inference: The same labels on the grid where they were made.
        structures: All structures that were looked for, found or not, by label: those that the
            settings choose and that the networks have learnt.
        models: The networks that were used.
        arithmetic: How the networks were computed: exact, compiled, bf16, or float16 on a GPU.
        search: Where each network searched: `whole` or `boxes`, as in `totalmap.settings.Search`.
        box_contacts: Structures that reach the edge of the box in which their network searched.
        threads: With how many threads of the processor; None if it is not known.
        findings: Sentences for the reader of the result.
        engine: The engine that ran the networks.
        confidence: None if the engine does not compute it.
        assessment: Quality findings and verdict; None before the labels are assessed.
        measured: Statistics that were counted already; a copy with an assessment shares them.
        correction: The correction that made the labels; None: the networks made them.
    """

    task: str
    variant: str
    volume: Volume
    labels: Labels
    inference: InferenceLabels
    structures: tuple[Structure, ...]
    models: tuple[ModelIdentity, ...]
    arithmetic: str = "exact"
    search: str = "whole"
    box_contacts: tuple[BoxContact, ...] = ()
    threads: int | None = None
    findings: tuple[str, ...] = ()
    engine: EngineKind = EngineKind.TOTALMAP
    confidence: Confidence | None = None
    assessment: Assessment | None = None
    measured: Measured | None = None
    correction: PersonsCorrection | None = None

    @property
    def device(self) -> str:
        """The class of device that ran the networks: cpu, cuda, or both if a GPU's memory ran out.

        Only a GPU computes in float16.
        """
        kinds = self.arithmetic.split("+")
        classes = {"cuda" if kind == "float16" else "cpu" for kind in kinds}
        return "+".join(sorted(classes))

    @property
    def verdict(self) -> Verdict:
        """The verdict of the assessment; OK before the labels are assessed."""
        return self.assessment.verdict if self.assessment else Verdict.OK

    @property
    def quality_findings(self) -> tuple[Finding, ...]:
        """The quality findings; empty before the labels are assessed."""
        return self.assessment.findings if self.assessment else ()

    def with_assessment(self, assessment: Assessment) -> Self:
        """Returns a copy with an assessment, which shares the statistics."""
        measured = Measured(
            volume=self.volume,
            labels=self.labels,
            inference=self.inference,
            statistics=self.statistics,
        )
        return replace(self, assessment=assessment, measured=measured)

    def algorithm_type(self, structure: Structure) -> AlgorithmType:
        """Returns who made a structure: the networks, a person, or a person after the networks."""
        if self.correction is None:
            return AlgorithmType.AUTOMATIC
        return self.correction.algorithm_type(structure)

    def found(self) -> tuple[MeasuredStructure, ...]:
        """Returns the structures with at least one voxel, by label."""
        return self._found

    @cached_property
    def inputs_sha256(self) -> str:
        """The SHA-256 of all inputs that decide the labels; every UID is derived from it."""
        inputs = (
            self.task,
            self.variant,
            self.engine,
            self.arithmetic,
            self.search,
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

    def sha256_of(self, structures: Iterable[Structure]) -> str:
        """Returns the SHA-256 of the labels of some structures; all others are background."""
        kept = {structure.label for structure in structures}
        if kept >= {structure.label for structure in self.structures}:
            return self.labels_sha256
        table = np.zeros(1 + max(structure.label for structure in self.structures), np.uint16)
        table[list(kept)] = list(kept)
        labels = table.astype(self.labels.dtype)[self.labels]
        return hashlib.sha256(np.ascontiguousarray(labels).data).hexdigest()

    @cached_property
    def statistics(self) -> LabelStatistics:
        """Statistics of all labels, counted once."""
        measured = self.measured
        if (
            measured is not None
            and measured.labels is self.labels
            and measured.inference is self.inference
            and measured.volume is self.volume
        ):
            return measured.statistics
        return label_statistics(
            self.labels,
            self.volume.voxels,
            self.volume.geometry,
            self.inference.labels,
            self.inference.voxel_ml,
        )

    @cached_property
    def slice_boxes(self) -> Mapping[int, Sequence[SliceBox]]:
        """The rows and columns around each structure in each slice, by label, found once."""
        return slice_boxes(self.labels)

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
