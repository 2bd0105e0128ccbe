"""DICOM files written part by part, so that what is large never becomes a pydicom object."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

_PREAMBLE = bytes(128) + b"DICM"  # PS3.10 7.1
# PS3.5 7.1.1: a length is even, and the largest number means "undefined".
LONGEST_VALUE = 2**32 - 2
_ITEM = struct.Struct("<HHL")
_LONG_HEADER = struct.Struct("<HH2sHL")  # PS3.5 7.1.2: tag, VR, reserved, length


def encoded(dataset: Dataset) -> bytes:
    """Returns the elements of a dataset in Explicit VR Little Endian."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def element_header(tag: BaseTag, vr: str, length: int) -> bytes:
    """Returns what stands before the value of an element with a VR of long length."""
    return _LONG_HEADER.pack(tag.group, tag.element, vr.encode("ascii"), 0, length)


def item(value: bytes) -> bytes:
    """Returns an item of a sequence, of explicit length (PS3.5 7.5)."""
    return _ITEM.pack(0xFFFE, 0xE000, len(value)) + value


def write_parts(
    file: BinaryIO, dataset: Dataset, parts: Iterable[bytes | memoryview], syntax: UID
) -> None:
    """Writes a file that begins with a dataset and goes on with elements that are encoded already.

    Args:
        file: Open for writing.
        dataset: In Explicit VR Little Endian, all its tags below those of `parts`.
        parts: The rest of the file, in pieces.
        syntax: Explicit VR Little Endian, the same deflated, or one of encapsulated pixel data.
    """
    _write_meta(file, dataset, syntax)
    pieces: Iterator[bytes | memoryview] = _joined(encoded(dataset), parts)
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


def _joined(first: bytes, parts: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    yield first
    yield from parts


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
