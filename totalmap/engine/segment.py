"""A volume in, its segmentation out: to the network's grid, through a predictor, and back."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.volume import Volume
from totalmap.engine.inference_grid import to_inference_grid
from totalmap.engine.tasks import Task
from totalmap.segmentation import InferenceLabels, ModelIdentity, Segmentation

Progress = Callable[[int, int], None]
"""Called with the number of tiles done and the number of all tiles."""


class Predictor(Protocol):
    """What finds the structures of a task in an image; `totalmap.engine.predict.Networks` does."""

    @property
    def task(self) -> Task:
        """The task, whose spacing the image has."""

    @property
    def identities(self) -> tuple[ModelIdentity, ...]:
        """The networks that take part."""

    def predict(self, image: NDArray[np.generic], progress: Progress) -> NDArray[np.uint8]:
        """Returns the labels of an image in HU, (z, y, x) both."""


def segment(volume: Volume, predictor: Predictor, progress: Progress) -> Segmentation:
    """Returns the labels of the task on the slices of the volume."""
    task = predictor.task
    image = to_inference_grid(volume, task.spacing_mm)
    labels = predictor.predict(image.voxels.transpose(2, 1, 0), progress).transpose(2, 1, 0)
    return Segmentation(
        task=task.name,
        variant=task.variant,
        volume=volume,
        labels=np.ascontiguousarray(image.to_source(labels)),
        inference=InferenceLabels(labels=labels, affine_lps=image.affine_lps),
        structures=task.structures,
        models=predictor.identities,
    )
