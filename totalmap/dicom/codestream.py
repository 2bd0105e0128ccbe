"""Compares the header of a compressed image with its dataset, before a decoder trusts either."""

import struct
from collections.abc import Iterator

from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from totalmap.dicom.instance import Instance

# ITU-T T.81 table B.1 and T.87: the start of an image, its frame, Huffman tables, the first scan,
# and what else may stand before it: quantization tables, restart intervals, applications,
# comments, JPEG-LS parameters.
JPEG_START = b"\xff\xd8"
JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC3})
JPEG_LS_FRAMES = frozenset({0xF7})
JPEG_TABLE = 0xC4
JPEG_SCAN = 0xDA
JPEG_SEGMENTS = frozenset({JPEG_TABLE, JPEG_SCAN, 0xDB, 0xDD, 0xFE, 0xF8, *range(0xE0, 0xF0)})
# ITU-T T.800 table A.2: start of the codestream, image and tile size.
JPEG2000_START = b"\xff\x4f\xff\x51"


def check_codestream(codestream: bytes, instance: Instance) -> None:
    """Compares the header of a compressed image with the dataset.

    Decoders do not: an image of another size with the same number of pixels would be mixed up, and
    GDCM ends the whole process where they differ.

    Raises:
        ValueError: The header is damaged or does not fit.
        struct.error: It breaks off.
    """
    syntax, pixels = instance.pixels.transfer_syntax, instance.pixels
    if syntax in JPEG2000TransferSyntaxes:
        size = _jpeg2000_size(codestream)
    elif syntax in JPEGLSTransferSyntaxes:
        size = _jpeg_size(codestream, JPEG_LS_FRAMES, pixels.bits_allocated)
    elif syntax in JPEGTransferSyntaxes:
        size = _jpeg_size(codestream, JPEG_FRAMES, pixels.bits_allocated)
    else:
        return
    if size != (instance.rows, instance.columns, 1):
        raise ValueError("a codestream of another size than the dataset says")


def _jpeg2000_size(codestream: bytes) -> tuple[int, int, int]:
    """Returns rows, columns and components (ITU-T T.800 A.5.1)."""
    start = codestream.index(JPEG2000_START) + len(JPEG2000_START)
    right, bottom, left, top, components = struct.unpack_from(">4x4L16xH", codestream, start)
    return bottom - top, right - left, components


def _jpeg_size(
    codestream: bytes, frame_codes: frozenset[int], bits_allocated: int
) -> tuple[int, int, int]:
    """Returns rows, columns and components (ITU-T T.81 B.2, T.87 C.2)."""
    segments = list(_jpeg_segments(codestream, frame_codes))
    frames = [content for code, content in segments if code in frame_codes]
    has_table = JPEG_TABLE in (code for code, _ in segments)
    if len(frames) != 1 or not (has_table or frame_codes == JPEG_LS_FRAMES):
        raise ValueError("a JPEG image needs one frame and a Huffman table")
    bits, rows, columns, components = struct.unpack_from(">BHHB", frames[0])
    if not 2 <= bits <= 16 or bits_allocated != (8 if bits <= 8 else 16):
        raise ValueError("a JPEG image with more or fewer bits than the dataset says")
    return rows, columns, components


def _jpeg_segments(codestream: bytes, frame_codes: frozenset[int]) -> Iterator[tuple[int, bytes]]:
    """Yields the code and the content of the segments before the first scan."""
    if not codestream.startswith(JPEG_START):
        raise ValueError("no JPEG image")
    at = len(JPEG_START)
    while True:
        mark, code, length = struct.unpack_from(">BBH", codestream, at)
        if mark != 0xFF or code not in JPEG_SEGMENTS | frame_codes:
            raise ValueError("a JPEG image with an unknown marker")
        if code == JPEG_SCAN:
            return
        yield code, codestream[at + 4 : at + 2 + length]
        at += 2 + length
