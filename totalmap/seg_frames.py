"""Reads the frames of a SEG object, ours or another tool's, and their places in its source."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from totalmap.dicom.file_reader import NativePixels, read_all
from totalmap.dicom.functional_groups import FunctionalGroups
from totalmap.dicom.geometry import Geometry
from totalmap.errors import InputError
from totalmap.origin_in_dicom import Origin, origin_of

# A SEG of a hundred structures has more frames than any image, with ten items each.
MAX_ITEMS = 1_000_000
_BITS = 8  # in a byte
# A frame lies on the pixels of a slice if their distance is at most this share of a voxel.
_SAME_PLACE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExistingSeg:
    """A SEG object.

    Attributes:
        header: Its attributes without pixels.
        pixels: The place of its pixels in the file; None: they are compressed.
    """

    path: Path
    header: Dataset
    pixels: NativePixels | None

    @property
    def origin(self) -> Origin | None:
        """How it was made; None for an object of another tool."""
        return origin_of(self.header)

    @property
    def offset_of_bits(self) -> int | None:
        """The offset of BINARY pixels in the file, if the bits of each row fill whole bytes."""
        is_packed = self.header.BitsAllocated == 1 and self.header.Columns % _BITS == 0
        return self.pixels.offset if is_packed and self.pixels else None


class Mask(NamedTuple):
    """The rows of a frame between its first and its last pixel, and those pixels."""

    rows: slice
    pixels: NDArray[np.bool_]


class PlacedFrame(NamedTuple):
    """A part of a slice k of the source, and the Segment Number of each of its pixels, 0 for none.

    A SEG that has several segments at a pixel has several frames there.
    """

    k: int
    rows: slice
    columns: slice
    numbers: NDArray[np.unsignedinteger[Any]]


def placed_frames(seg: ExistingSeg, geometry: Geometry) -> Iterator[PlacedFrame]:
    """Yields the frames of a SEG where they lie in its source.

    Pixels of a FRACTIONAL SEG belong to a segment if they are above half of its largest value.

    Args:
        seg: The SEG.
        geometry: The grid of its source.

    Raises:
        InputError: A frame lies on another grid than the source, or has a segment that the SEG
            does not describe.
    """
    header, groups = seg.header, FunctionalGroups(seg.header)
    places = places_of_frames(header, groups, geometry)
    described = [int(segment.SegmentNumber) for segment in header.SegmentSequence]
    dtype = np.min_scalar_type(max(described, default=0))
    if header.get("SegmentationType") == "LABELMAP":
        images = _label_map_images(seg, np.array([0, *described]))
    else:
        segments = segments_of_frames(header, groups)
        images = (
            (mask.rows, mask.pixels * dtype.type(number))
            for mask, number in zip(masks_of_frames(seg), segments, strict=True)
        )
    for (k, j, i), (within, numbers) in zip(places, images, strict=True):
        first = int(j) + (within.start or 0)
        yield PlacedFrame(
            k=int(k),
            rows=slice(first, first + len(numbers)),
            columns=slice(int(i), int(i) + numbers.shape[1]),
            numbers=numbers,
        )


def _label_map_images(
    seg: ExistingSeg, described: NDArray[np.integer[Any]]
) -> Iterator[tuple[slice, NDArray[Any]]]:
    for frame, pixels in enumerate(pixels_of_frames(seg), start=1):
        unknown = np.setdiff1d(pixels, described)
        if unknown.size:
            raise _undescribed(frame, int(unknown[0]))
        yield slice(None), pixels


def segments_of_frames(seg: Dataset, groups: FunctionalGroups) -> tuple[int, ...]:
    """Returns the Segment Number of each frame of a SEG that is not a label map.

    Raises:
        InputError: A frame has none, or one that the SEG does not describe.
    """
    described = {int(segment.SegmentNumber) for segment in seg.SegmentSequence}
    values = values_of_frames(groups, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
    numbers = tuple(int(number) for number in values[:, 0])
    for frame, number in enumerate(numbers, start=1):
        if number not in described:
            raise _undescribed(frame, number)
    return numbers


def _undescribed(frame: int, number: int) -> InputError:
    return InputError(f"frame {frame} of the SEG belongs to segment {number}, which is missing")


def masks_of_frames(seg: ExistingSeg) -> Iterator[Mask]:
    """Yields the mask of each frame; a structure fills few rows of an image."""
    half = int(seg.header.get("MaximumFractionalValue", 1)) / 2
    if seg.offset_of_bits is None:
        for pixels in pixels_of_frames(seg):
            yield Mask(rows=slice(None), pixels=pixels > half)
        return
    # Frames follow each other without padding, the first pixel in the lowest bit (PS3.5 8.1.1).
    shape = int(seg.header.NumberOfFrames), seg.header.Rows, seg.header.Columns // _BITS
    for packed in np.memmap(seg.path, np.uint8, "r", seg.offset_of_bits, shape):
        rows = np.flatnonzero(packed.any(axis=1))
        used = slice(rows[0], rows[-1] + 1) if rows.size else slice(0)
        bits = np.unpackbits(packed[used], axis=1, bitorder="little")
        yield Mask(rows=used, pixels=bits.view(np.bool_))


def pixels_of_frames(seg: ExistingSeg) -> Iterator[NDArray[Any]]:
    """Yields the pixels of each frame; pydicom does not inflate a file that it reads in frames."""
    if seg.header.file_meta.TransferSyntaxUID != DeflatedExplicitVRLittleEndian:
        return iter_pixels(seg.path)
    with seg.path.open("rb") as file:
        whole, _ = read_all(file, pixel_bytes=pixel_bytes(seg.header), max_items=MAX_ITEMS)
    return iter_pixels(whole)


def pixel_bytes(header: Dataset) -> int:
    """Returns the number of bytes that uncompressed pixels of a SEG need."""
    values = int(header.Rows) * int(header.Columns) * int(header.NumberOfFrames)
    return ceil(values * int(header.BitsAllocated) / _BITS)


def places_of_frames(
    seg: Dataset, groups: FunctionalGroups, geometry: Geometry
) -> NDArray[np.intp]:
    """Returns the index (k, j, i) in the source of the first pixel of each frame, (frame, 3).

    Frames may be smaller than the slices of the source, as some tools crop them.

    Args:
        seg: The header of the SEG.
        groups: Its functional groups.
        geometry: The grid of its source.

    Raises:
        InputError: A frame does not lie on the pixels of a slice, or has no position.
    """
    origin = values_of_frames(groups, "PlanePositionSequence", "ImagePositionPatient")
    cosines = values_of_frames(groups, "PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = values_of_frames(groups, "PixelMeasuresSequence", "PixelSpacing")
    next_column = origin + cosines[:, :3] * spacing[:, 1:]
    next_row = origin + cosines[:, 3:] * spacing[:, :1]
    at = np.stack([_indices(points, geometry) for points in (origin, next_column, next_row)], 1)
    steps = np.asarray(geometry.slice_steps)
    slices = np.abs(at[:, 0, 2, None] - steps).argmin(axis=1)
    corners = np.rint(at[:, 0, :2])
    expected = np.tile([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], (len(at), 1, 1))
    expected[:, :, :2] += corners[:, None]
    expected[:, :, 2] = steps[slices, None]
    elsewhere = np.flatnonzero(np.abs(at - expected).max(axis=(1, 2)) > _SAME_PLACE)
    if elsewhere.size:
        raise InputError(
            f"frame {elsewhere[0] + 1} of the SEG lies on another grid than its source"
        )
    _, rows, columns = geometry.shape
    ends = corners + np.array([seg.Columns, seg.Rows])
    if (corners < 0).any() or (ends > np.array([columns, rows])).any():
        raise InputError(
            f"the SEG has {seg.Rows} x {seg.Columns} voxels a slice, its source {rows} x {columns}"
        )
    return np.column_stack([slices, corners[:, ::-1]]).astype(np.intp)


def _indices(points: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float64]:
    """Returns (i, j, s) of points, (n, 3) mm in LPS."""
    homogeneous = np.column_stack([points, np.ones(len(points))])
    indices: NDArray[np.float64] = (homogeneous @ np.linalg.inv(geometry.affine_lps).T)[:, :3]
    return indices


def values_of_frames(
    groups: FunctionalGroups, sequence: str, attribute: str
) -> NDArray[np.float64]:
    """Returns an attribute of a functional group for each frame, (frame, value).

    Raises:
        InputError: A frame has no such functional group.
    """

    def read(item: Dataset) -> NDArray[np.float64]:
        return np.array(item[attribute].value, dtype=float, ndmin=1)

    values = []
    for frame in range(len(groups)):
        try:
            values.append(groups.read_once(frame, Tag(sequence), read))
        except KeyError as error:
            raise InputError(f"frame {frame + 1} of the SEG has no {sequence}") from error
    return np.array(values)
