"""Finds the structures in each slice, and the rectangle around each of them.

A structure fills a small part of most slices. The writers of SEG and RTSTRUCT look at these
rectangles only, and so does the comparison of a written SEG with its labels.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from totalmap.environment_variables import processor_threads
from totalmap.measure.label_statistics import Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceBox:
    """One structure in one slice.

    Attributes:
        label: Label of the structure.
        k: Index of the slice.
        box: Rows and columns around the labelled pixels.
    """

    label: int
    k: int
    box: tuple[slice, slice]


def slice_boxes(labels: Labels) -> Mapping[int, Sequence[SliceBox]]:
    """Returns for each label the slices that it lies in, in the order of the slices.

    Args:
        labels: (k, j, i).
    """
    boxes_of: dict[int, list[SliceBox]] = defaultdict(list)
    with ThreadPoolExecutor(processor_threads()) as pool:
        for k, boxes in enumerate(pool.map(_boxes, labels)):
            for label, box in boxes:
                boxes_of[label].append(SliceBox(label=label, k=k, box=box))
    return dict(boxes_of)


def _boxes(labels: Labels) -> list[tuple[int, tuple[slice, slice]]]:
    """Returns the labels of a slice, each with the rows and columns around it.

    It works on runs of one label along rows: there are far fewer of them than pixels.
    """
    height, width = labels.shape
    begins = np.ones(labels.shape, dtype=np.bool_)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=labels.size)
    of_run = labels.ravel()[starts]
    row, column = np.divmod(starts, width)
    count = 1 + int(of_run.max())
    top, left = np.full(count, height), np.full(count, width)
    bottom, right = np.zeros(count, np.intp), np.zeros(count, np.intp)
    np.minimum.at(top, of_run, row)
    np.minimum.at(left, of_run, column)
    np.maximum.at(bottom, of_run, row + 1)
    np.maximum.at(right, of_run, column + lengths)
    bottom[0] = 0  # the background
    found = np.flatnonzero(bottom)
    ends = np.stack([found, top[found], bottom[found], left[found], right[found]], axis=1)
    return [(label, (slice(a, b), slice(c, d))) for label, a, b, c, d in ends.tolist()]
