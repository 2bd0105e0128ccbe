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
from pydicom.uid import DeflatedExplicitVRLittleEndian

from totalmap.dicom.file_reader import NativePixels, read_all
from totalmap.dicom.frame_positions import frame_values, places_of_frames
from totalmap.dicom.functional_groups import FunctionalGroups
from totalmap.dicom.geometry import Geometry
from totalmap.errors import InputError
from totalmap.origin_in_dicom import Origin, origin_of

# A SEG of a hundred structures has more frames than any image, with ten items each.
MAX_ITEMS = 1_000_000
_BITS = 8  # in a byte


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
    values = frame_values(groups, "SegmentIdentificationSequence", "ReferencedSegmentNumber")
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
