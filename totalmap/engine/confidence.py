"""Segments a volume and measures how sure the networks are: margins and a second opinion.

A second opinion is the result of networks of another resolution. TotalSegmentator has independently
trained networks at 1.5 and at 3 mm. Their agreement on a structure is the pairwise Dice, which Zenk
et al. (arXiv 2406.03323) found the most robust sign of failure. An error that both make is not
detected.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.volume import Volume
from totalmap.engine.resample import Resample
from totalmap.engine.segment import Predictor, Progress, segment, share
from totalmap.engine.segment_in_boxes import BoxPredictor, segment_in_boxes
from totalmap.engine.sum_confidence_margins import TaskMargins
from totalmap.engine.tasks import WHOLE_BODY_TASKS, Task, load_task
from totalmap.errors import ConfigError
from totalmap.measure.label_statistics import Labels
from totalmap.segmentation import (
    Confidence,
    InferenceLabels,
    ModelIdentity,
    Opinion,
    Segmentation,
)
from totalmap.settings import Variant
from totalmap.structures import Structure


def second_opinion_task(task: Task) -> Task:
    """Returns the task at 3 mm for a task at 1.5 mm: an eighth of the voxels, one network.

    Raises:
        ConfigError: The task has no suitable coarser network. At 6 mm, a structure of 1 mL has only
            five voxels.
    """
    if task.name not in WHOLE_BODY_TASKS or task.variant is not Variant.FULL:
        raise ConfigError(
            f"quality.second_opinion: there is none for task {task.name}, variant {task.variant}; "
            f"choose segmentation.variant full and one of the tasks {', '.join(WHOLE_BODY_TASKS)}, "
            "or set it to false"
        )
    searched = task.structures if task.crop else ()
    return load_task(task.name, Variant.FAST, tuple(structure.name for structure in searched))


class MarginPredictor(Predictor, Protocol):
    """A predictor that also returns margins; `Networks` is one."""

    def predict(
        self, image: NDArray[np.generic], progress: Progress, margins: TaskMargins | None = None
    ) -> NDArray[np.uint8]:
        """Returns the labels of an image, (z, y, x), and adds to the margins."""


class MarginBoxPredictor(MarginPredictor, BoxPredictor, Protocol):
    """A predictor of one network that also returns margins."""


def segment_with_confidence(
    volume: Volume,
    predictors: Sequence[MarginPredictor],
    others: Sequence[Predictor],
    progress: Progress,
    parts: Sequence[MarginBoxPredictor] = (),
) -> Segmentation:
    """Returns the segmentation of `segment`, or of `segment_in_boxes`, with its confidence.

    Args:
        volume: The volume.
        predictors: As in `segment`.
        others: Predictors of a second opinion, at a coarser resolution; empty for none.
        progress: Called with tiles done and all tiles. Both opinions have the same share.
        parts: Predictors of the networks that search in boxes, as in `segment_in_boxes`; empty if
            the last predictor runs them together.
    """
    runs = 2 if others else 1
    first, margins = share(progress, 0, runs), TaskMargins()
    if parts:
        measured = [_MeasuredInBox(part, margins) for part in parts]
        found = segment_in_boxes(volume, predictors, measured, first)
    else:
        found = segment(volume, (*predictors[:-1], _Measured(predictors[-1], margins)), first)
    confidence = Confidence(margins=margins.of(found.structures))
    if not others:
        return replace(found, confidence=confidence)
    second = segment(volume, others, share(progress, 1, runs))
    both = tuple(structure for structure in found.structures if structure in second.structures)
    agreement = opinions(found.inference, second.inference, both)
    return replace(
        found,
        confidence=replace(confidence, opinions=agreement),
        models=tuple(dict.fromkeys((*found.models, *second.models))),
    )


@dataclass(frozen=True)
class _Measured:
    """A predictor that adds to the margins of one volume."""

    predictor: MarginPredictor
    margins: TaskMargins

    @property
    def task(self) -> Task:
        return self.predictor.task

    @property
    def identities(self) -> tuple[ModelIdentity, ...]:
        return self.predictor.identities

    @property
    def arithmetic(self) -> str:
        return self.predictor.arithmetic

    @property
    def threads(self) -> int | None:
        return self.predictor.threads

    @property
    def resample(self) -> Resample:
        return self.predictor.resample

    def predict(self, image: NDArray[np.generic], progress: Progress) -> NDArray[np.uint8]:
        return self.predictor.predict(image, progress, self.margins)


@dataclass(frozen=True)
class _MeasuredInBox(_Measured):
    predictor: MarginBoxPredictor

    def require_memory(self, shape: tuple[int, ...]) -> None:
        self.predictor.require_memory(shape)


def opinions(
    result: InferenceLabels, other: InferenceLabels, structures: tuple[Structure, ...]
) -> tuple[Opinion, ...]:
    """Returns the agreement of two label images on each structure that either holds.

    Args:
        result: Labels on the finer grid.
        other: Labels on the coarser grid, where both are compared; the axes are parallel.
        structures: Structures of both.
    """
    own_labels = _at_voxels_of(other, result)
    both = np.bincount(own_labels[own_labels == other.labels], minlength=256)
    sizes, other_sizes = (
        np.bincount(labels.ravel(), minlength=256) for labels in (own_labels, other.labels)
    )
    voxel_ml = abs(float(np.linalg.det(other.affine_lps[:3, :3]))) / 1000.0
    return tuple(
        Opinion(
            structure=structure,
            dice=float(2 * both[label] / (sizes[label] + other_sizes[label])),
            volume_ml=float(sizes[label] * voxel_ml),
            other_volume_ml=float(other_sizes[label] * voxel_ml),
        )
        for structure in structures
        if sizes[label := structure.label] + other_sizes[label]
    )


def _at_voxels_of(grid: InferenceLabels, seen: InferenceLabels) -> Labels:
    """Returns the labels nearest to the voxel centres of another grid."""
    index = np.linalg.inv(seen.affine_lps) @ grid.affine_lps
    places = (
        _nearest(index[axis, axis] * np.arange(count) + index[axis, 3], limit)
        for axis, (count, limit) in enumerate(
            zip(grid.labels.shape, seen.labels.shape, strict=True)
        )
    )
    return seen.labels[np.ix_(*places)]


def _nearest(index: NDArray[np.float64], limit: int) -> NDArray[np.intp]:
    """Returns indices 0..limit - 1; the two grids of a volume may end a voxel apart."""
    rounded: NDArray[np.intp] = np.clip(np.floor(index + 0.5), 0, limit - 1).astype(np.intp)
    return rounded
