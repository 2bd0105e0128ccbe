"""Frames of a SEG in one bit a pixel: which there are, and their pixel data, box by box.

A structure fills a small part of most slices. Only the rectangle around it is looked at and
packed; all the rest of a frame is zeros that were never anything else.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from totalmap.label_statistics import Labels

# A run of frames this long begins and ends between two bytes, whatever the size of a frame.
_FRAMES_AT_ONCE = 64
_BITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SegFrame:
    """A frame that is not empty: one structure in one slice.

    Attributes:
        segment: Segment Number, from 1.
        label: That of the structure.
        k: The slice.
        box: The rows and columns around what is labelled.
    """

    segment: int
    label: int
    k: int
    box: tuple[slice, slice]


def seg_frames(labels: Labels, wanted: Sequence[int]) -> list[SegFrame]:
    """Returns all frames that are not empty, by segment and then by slice.

    Args:
        labels: (k, j, i).
        wanted: Labels, in the order of their segments; what is nowhere is no segment.
    """
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        boxes = [dict(found) for found in pool.map(_boxes, labels)]
    present = [label for label in wanted if any(label in found for found in boxes)]
    return [
        SegFrame(segment=segment, label=label, k=k, box=found[label])
        for segment, label in enumerate(present, start=1)
        for k, found in enumerate(boxes)
        if label in found
    ]


def _boxes(labels: Labels) -> list[tuple[int, tuple[slice, slice]]]:
    """Returns the labels of a slice and the rows and columns around them."""
    boxes = ndimage.find_objects(labels)
    return [(label, box) for label, box in enumerate(boxes, start=1) if box is not None]


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
