"""Writes changed copies of our own DICOM results, in which all that is not changed stays as it is.

Elements that nobody has changed keep their bytes. The pixels and everything after them are streamed
from one file into the other.
"""

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from totalmap.dicom.bounded_reader import BoundedReader
from totalmap.dicom.file_reader import META_BYTES, read_file_meta
from totalmap.dicom.header import BROKEN_FILE, Header
from totalmap.errors import OutputError
from totalmap.writers.all_or_nothing import output_error
from totalmap.writers.atomic_file import write_atomically
from totalmap.writers.dicom.fast_dataset_encoding import encoded_as_read
from totalmap.writers.dicom.write_file_in_parts import write_encoded

_PIECE_BYTES = 1 << 20
_UIDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultFile:
    """A DICOM file that one of our writers wrote.

    Attributes:
        dataset: All attributes before the pixels.
        syntax: The transfer syntax.
        header_bytes: Length of the attributes before the pixels in the file, not deflated.
    """

    path: Path
    dataset: Dataset
    syntax: UID
    header_bytes: int


def read_results(paths: Sequence[Path]) -> Iterator[ResultFile]:
    """Yields DICOM results, without their pixels.

    Raises:
        OutputError: A file is damaged.
        ConfigError: A file can't be read.
    """
    for number, path in enumerate(paths, start=1):
        yield _read(path, f"DICOM result {number} of {len(paths)}")


def read_result(path: Path) -> ResultFile:
    """Returns a DICOM result, without its pixels.

    Raises:
        Exception: As `read_results`.
    """
    (result,) = read_results([path])
    return result


def write_changed(result: ResultFile, target: Path) -> None:
    """Writes the file of a result whose data set was changed, and reads it back.

    Args:
        result: The result, with the changed data set.
        target: The file to write; an earlier one is replaced.

    Raises:
        OutputError: The file differs from what should have been written.
        ConfigError: A file can't be read or written.
        ResourceError: The disk is full.
    """
    header = _encoded(result.dataset, result.syntax)

    def write(file: BinaryIO) -> None:
        write_encoded(file, result.dataset, chain([header], _rest(result)), result.syntax)

    def read_back(written: Path) -> None:
        copy = _read(written, "the copy of a DICOM result")
        is_equal = _encoded(copy.dataset, copy.syntax) == header
        if not is_equal or _sha256(_rest(copy)) != _sha256(_rest(result)):
            raise OutputError("the copy of a DICOM result differs from it after writing")

    write_atomically(target, write, read_back)


def _encoded(dataset: Dataset, syntax: UID) -> bytes:
    return encoded_as_read(dataset, implicit=syntax.is_implicit_VR)


def _read(path: Path, name: str) -> ResultFile:
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        syntax = UID(dataset.file_meta.TransferSyntaxUID)
        header = _encoded(dataset, syntax)
        # Only then it is certain that nothing was left out or understood in another way.
        is_understood = _begin_with(_content(path, syntax), header)
        is_known = all(map(Header(dataset).uid, _UIDS))
    except (*BROKEN_FILE, InvalidDicomError) as error:
        raise OutputError(
            f"{name} is damaged ({type(error).__name__}): restore it, or segment the study again"
        ) from error
    except OSError as error:
        raise output_error(f"{name} can't be read", error) from error
    if not (is_understood and is_known):
        raise OutputError(f"{name} is not one of TotalMAP, or was changed by another program")
    return ResultFile(path=path, dataset=dataset, syntax=syntax, header_bytes=len(header))


def _begin_with(pieces: Iterable[bytes], expected: bytes) -> bool:
    left = memoryview(expected)
    for piece in pieces:
        if left[: len(piece)] != piece[: len(left)]:
            return False
        left = left[len(piece) :]
        if not left:
            return True
    return False


def _rest(result: ResultFile) -> Iterator[bytes]:
    """Yields the pixels of a result and all that follows, in pieces."""
    header_bytes = result.header_bytes
    for piece in _content(result.path, result.syntax):
        yield piece[header_bytes:]
        header_bytes = max(0, header_bytes - len(piece))


def _content(path: Path, syntax: UID) -> Iterator[bytes]:
    """Yields the data set of a file in pieces, decompressed if it is deflated.

    Raises:
        OutputError: It can't be decompressed.
        ConfigError: The file can't be read.
    """
    is_deflated = syntax == DeflatedExplicitVRLittleEndian
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            read_file_meta(BoundedReader(file, META_BYTES), size, needs_prefix=True)
            pieces = iter(lambda: file.read(_PIECE_BYTES), b"")
            yield from _inflated(pieces) if is_deflated else pieces
    except OSError as error:
        raise output_error("a DICOM result can't be read", error) from error
    except zlib.error as error:
        raise OutputError("a DICOM result is damaged and can't be decompressed") from error


def _inflated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Decompresses a data set (PS3.5 A.5)."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    for piece in pieces:
        packed = piece
        while packed:
            yield unpacker.decompress(packed, _PIECE_BYTES)
            packed = unpacker.unconsumed_tail
    yield unpacker.flush()


def _sha256(pieces: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()
