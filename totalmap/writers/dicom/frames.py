"""Frames of a SEG in one bit a pixel: which there are, and their pixel data, box by box.

A structure fills a small part of most slices. Only the rectangle around it is looked at and
packed; all the rest of a frame is zeros that were never anything else.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from totalmap.measure.label_statistics import Labels

# A run of frames this long begins and ends between two bytes, whatever the size of a frame.
_FRAMES_AT_ONCE = 64
_BITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SegFrame:
    """A frame that is not empty: one structure in one slice.

    Attributes:
        label: That of the structure.
        k: The slice.
        box: The rows and columns around what is labelled.
    """

    label: int
    k: int
    box: tuple[slice, slice]


def seg_frames(labels: Labels) -> Mapping[int, Sequence[SegFrame]]:
    """Returns the frames that are not empty, in the order of their slices, of each label.

    Args:
        labels: (k, j, i).
    """
    frames: dict[int, list[SegFrame]] = defaultdict(list)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for k, boxes in enumerate(pool.map(_boxes, labels)):
            for label, box in boxes:
                frames[label].append(SegFrame(label=label, k=k, box=box))
    return dict(frames)


def _boxes(labels: Labels) -> list[tuple[int, tuple[slice, slice]]]:
    """Returns the labels of a slice and the rows and columns around them.

    Looks at runs of a label along rows: there are far fewer of them than pixels.
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


def packed_pixels(labels: Labels, frames: Sequence[SegFrame]) -> Iterator[memoryview]:
    """Yields the pixel data of frames, of one bit a pixel, the first one in the lowest bit.

    Frames follow each other without padding, so one may begin in the middle of a byte (PS3.5
    8.1.1). The last byte is filled up. What was yielded holds until the next one.
    """
    size = labels[0].size
    buffer = np.zeros(_FRAMES_AT_ONCE * size // _BITS, dtype=np.uint8)
    pack = _pack_columns if labels.shape[2] % _BITS == 0 else _pack_rows
    for first in range(0, len(frames), _FRAMES_AT_ONCE):
        some = frames[first : first + _FRAMES_AT_ONCE]
        for number, frame in enumerate(some):
            pack(buffer, number * size, labels[frame.k], frame)
        yield buffer[: -(-len(some) * size // _BITS)].data
        buffer[:] = 0


def _pack_columns(
    buffer: NDArray[np.uint8], first_bit: int, labels: Labels, frame: SegFrame
) -> None:
    """Packs a box where every row begins with a byte."""
    rows, columns = frame.box
    width = labels.shape[1] // _BITS
    left, right = columns.start // _BITS, -(-columns.stop // _BITS)
    mask = labels[rows, left * _BITS : right * _BITS] == frame.label
    image = buffer[first_bit // _BITS :][: labels.size // _BITS].reshape(-1, width)
    image[rows, left:right] = np.packbits(mask, axis=1, bitorder="little")


def _pack_rows(buffer: NDArray[np.uint8], first_bit: int, labels: Labels, frame: SegFrame) -> None:
    """Packs whole rows, which may begin in the middle of a byte."""
    rows, _ = frame.box
    mask = (labels[rows] == frame.label).ravel()
    byte, bit = divmod(first_bit + rows.start * labels.shape[1], _BITS)
    bits = np.zeros(bit + mask.size, dtype=np.bool_)
    bits[bit:] = mask
    packed = np.packbits(bits, bitorder="little")
    buffer[byte : byte + packed.size] |= packed
