"""Reads the size of compressed images before they are decoded, and decodes RLE.

The declared size is compared with the header before a decoder allocates memory.
"""

import struct
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.bounded_reader import SPARE_BYTES

# ITU-T T.81 table B.1 and T.87 table C.1: start and end of an image; the frame headers of the
# lossy, lossless and JPEG-LS processes that DICOM has.
JPEG_START = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
JPEG_FILL = 0xFF  # may stand before any marker
# Writers add fill bytes after the end. No end marker occurs inside a scan.
JPEG_PADDING = b"\0\xff"
JPEG_TAIL_BYTES = 64
JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC3, 0xF7})
# ITU-T T.800 table A.2: start of the codestream, then image and tile size.
JPEG2000_START = b"\xff\x4f\xff\x51"
RLE_HEADER = struct.Struct("<16L")


def jpeg2000_size(codestream: bytes) -> tuple[int, int]:
    """Returns rows and columns of a JPEG 2000 or HTJ2K image (ITU-T T.800 A.5.1).

    Raises:
        ValueError: It is no such image.
        struct.error: It is truncated.
    """
    start = codestream.index(JPEG2000_START) + len(JPEG2000_START)
    right, bottom, left, top = struct.unpack_from(">4x4L", codestream, start)
    return bottom - top, right - left


def jpeg_size(codestream: bytes) -> tuple[int, int]:
    """Returns rows and columns of a JPEG or JPEG-LS image (ITU-T T.81 B.2.2, T.87 C.2.2).

    Raises:
        ValueError: It is no such image, or is truncated; decoders would invent the rest.
        struct.error: Its header is truncated.
    """
    is_whole = JPEG_END in codestream.rstrip(JPEG_PADDING)[-JPEG_TAIL_BYTES:]
    if not (codestream.startswith(JPEG_START) and is_whole):
        raise ValueError("no whole JPEG image")
    at = len(JPEG_START)
    while True:
        mark, code, length, rows, columns = struct.unpack_from(">BBHxHH", codestream, at)
        if mark != JPEG_START[0]:
            raise ValueError("a JPEG image with a damaged header")
        if code in JPEG_FRAMES:
            return rows, columns
        at += 1 if code == JPEG_FILL else 2 + length


def decode_rle(codestream: bytes, rows: int, columns: int, sample_bytes: int) -> NDArray[Any]:
    """Returns the unsigned values of an RLE image of one sample a pixel (PS3.5 G), (rows, columns).

    Raises:
        ValueError: The number of segments is wrong, or a segment is too short.
        RuntimeError: A segment is damaged, or decompresses to far more than the image.
        struct.error: The codestream is truncated.
    """
    count, *offsets = RLE_HEADER.unpack_from(codestream)
    if count != sample_bytes:
        raise ValueError(f"{count} RLE segments for {sample_bytes} bytes a pixel")
    ends = [*offsets[1:count], len(codestream)]
    values = np.empty((rows * columns, sample_bytes), np.uint8)
    unpacked = np.empty(rows * columns + SPARE_BYTES, np.uint8)
    for place, (start, end) in enumerate(zip(offsets, ends, strict=False)):
        segment = imagecodecs.packbits_decode(codestream[start:end], out=unpacked.data)
        if len(segment) < rows * columns:
            raise ValueError("an RLE segment is too short")
        values[:, place] = segment[: rows * columns]  # the most significant byte comes first
    return values.view(f">u{sample_bytes}").astype(f"=u{sample_bytes}").reshape(rows, columns)
