"""Compares a BINARY SEG that was written with the labels, and its masks with the inference grid.

The positions of the masks are computed as a viewer does: only from the orientation, positions and
pixel spacing in the file.
"""

from collections.abc import Iterator, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """A frame of the SEG: its index from 0, its structure, and the index of its slice."""

    index: int
    structure: Structure
    k: int


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
    for index in range(len(groups)):
        key = groups.source(index)
        if key not in slice_of:
            raise OutputError("the SEG has a frame that refers to an image that is not a source")
        segment = groups.item(index, "SegmentIdentificationSequence")
        structure = structures[int(segment.ReferencedSegmentNumber) - 1]
        yield _Frame(index=index, structure=structure, k=slice_of[key])


def _compare_frame(
    packed: NDArray[np.uint8], frame: _Frame, segmentation: Segmentation
) -> tuple[int, list[_Pixel]]:
    """Returns the number of voxels in a frame, and some of its labelled pixels.

    Raises:
        OutputError: The frame differs from the labels.
    """
    labels = segmentation.labels[frame.k]
    mask = _unpacked(packed, frame.index, labels.size).reshape(labels.shape)
    if not np.array_equal(mask, labels == frame.structure.label):
        name = in_sentence(frame.structure.name)
        raise OutputError(f"a frame of the {name} in the SEG differs from its labels")
    return int(np.count_nonzero(mask)), _outermost(mask, frame)


def _unpacked(packed: NDArray[np.uint8], index: int, size: int) -> NDArray[np.bool_]:
    """Returns the pixels of a frame.

    Frames of BINARY pixel data follow each other without padding, first pixel in the lowest
    bit (PS3.5 8.1.1), so a frame may begin in the middle of a byte.
    """
    first = index * size
    chunk = packed[first // 8 : -(-(first + size) // 8)]
    bits = np.unpackbits(chunk, bitorder="little")[first % 8 : first % 8 + size]
    return bits.view(np.bool_)


def _outermost(mask: NDArray[np.bool_], frame: _Frame) -> list[_Pixel]:
    """Returns a pixel in the first and last labelled row and column of a frame."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    places = [(row, mask[row].argmax()) for row in (rows[0], rows[-1])]
    places += [(mask[:, column].argmax(), column) for column in (columns[0], columns[-1])]
    return [
        _Pixel(label=frame.structure.label, frame=frame.index, row=int(row), column=int(column))
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
    planes = [groups.item(frame, "PlanePositionSequence") for frame in range(len(groups))]
    first_pixels = np.array([plane.ImagePositionPatient for plane in planes], dtype=float)
    positions = first_pixels[[pixel.frame for pixel in pixels]]
    columns = np.array([pixel.column for pixel in pixels])
    rows = np.array([pixel.row for pixel in pixels])
    positions += np.outer(columns * columns_mm, cosines[:3])
    positions += np.outer(rows * rows_mm, cosines[3:])
    return positions
