"""Segments a volume: resamples it, runs the predictors, and brings the labels back.

A task may search only a box around the structures that a rough task finds. Then the rough task is
segmented first. totalmap/engine/segment_in_boxes.py does it for each network of a task.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.geometry import (
    Box,
    Geometry,
    canonical_affine_lps,
    cropped,
    stored_zooms,
    to_canonical,
)
from totalmap.dicom.volume import Volume
from totalmap.engine.inference_resampling import to_inference_grid
from totalmap.engine.label_cleanup import clean
from totalmap.engine.learnt_structures import why_fewer
from totalmap.engine.resample import Resample
from totalmap.engine.tasks import Crop, Task
from totalmap.segmentation import InferenceLabels, ModelIdentity, Segmentation
from totalmap.texts.catalogue import Joined, Message, StructureName

Progress = Callable[[int, int], None]
"""Called with the number of tiles done and the number of all tiles."""

Found = tuple[NDArray[np.uint8], InferenceLabels]
"""Labels on the slices of the source, (k, j, i), and on the inference grid."""


class Predictor(Protocol):
    """Finds the structures of a task in an image, as `totalmap.engine.predict.Networks` does."""

    @property
    def task(self) -> Task:
        """The task; images have its spacing."""

    @property
    def identities(self) -> tuple[ModelIdentity, ...]:
        """The networks that take part."""

    @property
    def arithmetic(self) -> str:
        """Arithmetic of the last prediction: exact, compiled, bf16 or float16."""

    @property
    def threads(self) -> int | None:
        """Number of threads of the networks on a CPU; None if it is not known."""

    @property
    def resample(self) -> Resample:
        """Resamples images for `predict`: `resample_image`, or the same on a GPU."""

    def predict(self, image: NDArray[np.generic], progress: Progress) -> NDArray[np.uint8]:
        """Returns the labels of an image, both (z, y, x)."""


def segment(volume: Volume, predictors: Sequence[Predictor], progress: Progress) -> Segmentation:
    """Returns the labels of the last predictor's task on the slices of the volume.

    If a rough task finds nothing, the final task has an empty result and a finding. A rough task
    that follows another one searches the whole volume then. TotalSegmentator does the same.

    Args:
        volume: The volume.
        predictors: Those of `Task.chain`; each searches around the structures of the one before.
        progress: Called with tiles done and all tiles. All predictors have the same share, since
            the number of tiles of a later one depends on the result of the one before.
    """
    found = _empty(volume)
    findings: tuple[str, ...] = ()
    for n, predictor in enumerate(predictors):
        box, search = None, predictor.task.crop
        if search:
            box = box_around(np.isin(found[0], search.labels), volume.geometry, search.margin_mm)
            if box is None and n == len(predictors) - 1:
                found, findings = _empty(volume), (_why_nothing(predictor.task, search),)
                break
            box = box or whole(volume.geometry)
        found = find(volume, predictor, box, share(progress, n, len(predictors)))
    task = predictors[-1].task
    if fewer := why_fewer(task):
        findings = (*findings, fewer)
    return Segmentation(
        task=task.name,
        variant=task.variant,
        volume=volume,
        labels=found[0],
        inference=found[1],
        structures=task.structures,
        arithmetic=predictors[-1].arithmetic,
        threads=predictors[-1].threads,
        models=tuple(
            dict.fromkeys(identity for each in predictors for identity in each.identities)
        ),
        findings=findings,
    )


def share(progress: Progress, place: int, of: int) -> Progress:
    """Returns the progress function of one of several runs with the same share."""
    return lambda done, total: progress(place * total + done, of * total)


def box_around(mask: NDArray[np.bool_], geometry: Geometry, margin_mm: float) -> Box | None:
    """Returns the box of a mask with a margin on all sides; None for an empty mask.

    Args:
        mask: (k, j, i) on the slices of `geometry`.
    """
    if not mask.any():
        return None
    ends = (np.flatnonzero(mask.any(axis=others))[[0, -1]] for others in ((1, 2), (0, 2), (0, 1)))
    k, j, i = (slice(int(first), int(last) + 1) for first, last in ends)
    return with_margin((k, j, i), geometry, margin_mm)


def with_margin(extent: Box, geometry: Geometry, margin_mm: float) -> Box:
    """Returns a box with a margin on all sides, as far as the volume reaches.

    Args:
        extent: The box, (k, j, i) on the slices of `geometry`.
        geometry: That of the volume.
        margin_mm: Rounded down to whole voxels.
    """
    k, j, i = extent
    margin_i, margin_j, margin_steps = (margin_mm / stored_zooms(geometry.affine_lps)).astype(int)
    steps = np.asarray(geometry.slice_steps)
    first = int(np.searchsorted(steps, steps[k.start] - margin_steps, "left"))
    last = int(np.searchsorted(steps, steps[k.stop - 1] + margin_steps, "right"))
    if not geometry.is_grid:  # interpolation needs two slices
        first = min(first, len(steps) - 2)
        last = max(last, first + 2)
    _, rows, columns = geometry.shape
    return (
        slice(first, last),
        slice(max(int(j.start - margin_j), 0), min(int(j.stop + margin_j), rows)),
        slice(max(int(i.start - margin_i), 0), min(int(i.stop + margin_i), columns)),
    )


def whole(geometry: Geometry) -> Box:
    """Returns the box of the whole volume."""
    k, j, i = (slice(0, size) for size in geometry.shape)
    return k, j, i


def crop(volume: Volume, box: Box) -> Volume:
    """Returns a part of a volume; values are truncated to integers, as in TotalSegmentator."""
    voxels = volume.voxels[box]
    return replace(
        volume,
        voxels=voxels if np.issubdtype(voxels.dtype, np.integer) else np.trunc(voxels),
        geometry=cropped(volume.geometry, box),
        slices=volume.slices[box[0]],
    )


def find(volume: Volume, predictor: Predictor, box: Box | None, progress: Progress) -> Found:
    """Returns what a predictor finds in a box of the volume; None is the whole volume."""
    part = volume if box is None else crop(volume, box)
    image = to_inference_grid(part, predictor.task.spacing_mm, predictor.resample)
    labels = predictor.predict(image.voxels.transpose(2, 1, 0), progress).transpose(2, 1, 0)
    labels = clean(labels, predictor.task, image.zooms_mm)
    on_slices = np.zeros(volume.geometry.shape, dtype=np.uint8)
    on_slices[... if box is None else box] = image.to_source(labels)
    return on_slices, InferenceLabels(labels=labels, affine_lps=image.affine_lps)


def _empty(volume: Volume) -> Found:
    labels = np.zeros(volume.geometry.shape, dtype=np.uint8)
    affine_lps = canonical_affine_lps(volume.geometry)
    seen = InferenceLabels(labels=to_canonical(labels, volume.geometry), affine_lps=affine_lps)
    return labels, seen


def _why_nothing(task: Task, search: Crop) -> str:
    names = [
        structure.name for structure in search.task.structures if structure.label in search.labels
    ]
    around = Joined(tuple(map(StructureName, names)))
    return Message("warning.nothing_around", task=task.name, names=around)
