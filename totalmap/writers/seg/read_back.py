"""Reads a BINARY SEG back and compares it with the labels it was made from."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from totalmap.errors import OutputError
from totalmap.segmentation import Segmentation
from totalmap.structures import Structure
from totalmap.writers.seg.placement import Sample, check_placement
from totalmap.writers.seg.read_groups import FunctionalGroups


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Where a frame says that it belongs: its place from 0, its structure, its slice."""

    place: int
    structure: Structure
    k: int


def check_seg(
    written: Dataset, segmentation: Segmentation, structures: tuple[Structure, ...]
) -> None:
    """Compares a SEG with the labels it was made from, frame by frame, and with their places.

    Args:
        written: As pydicom reads it.
        segmentation: What it was made from.
        structures: What it has to hold, by Segment Number, from 1.

    Raises:
        OutputError: A frame differs, lies on an unknown slice, voxels are missing, or they do
            not lie where the network put them.
    """
    groups = FunctionalGroups(written)
    packed = np.frombuffer(written.PixelData, dtype=np.uint8)
    checked = [
        _check_frame(packed, frame, segmentation)
        for frame in _frames(groups, segmentation, structures)
    ]
    covered = sum(voxels for voxels, _ in checked)
    wanted = set(structures)
    total = sum(one.voxels for one in segmentation.found() if one.structure in wanted)
    if covered != total:
        raise OutputError(f"the SEG holds {covered} voxels, the labels {total}")
    samples = [sample for _, of_frame in checked for sample in of_frame]
    check_placement(groups, samples, segmentation.inference)


def _frames(
    groups: FunctionalGroups, segmentation: Segmentation, structures: tuple[Structure, ...]
) -> Iterator[_Frame]:
    slice_of = {one.key: k for k, one in enumerate(segmentation.volume.slices)}
    for place in range(len(groups)):
        key = groups.source(place)
        if key not in slice_of:
            raise OutputError("the SEG has a frame that refers to an image that is not a source")
        segment = groups.item(place, "SegmentIdentificationSequence")
        structure = structures[int(segment.ReferencedSegmentNumber) - 1]
        yield _Frame(place=place, structure=structure, k=slice_of[key])


def _check_frame(
    packed: NDArray[np.uint8], frame: _Frame, segmentation: Segmentation
) -> tuple[int, list[Sample]]:
    """Returns how many voxels a frame holds, and some of them."""
    labels = segmentation.labels[frame.k]
    mask = _unpacked(packed, frame.place, labels.size).reshape(labels.shape)
    if not np.array_equal(mask, labels == frame.structure.label):
        raise OutputError(f"a frame of {frame.structure.name} in the SEG differs from its labels")
    return int(np.count_nonzero(mask)), _ends(mask, frame)


def _unpacked(packed: NDArray[np.uint8], place: int, size: int) -> NDArray[np.bool_]:
    """Returns the pixels of a frame.

    Frames of BINARY pixel data follow each other without padding, first pixel in the lowest
    bit (PS3.5 8.1.1), so a frame may begin in the middle of a byte.
    """
    first = place * size
    chunk = packed[first // 8 : -(-(first + size) // 8)]
    bits = np.unpackbits(chunk, bitorder="little")[first % 8 : first % 8 + size]
    return bits.view(np.bool_)


def _ends(mask: NDArray[np.bool_], frame: _Frame) -> list[Sample]:
    """Returns a pixel at each of the four ends of what is labelled in a frame."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    places = [(row, mask[row].argmax()) for row in (rows[0], rows[-1])]
    places += [(mask[:, column].argmax(), column) for column in (columns[0], columns[-1])]
    return [
        Sample(label=frame.structure.label, frame=frame.place, row=int(row), column=int(column))
        for row, column in places
    ]
