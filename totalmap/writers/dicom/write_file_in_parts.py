"""Encodes DICOM elements and writes files part by part, since pydicom encodes large ones slowly."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from totalmap.writers.dicom.fast_dataset_encoding import (
    IMPLICIT_HEADER,
    ITEM,
    LONG_HEADER,
    SHORT_HEADER,
    encoded,
)

_PREAMBLE = bytes(128) + b"DICM"  # PS3.10 7.1
# PS3.5 7.1.1: a length is even, and the largest number means "undefined".
LONGEST_VALUE = 2**32 - 2
_UNDEFINED = 2**32 - 1

# Positions are written to a thousandth of a millimetre, far less than any pixel. Decimal strings
# (VR DS, PS3.5 6.2) have at most 16 characters, so this leaves 11 for whole millimetres.
_STEPS_PER_MM = 1000


def element_header(keyword: str, vr: bytes, length: int, *, implicit: bool = False) -> bytes:
    """Returns tag, VR and length of an element whose VR has a long length."""
    tag, _ = _tag_and_vr(keyword)
    if implicit:
        return IMPLICIT_HEADER.pack(tag, length)
    return LONG_HEADER.pack(tag, vr, 0, length)


def element(keyword: str, value: str | bytes, *, implicit: bool = False) -> bytes:
    """Returns an element whose VR has a short length, its value padded to an even length.

    Args:
        value: Text in ASCII, or bytes in little endian. Only with an implicit VR may it be longer
            than 64 kB: that header has more room for the length.
        implicit: Whether the VR is left out.
    """
    tag, vr = _tag_and_vr(keyword)
    data = value.encode("ascii") if isinstance(value, str) else value
    if len(data) % 2:
        data += b"\0" if vr == b"UI" else b" "
    if implicit:
        return IMPLICIT_HEADER.pack(tag, len(data)) + data
    return SHORT_HEADER.pack(tag, vr, len(data)) + data


def sequence(keyword: str, *items: bytes, implicit: bool = False) -> bytes:
    """Returns a sequence of items, all of explicit length (PS3.5 7.5)."""
    value = b"".join([ITEM.pack(0xFFFE, 0xE000, len(item)) + item for item in items])
    return element_header(keyword, b"SQ", len(value), implicit=implicit) + value


@cache
def _tag_and_vr(keyword: str) -> tuple[bytes, bytes]:
    """Returns tag and VR of a keyword, encoded; thousands of items repeat a few keywords."""
    tag = Tag(keyword)
    return struct.pack("<HH", tag.group, tag.element), dictionary_VR(tag).encode("ascii")


def encapsulated_pixels(frames: list[bytes]) -> bytes:
    """Returns the whole element Pixel Data with one fragment for each frame (PS3.5 A.4)."""
    header = element_header("PixelData", b"OB", _UNDEFINED)
    return header + encapsulate(frames) + ITEM.pack(0xFFFE, 0xE0DD, 0)


def write_parts(
    file: BinaryIO, dataset: Dataset, parts: Iterable[bytes | memoryview], syntax: UID
) -> None:
    """Writes a file: first a dataset, then elements that are encoded already.

    Args:
        file: Open for writing.
        dataset: The first elements; all their tags are below those of `parts`.
        parts: The rest of the file, in pieces, in the encoding of `syntax`.
        syntax: Implicit VR Little Endian, Explicit VR Little Endian (also deflated), or a syntax
            of encapsulated pixel data.
    """
    header = encoded(dataset, implicit=syntax.is_implicit_VR)
    write_encoded(file, dataset, chain([header], parts), syntax)


def write_encoded(
    file: BinaryIO, dataset: Dataset, pieces: Iterable[bytes | memoryview], syntax: UID
) -> None:
    """Writes a file whose data set is encoded already.

    Args:
        file: Open for writing.
        dataset: Its SOP class and its SOP Instance UID are those of the file.
        pieces: The whole data set, in pieces, in the encoding of `syntax`, not deflated.
        syntax: As in `write_parts`.
    """
    _write_meta(file, dataset, syntax)
    if syntax == DeflatedExplicitVRLittleEndian:
        pieces = _deflated(pieces)
    for piece in pieces:
        file.write(piece)


def _write_meta(file: BinaryIO, dataset: Dataset, syntax: UID) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta)
    file.write(_PREAMBLE + buffer.getvalue())


def _deflated(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Compresses a dataset as a deflate stream without header (PS3.5 A.5, RFC 1951)."""
    compressor = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
    length = 0
    for piece in pieces:
        compressed = compressor.compress(piece)
        length += len(compressed)
        yield compressed
    rest = compressor.flush()
    yield rest + bytes((length + len(rest)) % 2)  # a null byte makes the length even


def decimal_strings(values_mm: NDArray[np.float64], ends: NDArray[np.intp]) -> list[bytes]:
    r"""Returns numbers as decimal strings, three decimals at most, separated by \.

    Formatting millions of numbers one by one takes longer than computing them. Here, the text of a
    number is put together from two tables: whole millimetres and thousandths.

    Args:
        values_mm: (n,) numbers, all within some metres of each other.
        ends: Index in `values_mm` at which each text ends; no text is empty.
    """
    steps = np.rint(values_mm * _STEPS_PER_MM).astype(np.int64)
    whole, fraction = np.divmod(np.abs(steps), _STEPS_PER_MM)
    lowest = int(whole.min())
    wholes, fractions = _whole_texts(lowest, int(whole.max())), _fraction_texts()
    index = 2 * (whole - lowest) + (steps < 0)
    texts = np.empty(len(steps), dtype=[("whole", wholes.dtype), ("fraction", fractions.dtype)])
    texts["whole"], texts["fraction"] = wholes[index], fractions[fraction]
    joined = texts.tobytes().translate(None, b"\0")  # numpy fills shorter texts up with null bytes
    lengths = np.char.str_len(wholes)[index] + np.char.str_len(fractions)[fraction]
    text_ends = np.cumsum(lengths)[ends - 1].tolist()
    # Every number has a separator before it; the first one's is left out.
    return [
        joined[start + 1 : end] for start, end in zip([0, *text_ends[:-1]], text_ends, strict=True)
    ]


def _whole_texts(lowest: int, highest: int) -> NDArray[np.bytes_]:
    """Returns whole numbers as text after a separator, each without and with a minus sign."""
    numbers = range(lowest, highest + 1)
    return np.array([text for number in numbers for text in (b"\\%d" % number, b"\\-%d" % number)])


@cache
def _fraction_texts() -> NDArray[np.bytes_]:
    """Returns the decimals of each number of thousandths as text, without trailing zeros."""
    thousandths = range(_STEPS_PER_MM)
    return np.array([f".{n:03}".rstrip("0").rstrip(".").encode("ascii") for n in thousandths])
