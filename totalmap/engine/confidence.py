"""Segments a volume and measures how sure the networks are: margins and a second opinion."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.volume import Volume
from totalmap.engine.margins import TaskMargins
from totalmap.engine.second_opinion import opinions
from totalmap.engine.segment import Predictor, Progress, segment, share
from totalmap.engine.tasks import Task
from totalmap.segmentation import Confidence, ModelIdentity, Segmentation


class MarginPredictor(Predictor, Protocol):
    """A predictor that also returns margins; `Networks` is one."""

    def predict(
        self, image: NDArray[np.generic], progress: Progress, margins: TaskMargins | None = None
    ) -> NDArray[np.uint8]:
        """Returns the labels of an image, (z, y, x), and adds to the margins."""


def segment_with_confidence(
    volume: Volume,
    predictors: Sequence[MarginPredictor],
    others: Sequence[Predictor],
    progress: Progress,
) -> Segmentation:
    """Returns the segmentation of `segment` with its confidence.

    Args:
        volume: The volume.
        predictors: As in `segment`.
        others: Predictors of a second opinion, at a coarser resolution; empty for none.
        progress: Called with tiles done and all tiles. Both opinions have the same share.
    """
    runs = 2 if others else 1
    last = _Measured(predictors[-1])
    found = segment(volume, (*predictors[:-1], last), share(progress, 0, runs))
    confidence = Confidence(margins=last.margins.of(found.structures))
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
    """A predictor that keeps the margins of one volume."""

    predictor: MarginPredictor
    margins: TaskMargins = field(default_factory=TaskMargins)

    @property
    def task(self) -> Task:
        return self.predictor.task

    @property
    def identities(self) -> tuple[ModelIdentity, ...]:
        return self.predictor.identities

    @property
    def arithmetic(self) -> str:
        return self.predictor.arithmetic

    def predict(self, image: NDArray[np.generic], progress: Progress) -> NDArray[np.uint8]:
        return self.predictor.predict(image, progress, self.margins)
