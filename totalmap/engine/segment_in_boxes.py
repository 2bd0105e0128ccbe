"""Segments a volume with each network of a task in the box of its own structures.

A rough network finds the structures first, once for all networks. Then each network runs as
`TotalSegmentator --roi_subset` with its structures would run it, and the labels are merged in the
order in which the networks overwrite each other when they run together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from totalmap.dicom.geometry import Affine, Box, Geometry, cropped
from totalmap.dicom.volume import Volume
from totalmap.engine.inference_resampling import inference_grid
from totalmap.engine.learnt_structures import why_fewer
from totalmap.engine.segment import Predictor, Progress, find, share, whole, with_margin
from totalmap.engine.tasks import Task
from totalmap.segmentation import InferenceLabels, Segmentation
from totalmap.settings import Search
from totalmap.structures import BoxContact, Face, Structure
from totalmap.texts.catalogue import Message


class BoxPredictor(Predictor, Protocol):
    """A predictor of one network, whose memory can be tested before it runs."""

    def require_memory(self, shape: tuple[int, ...]) -> None:
        """Makes sure that an image, (z, y, x), fits the memory.

        Raises:
            ResourceError: The memory is too small.
        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    """What a network found in its box: labels (k, j, i) on the slices of the whole volume."""

    task: Task
    box: Box
    labels: NDArray[np.uint8]
    inference: InferenceLabels


def segment_in_boxes(
    volume: Volume,
    predictors: Sequence[Predictor],
    parts: Sequence[BoxPredictor],
    progress: Progress,
) -> Segmentation:
    """Returns the labels of a task whose networks each search the box of their own structures.

    A network does not run if the rough network finds none of its structures; a finding says so.

    Args:
        volume: The volume.
        predictors: Those of `Task.chain`. The last one, of the task, does not run.
        parts: Those of `Task.boxes`, which run in its place.
        progress: Called with tiles done and all tiles. All predictors have the same share, since
            the number of tiles of a part depends on the rough result.

    Raises:
        ResourceError: The memory is too small for a part; none has run then.
    """
    task, rough, n_runs = predictors[-1].task, predictors[:-1], len(predictors) - 1 + len(parts)
    extents: dict[Task, LabelExtents] = {}
    for n, predictor in enumerate(rough):
        labels, _ = find(volume, predictor, None, share(progress, n, n_runs))
        extents[task.chain[n]] = label_extents(labels)
    boxes = [box_of(part.task, extents, volume.geometry) for part in parts]
    for part, box in zip(parts, boxes, strict=True):
        if box is not None:
            geometry = cropped(volume.geometry, box)
            part.require_memory(inference_grid(geometry, task.spacing_mm)[0][::-1])
    found, findings = [], []
    for n, (part, box) in enumerate(zip(parts, boxes, strict=True), len(rough)):
        part_progress = share(progress, n, n_runs)
        if box is None:
            findings.append(_why_not_run(part.task))
            part_progress(1, 1)
            continue
        labels, inference = find(volume, part, box if part.task.crop else None, part_progress)
        found.append(_Found(task=part.task, box=box, labels=labels, inference=inference))
    return _segmentation(volume, predictors, found, tuple(findings))


LabelExtents = Sequence[Box | None]
"""Place n holds the box of label n + 1, (k, j, i), or None without such a label."""


def label_extents(labels: NDArray[np.uint8]) -> LabelExtents:
    """Returns the box around each label, (k, j, i), without a margin."""
    extents: LabelExtents = ndimage.find_objects(labels)
    return extents


def box_of(task: Task, extents: Mapping[Task, LabelExtents], geometry: Geometry) -> Box | None:
    """Returns the box that a task searches; None if its rough task found none of its structures.

    Args:
        task: The task; without a `crop` it searches the whole volume.
        extents: What each rough task found on the slices of `geometry`.
        geometry: That of the volume.
    """
    search = task.crop
    if search is None:
        return whole(geometry)
    places = extents[search.task]
    around = [places[label - 1] for label in search.labels if label <= len(places)]
    boxes = [box for box in around if box is not None]
    if not boxes:
        return None
    k, j, i = (
        slice(min(part.start for part in axis), max(part.stop for part in axis))
        for axis in zip(*boxes, strict=True)
    )
    return with_margin((k, j, i), geometry, search.margin_mm)


def _segmentation(
    volume: Volume,
    predictors: Sequence[Predictor],
    found: Sequence[_Found],
    findings: tuple[str, ...],
) -> Segmentation:
    task = predictors[-1].task
    labels = np.zeros(volume.geometry.shape, dtype=np.uint8)
    for part in found:
        np.copyto(labels[part.box], part.labels[part.box], where=part.labels[part.box] != 0)
    shape, affine_lps = inference_grid(volume.geometry, task.spacing_mm)
    return Segmentation(
        task=task.name,
        variant=task.variant,
        volume=volume,
        labels=labels,
        inference=_on_one_grid([part.inference for part in found], shape, affine_lps),
        structures=task.structures,
        arithmetic=predictors[-1].arithmetic,
        threads=predictors[-1].threads,
        search=Search.BOXES,
        box_contacts=tuple(
            contact for part in found for contact in _contacts(labels, part, volume.geometry)
        ),
        models=tuple(dict.fromkeys(chain.from_iterable(each.identities for each in predictors))),
        findings=(*findings, *filter(None, [why_fewer(task)])),
    )


def _on_one_grid(
    parts: Sequence[InferenceLabels], shape: tuple[int, ...], affine_lps: Affine
) -> InferenceLabels:
    """Returns the labels of all boxes, the later ones over the earlier ones, on one grid.

    Args:
        parts: Labels on grids with parallel axes.
        shape: (x, y, z) of the grid.
        affine_lps: (4, 4), maps (x, y, z, 1) of the grid to mm in LPS.
    """
    labels = np.zeros(shape, dtype=np.uint8, order="F")  # as the labels of a network lie
    for part in parts:
        index = np.linalg.inv(part.affine_lps) @ affine_lps
        places, nearest = [], []
        for axis, (count, limit) in enumerate(zip(shape, part.labels.shape, strict=True)):
            place = index[axis, axis] * np.arange(count) + index[axis, 3]
            rounded = np.floor(place + 0.5).astype(np.intp)
            inside = np.flatnonzero((rounded >= 0) & (rounded < limit))
            places.append(slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0))
            nearest.append(rounded[inside])
        seen = part.labels[np.ix_(*nearest)]
        np.copyto(labels[tuple(places)], seen, where=seen != 0)
    return InferenceLabels(labels=labels, affine_lps=affine_lps, of_boxes=tuple(parts))


def _contacts(labels: NDArray[np.uint8], part: _Found, geometry: Geometry) -> Iterator[BoxContact]:
    """Yields the structures of a network that reach a side of its box within the volume.

    Args:
        labels: (k, j, i) of all networks.
        part: The box and the structures of one network.
        geometry: That of the volume.
    """
    touched: dict[Structure, set[Face]] = {}
    for axis, (side, pair) in enumerate(zip(part.box, geometry.faces, strict=True)):
        inner = {0: side.start > 0, -1: side.stop < geometry.shape[axis]}
        for place, face in zip((0, -1), pair, strict=True):
            if inner[place]:
                plane = labels[part.box].take([place], axis=axis)
                for structure in _present(part.task.structures, plane):
                    touched.setdefault(structure, set()).add(face)
    for structure in part.task.structures:
        if faces := touched.get(structure):
            yield BoxContact(
                structure=structure, faces=tuple(face for face in Face if face in faces)
            )


def _present(structures: Iterable[Structure], labels: NDArray[np.uint8]) -> Iterator[Structure]:
    present = np.bincount(labels.ravel(), minlength=256) > 0
    return (structure for structure in structures if present[structure.label])


def _why_not_run(task: Task) -> str:
    networks = ", ".join(model.dataset for model in task.models)
    around = len(task.structures) + len(task.unlearnt)
    return Message("warning.not_run", networks=networks, around=around)
