"""What a compressed image says of its own size: compared before a decoder asks for memory."""

import struct

# ITU-T T.81 table B.1 and T.87 table C.1: start and end of an image; the frame headers of the
# lossy, lossless and JPEG-LS processes that DICOM has.
JPEG_START = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
JPEG_FILL = 0xFF  # may stand before any marker
JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC3, 0xF7})
# ITU-T T.800 table A.2: start of the codestream, then image and tile size.
JPEG2000_START = b"\xff\x4f\xff\x51"


def jpeg2000_size(codestream: bytes) -> tuple[int, int]:
    """Returns rows and columns of a JPEG 2000 or HTJ2K image (ITU-T T.800 A.5.1).

    Raises:
        ValueError: It is none.
        struct.error: It breaks off.
    """
    start = codestream.index(JPEG2000_START) + len(JPEG2000_START)
    right, bottom, left, top = struct.unpack_from(">4x4L", codestream, start)
    return bottom - top, right - left


def jpeg_size(codestream: bytes) -> tuple[int, int]:
    """Returns rows and columns of a JPEG or JPEG-LS image (ITU-T T.81 B.2.2, T.87 C.2.2).

    Raises:
        ValueError: It is none, or breaks off: decoders would make the rest up.
        struct.error: Its header breaks off.
    """
    is_whole = codestream.rstrip(b"\0").endswith(JPEG_END)
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
