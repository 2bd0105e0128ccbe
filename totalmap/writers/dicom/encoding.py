"""DICOM files written part by part, so that what is large never becomes a pydicom object."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from typing import BinaryIO

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

_PREAMBLE = bytes(128) + b"DICM"  # PS3.10 7.1
# PS3.5 7.1.1: a length is even, and the largest number means "undefined".
LONGEST_VALUE = 2**32 - 2
_UNDEFINED = 2**32 - 1
_ITEM = struct.Struct("<HHL")
_SHORT_HEADER = struct.Struct("<4s2sH")
_LONG_HEADER = struct.Struct("<4s2sHL")  # PS3.5 7.1.2: tag, VR, reserved, length
_IMPLICIT_HEADER = struct.Struct("<4sL")  # PS3.5 7.1.3: tag, length


def encoded(dataset: Dataset, *, implicit: bool = False) -> bytes:
    """Returns the elements of a dataset in Explicit or Implicit VR Little Endian."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, implicit
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def element_header(keyword: str, vr: bytes, length: int, *, implicit: bool = False) -> bytes:
    """Returns what stands before the value of an element with a VR of long length."""
    tag, _ = _tag_and_vr(keyword)
    if implicit:
        return _IMPLICIT_HEADER.pack(tag, length)
    return _LONG_HEADER.pack(tag, vr, 0, length)


def element(keyword: str, value: str | bytes, *, implicit: bool = False) -> bytes:
    """Returns an element with a VR of short length, its value padded to an even one.

    Args:
        value: Text in ASCII, or bytes in little endian. Longer than 64 kB only where the VR is
            implicit: its header has more room for the length.
        implicit: Whether the VR is left out.
    """
    tag, vr = _tag_and_vr(keyword)
    data = value.encode("ascii") if isinstance(value, str) else value
    if len(data) % 2:
        data += b"\0" if vr == b"UI" else b" "
    if implicit:
        return _IMPLICIT_HEADER.pack(tag, len(data)) + data
    return _SHORT_HEADER.pack(tag, vr, len(data)) + data


def sequence(keyword: str, *items: bytes, implicit: bool = False) -> bytes:
    """Returns a sequence of items, all of explicit length (PS3.5 7.5)."""
    value = b"".join([_ITEM.pack(0xFFFE, 0xE000, len(one)) + one for one in items])
    return element_header(keyword, b"SQ", len(value), implicit=implicit) + value


@cache
def _tag_and_vr(keyword: str) -> tuple[bytes, bytes]:
    """Looks a keyword up, and encodes both; few of them stand in thousands of items."""
    tag = Tag(keyword)
    return struct.pack("<HH", tag.group, tag.element), dictionary_VR(tag).encode("ascii")


def encapsulated_pixels(frames: list[bytes]) -> bytes:
    """Returns the whole element Pixel Data, a fragment a frame (PS3.5 A.4)."""
    header = element_header("PixelData", b"OB", _UNDEFINED)
    return header + encapsulate(frames) + _ITEM.pack(0xFFFE, 0xE0DD, 0)


def write_parts(
    file: BinaryIO, dataset: Dataset, parts: Iterable[bytes | memoryview], syntax: UID
) -> None:
    """Writes a file that begins with a dataset and goes on with elements that are encoded already.

    Args:
        file: Open for writing.
        dataset: All its tags are below those of `parts`.
        parts: The rest of the file, in pieces, encoded as `syntax` says.
        syntax: Implicit or Explicit VR Little Endian, the latter deflated, or one of encapsulated
            pixel data.
    """
    _write_meta(file, dataset, syntax)
    header = encoded(dataset, implicit=syntax.is_implicit_VR)
    pieces: Iterator[bytes | memoryview] = chain([header], parts)
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
    """Compresses a dataset as a bare deflate stream (PS3.5 A.5, RFC 1951)."""
    compressor = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
    length = 0
    for piece in pieces:
        some = compressor.compress(piece)
        length += len(some)
        yield some
    rest = compressor.flush()
    yield rest + bytes((length + len(rest)) % 2)  # a null byte makes the length even
