"""Encodes images by run lengths (RLE, PS3.5 G), which every viewer with compression reads."""

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

_HEADER_BYTES = 64  # PS3.5 G.5: number and offsets of at most 15 segments


def run_lengths(frame: NDArray[np.unsignedinteger[Any]]) -> bytes:
    """Returns a frame in RLE: a segment for each byte of a pixel, sample by sample.

    The highest byte of a sample comes first (PS3.5 G.2).

    Args:
        frame: (j, i) for one sample a pixel, (j, i, sample) for several.
    """
    planes = np.ascontiguousarray(frame.astype(frame.dtype.newbyteorder(">"))).view(np.uint8)
    planes = planes.reshape(*frame.shape[:2], -1)
    segments = [
        _even(imagecodecs.packbits_encode(np.ascontiguousarray(planes[..., byte]), axis=-1))
        for byte in range(planes.shape[2])
    ]
    offsets = np.zeros(_HEADER_BYTES // 4, dtype="<u4")
    offsets[0] = len(segments)
    lengths = [_HEADER_BYTES, *map(len, segments)]
    offsets[1 : 1 + len(segments)] = np.cumsum(lengths[:-1])
    return offsets.tobytes() + b"".join(segments)


def _even(data: bytes | bytearray) -> bytes:
    return bytes(data) + bytes(len(data) % 2)
