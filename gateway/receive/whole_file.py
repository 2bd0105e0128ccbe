"""Whether a file is DICOM to its end, of which nobody says how long it has to be."""

import os
from enum import Enum, auto
from typing import BinaryIO

from pydicom.filereader import data_element_generator, read_partial

# PS3.10 7.1
PREAMBLE_BYTES = 128
PREFIX = b"DICM"


class Wholeness(Enum):
    """What a file is."""

    WHOLE = auto()
    CUT_OFF = auto()
    NOT_DICOM = auto()


def wholeness(file: BinaryIO) -> Wholeness:
    """Returns what a file is, by the lengths of its elements; their values are not read.

    A file that is cut off exactly between two elements is taken to be whole.
    """
    size = os.fstat(file.fileno()).st_size
    if size < PREAMBLE_BYTES + len(PREFIX):
        return Wholeness.CUT_OFF
    file.seek(PREAMBLE_BYTES)
    if file.read(len(PREFIX)) != PREFIX:
        return Wholeness.NOT_DICOM
    file.seek(0)
    try:
        file.seek(_end(file))
        rest = file.read()
    except Exception:  # pydicom raises many kinds where a file breaks off
        return Wholeness.CUT_OFF
    is_whole = file.tell() <= size and not rest.strip(b"\0")
    return Wholeness.WHOLE if is_whole else Wholeness.CUT_OFF


def _end(file: BinaryIO) -> int:
    """Returns where the last element ends, or would end; less than a header may follow.

    Of a deflated file, pydicom finds the end itself.

    Raises:
        EOFError: A value without a length has no end.
    """
    header = read_partial(file, stop_when=lambda *_: True)
    is_implicit, is_little_endian = header.original_encoding
    end = file.tell()
    for _ in data_element_generator(file, bool(is_implicit), bool(is_little_endian), defer_size=0):
        end = file.tell()
    return end
