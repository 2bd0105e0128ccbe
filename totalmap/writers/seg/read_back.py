"""Compares a BINARY SEG that was written with the labels, and its masks with the inference grid.

The positions of the masks are computed as a viewer does: only from the orientation, positions and
pixel spacing in the file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from totalmap.dicom.functional_groups import FunctionalGroups
from totalmap.display_names import in_sentence
from totalmap.errors import OutputError
from totalmap.segmentation import InferenceLabels, Segmentation
from totalmap.structures import Structure
from totalmap.writers.dicom.read_back_positions import is_placed

_BITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """A frame of the SEG.

    Attributes:
        index: Its index, from 0.
        k: Index of its slice.
        rows: The rows in which the labels have its structure; outside of them, no pixel is set.
    """

    index: int
    structure: Structure
    k: int
    rows: slice


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pixel:
    """A labelled pixel of the SEG: its label, its frame from 0, its row and column."""

    label: int
    frame: int
    row: int
    column: int


def compare_seg(
    written: Dataset, segmentation: Segmentation, structures: tuple[Structure, ...]
) -> None:
    """Compares a SEG with the labels frame by frame, and its masks with the inference grid.

    Args:
        written: The SEG, as pydicom reads it.
        segmentation: The source of the SEG.
        structures: The expected structures, by Segment Number, from 1.

    Raises:
        OutputError: A frame differs or lies on an unknown slice, voxels are missing, or voxels do
            not lie where the network put them.
    """
    groups = FunctionalGroups(written)
    packed = np.frombuffer(written.PixelData, dtype=np.uint8)
    compared = [
        _compare_frame(packed, frame, segmentation)
        for frame in _frames(groups, segmentation, structures)
    ]
    covered = sum(voxels for voxels, _ in compared)
    wanted = set(structures)
    total = sum(found.voxels for found in segmentation.found() if found.structure in wanted)
    if covered != total:
        raise OutputError(f"the SEG holds {covered} voxels, the labels {total}")
    pixels = [pixel for _, of_frame in compared for pixel in of_frame]
    _compare_placement(groups, pixels, segmentation.inference)


def _frames(
    groups: FunctionalGroups, segmentation: Segmentation, structures: tuple[Structure, ...]
) -> Iterator[_Frame]:
    slice_of = {slice_.key: k for k, slice_ in enumerate(segmentation.volume.slices)}
    rows_of = _labelled_rows(segmentation, structures)
    for index in range(len(groups)):
        key = groups.source(index)
        if key not in slice_of:
            raise OutputError("the SEG has a frame that refers to an image that is not a source")
        structure, k = structures[groups.segment_number(index) - 1], slice_of[key]
        rows = rows_of.get((structure.label, k), slice(0, 0))
        yield _Frame(index=index, structure=structure, k=k, rows=rows)


def _labelled_rows(
    segmentation: Segmentation, structures: tuple[Structure, ...]
) -> Mapping[tuple[int, int], slice]:
    """Returns the rows in which the labels have a structure, by its label and the slice."""
    return {
        (box.label, box.k): box.box[0]
        for structure in structures
        for box in segmentation.slice_boxes.get(structure.label, ())
    }


def _compare_frame(
    packed: NDArray[np.uint8], frame: _Frame, segmentation: Segmentation
) -> tuple[int, list[_Pixel]]:
    """Returns the number of voxels in a frame, and some of its labelled pixels.

    Raises:
        OutputError: The frame differs from the labels.
    """
    height, width = segmentation.labels.shape[1:]
    first = frame.index * height * width
    begin, end, last = (first + row * width for row in (frame.rows.start, frame.rows.stop, height))
    is_equal = packed.size * _BITS >= last
    is_equal = is_equal and _is_empty(packed, first, begin) and _is_empty(packed, end, last)
    mask = np.zeros((0, width), dtype=np.bool_)
    if is_equal:
        mask = _unpacked(packed, begin, end).reshape(-1, width)
        labels = segmentation.labels[frame.k, frame.rows]
        is_equal = np.array_equal(mask, labels == frame.structure.label)
    if not is_equal:
        name = in_sentence(frame.structure.name)
        raise OutputError(f"a frame of the {name} in the SEG differs from its labels")
    return int(np.count_nonzero(mask)), _outermost(mask, frame)


def _unpacked(packed: NDArray[np.uint8], begin: int, end: int) -> NDArray[np.bool_]:
    """Returns the pixels from one bit up to another.

    Frames of BINARY pixel data follow each other without padding, first pixel in the lowest
    bit (PS3.5 8.1.1), so a row may begin in the middle of a byte.
    """
    chunk = packed[begin // _BITS : -(-end // _BITS)]
    bits = np.unpackbits(chunk, bitorder="little")[begin % _BITS :][: end - begin]
    return bits.view(np.bool_)


def _is_empty(packed: NDArray[np.uint8], begin: int, end: int) -> bool:
    """Returns whether no pixel is set from one bit up to another; whole bytes stay packed."""
    whole, after = -(-begin // _BITS), end // _BITS
    if whole >= after:
        return not _unpacked(packed, begin, end).any()
    edges = (begin, whole * _BITS), (after * _BITS, end)
    if any(_unpacked(packed, *edge).any() for edge in edges if edge[0] < edge[1]):
        return False
    return not np.count_nonzero(packed[whole:after])


def _outermost(mask: NDArray[np.bool_], frame: _Frame) -> list[_Pixel]:
    """Returns a pixel in the first and last labelled row and column of a frame.

    Args:
        mask: The rows of the frame.
        frame: The frame.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    places = [(row, mask[row].argmax()) for row in (rows[0], rows[-1])]
    places += [(mask[:, column].argmax(), column) for column in (columns[0], columns[-1])]
    return [
        _Pixel(
            label=frame.structure.label,
            frame=frame.index,
            row=frame.rows.start + int(row),
            column=int(column),
        )
        for row, column in places
    ]


def _compare_placement(
    groups: FunctionalGroups, pixels: Sequence[_Pixel], inference: InferenceLabels
) -> None:
    """Compares labelled pixels with the labels on the inference grid at their positions.

    Raises:
        OutputError: The network put another label at the position of a pixel.
    """
    labels = np.array([pixel.label for pixel in pixels])
    fits = is_placed(_positions_lps(groups, pixels), labels, inference)
    if not fits.all():
        first = pixels[int(np.argmin(fits))]
        raise OutputError(
            f"{np.count_nonzero(~fits)} of {len(fits)} voxels of the SEG lie where the network put "
            f"another label, the first of label {first.label} in frame {first.frame + 1}"
        )


def _positions_lps(groups: FunctionalGroups, pixels: Sequence[_Pixel]) -> NDArray[np.float64]:
    """Returns the positions of pixels, (n, 3) mm in LPS (PS3.3 C.7.6.2.1.1, equation 1)."""
    orientation = groups.item(0, "PlaneOrientationSequence").ImageOrientationPatient
    rows_mm, columns_mm = map(float, groups.item(0, "PixelMeasuresSequence").PixelSpacing)
    cosines = np.asarray(orientation, dtype=float)
    first_pixels = np.array([groups.position_mm(frame) for frame in range(len(groups))])
    positions = first_pixels[[pixel.frame for pixel in pixels]]
    columns = np.array([pixel.column for pixel in pixels])
    rows = np.array([pixel.row for pixel in pixels])
    positions += np.outer(columns * columns_mm, cosines[:3])
    positions += np.outer(rows * rows_mm, cosines[3:])
    return positions
