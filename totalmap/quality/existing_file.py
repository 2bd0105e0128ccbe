"""A SEG file that may be another tool's: whether it is whole, and where its frames lie."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from totalmap.dicom.file_reader import native_pixels, read_all, syntax_of
from totalmap.dicom.geometry import Geometry
from totalmap.dicom.header import BROKEN_FILE
from totalmap.errors import InputError

# A frame lies on a slice if it is no further from it than this share of a voxel.
_SAME_PLACE = 0.1
# A SEG of a hundred structures has more frames than any image, with ten items each.
_MAX_ITEMS = 1_000_000


@contextmanager
def named(number: int, of: int) -> Iterator[None]:
    """Has errors say which SEG they are about; pydicom raises many kinds on a broken one.

    Args:
        number: Of the SEG, from 1; its path may hold a patient's name.
        of: How many SEGs there are.

    Raises:
        InputError: Instead of all of them.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"SEG file {number} of {of}: {error}") from error
    except BROKEN_FILE as error:
        raise InputError(f"SEG file {number} of {of} is broken ({type(error).__name__})") from error


def read_header(path: Path, number: int, of: int) -> Dataset:
    """Returns all of a SEG but its pixels, which are all in the file.

    Args:
        path: Of the SEG.
        number: As `named`.
        of: The same.

    Raises:
        InputError: They are not, or the file is broken.
    """
    with named(number, of), path.open("rb") as file:
        seg, element = read_all(file, max_items=_MAX_ITEMS)
        pixels = native_pixels(element, syntax_of(seg, seg.file_meta.TransferSyntaxUID, element))
        bits = seg.Rows * seg.Columns * int(seg.NumberOfFrames) * seg.BitsAllocated
        if pixels is not None and pixels.length < bits / 8:
            raise InputError(
                f"the SEG has {pixels.length} bytes of pixels and needs {ceil(bits / 8)}"
            )
        placed = len(seg.PerFrameFunctionalGroupsSequence)
        if placed != seg.NumberOfFrames:
            raise InputError(f"the SEG has {seg.NumberOfFrames} frames and places {placed}")
        return seg


def slice_of(seg: Dataset, frame: int, geometry: Geometry) -> int:
    """Returns the slice that a frame lies on.

    Raises:
        InputError: It lies on none, or does not say where.
    """
    position = group(seg, frame, "PlanePositionSequence").ImagePositionPatient
    cosines = group(seg, frame, "PlaneOrientationSequence").ImageOrientationPatient
    spacing = group(seg, frame, "PixelMeasuresSequence").PixelSpacing
    row, column = np.reshape(np.array(cosines, dtype=float), (2, 3))
    ends = np.array(position, dtype=float) + np.array(
        [np.zeros(3), row * float(spacing[1]), column * float(spacing[0])]
    )
    at = _indices(ends, geometry)
    k = int(np.abs(np.subtract(geometry.slice_steps, at[0, 2])).argmin())
    step = geometry.slice_steps[k]
    expected = np.array([[0.0, 0.0, step], [1.0, 0.0, step], [0.0, 1.0, step]])
    if np.abs(at - expected).max() > _SAME_PLACE:
        raise InputError(f"frame {frame + 1} of the SEG lies on another grid than its source")
    return k


def _indices(points: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float64]:
    """Returns i, j and steps of points, (n, 3) mm in LPS."""
    homogeneous = np.column_stack([points, np.ones(len(points))])
    indices: NDArray[np.float64] = (homogeneous @ np.linalg.inv(geometry.affine_lps).T)[:, :3]
    return indices


def group(seg: Dataset, frame: int, sequence: str) -> Dataset:
    """Returns the item of a functional group that holds for a frame (PS3.3 C.7.6.16).

    Raises:
        InputError: There is none.
    """
    own = seg.PerFrameFunctionalGroupsSequence[frame]
    shared = seg.SharedFunctionalGroupsSequence[0]
    if sequence not in own and sequence not in shared:
        raise InputError(f"frame {frame + 1} of the SEG does not say where it lies")
    item: Dataset = (own if sequence in own else shared)[sequence].value[0]
    return item
