"""Tells whether a DICOM file is complete, although nothing says how long it has to be."""

import os
import zlib
from enum import Enum, auto
from typing import BinaryIO

from pydicom.uid import DeflatedExplicitVRLittleEndian

from totalmap.dicom.bounded_reader import MAX_HEADER_BYTES, BoundedReader, Budget, Walk
from totalmap.dicom.file_reader import read_file_meta

# PS3.10 7.1
PREAMBLE_BYTES = 128
PREFIX = b"DICM"
# Of a deflated data set. It is unpacked to find its end, and nothing of it is kept.
MAX_UNPACKED_BYTES = 1 << 30
CHUNK_BYTES = 1 << 16


class Wholeness(Enum):
    """Whether a file is complete."""

    WHOLE = auto()
    CUT_OFF = auto()
    NOT_DICOM = auto()
    TOO_LARGE = auto()


def wholeness(file: BinaryIO) -> Wholeness:
    """Returns whether a file is complete, by the lengths of its elements; no value is read.

    A file that is cut off exactly between two elements counts as complete.
    """
    size = os.fstat(file.fileno()).st_size
    if size < PREAMBLE_BYTES + len(PREFIX):
        return Wholeness.CUT_OFF
    file.seek(PREAMBLE_BYTES)
    if file.read(len(PREFIX)) != PREFIX:
        return Wholeness.NOT_DICOM
    file.seek(0)
    try:
        reader = BoundedReader(file, MAX_HEADER_BYTES)
        _, meta, encoding = read_file_meta(reader, size, needs_prefix=True)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            return _wholeness_of_deflated(file)
        end = Walk(reader, encoding, Budget(), is_parsed=False).to_end_of(size)
    except Exception:  # pydicom raises many kinds where a file breaks off
        return Wholeness.CUT_OFF
    file.seek(min(end, size))
    is_whole = end <= size and not file.read().strip(b"\0")
    return Wholeness.WHOLE if is_whole else Wholeness.CUT_OFF


def _wholeness_of_deflated(file: BinaryIO) -> Wholeness:
    """Unpacks a deflated data set (PS3.5 A.5), at whose beginning the file stands."""
    unpacker, n_bytes = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not unpacker.eof:
        packed = unpacker.unconsumed_tail or file.read(CHUNK_BYTES)
        if not packed:
            return Wholeness.CUT_OFF
        n_bytes += len(unpacker.decompress(packed, CHUNK_BYTES))
        if n_bytes > MAX_UNPACKED_BYTES:
            return Wholeness.TOO_LARGE
    rest = unpacker.unused_data + file.read(CHUNK_BYTES)
    return Wholeness.CUT_OFF if rest.strip(b"\0") else Wholeness.WHOLE
