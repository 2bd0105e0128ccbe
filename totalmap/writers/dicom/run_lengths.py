"""Encodes and decodes frames in RLE Lossless (PS3.5 G), row by row, without a loop over pixels."""

from collections.abc import Iterable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame

_HEADER_BYTES = 64  # number of segments, and offsets of at most 15
_MOST_SEGMENTS = 15


def run_lengths(frame: NDArray[np.unsignedinteger[Any]]) -> bytes:
    """Returns a frame in RLE: a segment for each byte of a pixel, sample by sample.

    The highest byte of a sample comes first (PS3.5 G.2).

    Args:
        frame: (j, i) for one sample a pixel, (j, i, sample) for several.
    """
    planes = np.ascontiguousarray(frame.astype(frame.dtype.newbyteorder(">"))).view(np.uint8)
    planes = planes.reshape(*frame.shape[:2], -1)
    return run_length_frame(planes[..., byte] for byte in range(planes.shape[2]))


def run_length_frame(planes: Iterable[NDArray[np.uint8]]) -> bytes:
    """Returns a frame with a segment for each plane.

    Args:
        planes: (rows, columns) each: the bytes of a pixel, the highest first, or red, green, blue.
    """
    segments = [
        _even(imagecodecs.packbits_encode(np.ascontiguousarray(plane), axis=-1)) for plane in planes
    ]
    offsets = np.zeros(_HEADER_BYTES // 4, dtype="<u4")
    offsets[0] = len(segments)
    lengths = [_HEADER_BYTES, *map(len, segments)]
    offsets[1 : 1 + len(segments)] = np.cumsum(lengths[:-1])
    return offsets.tobytes() + b"".join(segments)


def frame_planes(frame: bytes, rows: int, columns: int) -> NDArray[np.uint8]:
    """Returns the planes of a frame, (segments, rows, columns).

    Raises:
        ValueError: The frame is no RLE, or holds another number of pixels.
    """
    header = frame[:_HEADER_BYTES].ljust(_HEADER_BYTES, b"\0")
    offsets = np.frombuffer(header, dtype="<u4")
    if not 0 < offsets[0] <= _MOST_SEGMENTS:
        raise ValueError("the frame has no RLE header")
    ends = [*offsets[2 : 1 + int(offsets[0])].tolist(), len(frame)]
    segments = [
        imagecodecs.packbits_decode(frame[start:end])
        for start, end in zip(offsets[1:].tolist(), ends, strict=False)
    ]
    count = rows * columns
    # A segment of odd length is padded with a null byte, which decodes to nothing or to one pixel.
    planes = [np.frombuffer(segment, dtype=np.uint8, count=count) for segment in segments]
    return np.stack(planes).reshape(len(planes), rows, columns)


def single_frame(written: Dataset) -> NDArray[np.uint8]:
    """Returns the planes of an image of one frame in RLE, (segments, rows, columns).

    pydicom unpacks run lengths in Python, which takes longer than to make them.

    Raises:
        ValueError: As `frame_planes`.
    """
    frame = get_frame(written.PixelData, 0, number_of_frames=1)
    return frame_planes(frame, written.Rows, written.Columns)


def _even(data: bytes | bytearray) -> bytes:
    return bytes(data) + bytes(len(data) % 2)
