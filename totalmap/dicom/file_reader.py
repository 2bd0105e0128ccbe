"""Reads DICOM files of any kind and condition, within the limits of bounded_reader.py."""

import io
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.values import converters

from totalmap.dicom.bounded_reader import (
    MAX_HEADER_BYTES,
    MAX_ITEMS,
    SPARE_BYTES,
    BoundedReader,
    BrokenFile,
    DiskError,
    Encoding,
    Inflated,
)
from totalmap.dicom.element_reader import (
    PIXEL_DATA_TAG,
    PixelElement,
    Request,
    StopCondition,
    Stream,
    read_elements,
)
from totalmap.dicom.header import BROKEN_FILE

PIXEL_DATA_VRS = ("OB", "OW", "UN", None)

# A classic header has a few kB.
HEAD_BYTES = 65536
PREFIX = b"DICM"
PREFIX_AT = 128
META_BYTES = 65536  # of group 0002
# First elements of files without preamble, from planning systems and old scanners.
_FIRST_TAGS = {2: range(0x14), 8: range(0x19)}
_LONGEST_FIRST_VALUE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class NativePixels:
    """Offset of native pixels in a file, and number of their bytes that are present."""

    offset: int
    length: int


def read_header(
    file: BinaryIO, tags: Sequence[BaseTag | int], *, needs_prefix: bool = False
) -> FileDataset:
    """Returns some attributes of a file from before its pixels.

    Args:
        file: The file, at its beginning.
        tags: The attributes; sequences among them count as parsed.
        needs_prefix: Whether a file without preamble and prefix (PS3.10 7.1) is refused.

    Raises:
        InvalidDicomError: The file is no DICOM file.
        DiskError: The file can't be read.
        Exception: One of BROKEN_FILE.
    """
    return read_header_and_pixels(file, tags, needs_prefix=needs_prefix)[0]


def read_header_and_pixels(
    file: BinaryIO, tags: Sequence[BaseTag | int], *, needs_prefix: bool = False
) -> tuple[FileDataset, PixelElement | None]:
    """Returns some attributes of a file, and the element of its pixels, if any.

    The first bytes of the file, which hold nearly every header, are read at once: pydicom asks the
    file for its position at every element, which releases the lock of the interpreter.

    Raises:
        Exception: As in `read_header`.
    """
    request = Request(tags=tags, needs_prefix=needs_prefix)
    size = _size(file)
    head = BoundedReader(file, HEAD_BYTES).read(HEAD_BYTES)
    try:
        found, pixels = _parse(io.BytesIO(head), size, request)
    except BROKEN_FILE:
        if size <= HEAD_BYTES:
            raise
    else:
        if size <= HEAD_BYTES or pixels is not None:
            return found, pixels
    file.seek(0)
    return _parse(BoundedReader(file, MAX_HEADER_BYTES), size, request)


def read_all(
    file: BinaryIO, *, pixel_bytes: int | None = None, max_items: int = MAX_ITEMS
) -> tuple[FileDataset, PixelElement | None]:
    """Returns all attributes of a file up to its pixels, and the element of its pixels, if any.

    Args:
        file: The file, at its beginning.
        pixel_bytes: Number of decompressed bytes of the pixels, to read them too.
        max_items: Largest number of sequence items that may be parsed.

    Raises:
        DiskError: The file can't be read.
        Exception: One of BROKEN_FILE.
    """
    # Compressed noise is longer than noise, but by less than a half.
    spare = 0 if pixel_bytes is None else 2 * pixel_bytes + SPARE_BYTES
    reader = BoundedReader(file, MAX_HEADER_BYTES + spare)
    return _parse(reader, _size(file), Request(pixel_bytes=pixel_bytes, max_items=max_items))


def syntax_of(dataset: Dataset, named: str, pixels: PixelElement | None) -> UID:
    """Returns the true transfer syntax of a file, which may differ from the one it names.

    Encapsulated pixels have no length (PS3.5 A.4). Pixels with a length were decompressed by a tool
    that kept the name. pydicom knows whether raw elements have a VR, so this function has to be
    called before elements are accessed.
    """
    syntax = UID(named or ImplicitVRLittleEndian)
    if not syntax.is_transfer_syntax or syntax == DeflatedExplicitVRLittleEndian:
        return syntax
    if syntax.is_encapsulated and (pixels is None or pixels.length is None):
        return syntax
    for tag in sorted(dataset.keys()):
        element: object = dataset.get_item(tag)
        if isinstance(element, RawDataElement):
            if not element.is_little_endian:
                return ExplicitVRBigEndian
            return ImplicitVRLittleEndian if element.is_implicit_VR else ExplicitVRLittleEndian
    return syntax


def native_pixels(pixels: PixelElement | None, syntax: UID) -> NativePixels | None:
    """Returns the place of native pixels; None for compressed pixels (PS3.5 7.1)."""
    if not syntax.is_transfer_syntax or syntax == DeflatedExplicitVRLittleEndian:
        return None
    if syntax.is_encapsulated:
        return None
    if pixels is None or pixels.tag != PIXEL_DATA_TAG or pixels.vr not in PIXEL_DATA_VRS:
        return NativePixels(offset=pixels.offset if pixels else 0, length=0)
    return NativePixels(offset=pixels.offset, length=min(pixels.length or 0, pixels.stored or 0))


def _size(file: BinaryIO) -> int:
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
    except OSError as error:
        raise DiskError(error.errno, error.strerror) from error
    return size


def _parse(
    file: io.BytesIO | BoundedReader, size: int, request: Request
) -> tuple[FileDataset, PixelElement | None]:
    """Reads a file as pydicom.dcmread does, but within limits.

    pydicom raises OSError for a truncated sequence. Errors of the disk are DiskErrors here.
    """
    try:
        return _parse_parts(file, size, request)
    except DiskError:
        raise
    except OSError as error:
        fault = file.fault if isinstance(file, BoundedReader) else None
        raise fault or BrokenFile("it breaks off within a sequence") from error


def _parse_parts(
    file: io.BytesIO | BoundedReader, size: int, request: Request
) -> tuple[FileDataset, PixelElement | None]:
    first, meta, encoding = read_file_meta(file, size, needs_prefix=request.needs_prefix)
    stream: Stream = file
    left: int | None = size
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        limit = MAX_HEADER_BYTES + (request.pixel_bytes or 0) + SPARE_BYTES
        stream, left = Inflated(cast(BinaryIO, file), limit), None
    stop_condition = StopCondition(stream, left, request, encoding)
    dataset = read_elements(stream, encoding, stop_condition, request)
    is_prefixed = first[PREFIX_AT:].startswith(PREFIX)
    whole = FileDataset(
        io.BytesIO(),
        dataset,
        first[:PREFIX_AT] if is_prefixed else None,
        meta,
        encoding.is_implicit_vr,
        encoding.is_little_endian,
    )
    whole.set_original_encoding(
        encoding.is_implicit_vr, encoding.is_little_endian, dataset._character_set
    )
    return whole, stop_condition.pixels


def read_file_meta(
    file: io.BytesIO | BoundedReader, size: int, *, needs_prefix: bool
) -> tuple[bytes, FileMetaDataset, Encoding]:
    """Reads the file up to the first element of the data set.

    Args:
        file: The file, at its beginning.
        size: Size of the file, in bytes.
        needs_prefix: As in `read_header`.

    Returns:
        The first bytes of the file, its group 0002, and the encoding of the data set.

    Raises:
        Exception: As in `read_header`.
    """
    first = file.read(min(size, PREFIX_AT + 12))
    file.seek(_start(first, needs_prefix=needs_prefix))
    meta = FileMetaDataset(_read_group(file, size, 2, is_implicit_vr=False))
    if _next_group(file) == 0:
        _read_group(file, size, 0, is_implicit_vr=True)  # a command set, which belongs to no file
    return first, meta, _encoding(file, meta)


def _start(first: bytes, *, needs_prefix: bool) -> int:
    """Returns the offset of the first element: after preamble and prefix, or where one is likely.

    Raises:
        InvalidDicomError: There is no element.
    """
    if first[PREFIX_AT:].startswith(PREFIX):
        return PREFIX_AT + len(PREFIX)
    for start in () if needs_prefix else (0, len(PREFIX), PREFIX_AT):
        if _looks_like_element(first[start : start + 8]):
            return start
    raise InvalidDicomError


def _looks_like_element(head: bytes) -> bool:
    """Returns whether bytes may be the header of the first element of a file, in any encoding."""
    if len(head) < 8:
        return False
    for order in "<>":
        group, number, length = struct.unpack(f"{order}HHL", head)
        if number not in _FIRST_TAGS.get(group, ()):
            continue
        try:
            vr = dictionary_VR(group << 16 | number).encode()
        except KeyError:
            continue
        is_implicit = order == "<" and length <= _LONGEST_FIRST_VALUE and length % 2 == 0
        if head[4:6] == vr or is_implicit:
            return True
    return False


def _read_group(file: Stream, size: int, group: int, *, is_implicit_vr: bool) -> Dataset:
    """Returns the elements of a group before the data set, in little endian."""

    def ends(tag: BaseTag, _: str | None, length: int) -> bool:
        if tag.group != group:
            return True
        if length > min(META_BYTES, size - file.tell()):
            raise BrokenFile("an element is longer than the rest of the file")
        return False

    return read_dataset(cast(BinaryIO, file), is_implicit_vr, True, stop_when=ends)


def _next_group(file: Stream) -> int | None:
    """Returns the group of the next element, in little endian; None at the end."""
    at = file.tell()
    head = file.read(2)
    file.seek(at)
    return int.from_bytes(head, "little") if head else None


def _encoding(file: Stream, meta: FileMetaDataset) -> Encoding:
    """Returns the encoding of the data set that begins here (PS3.5 10 and A.1 to A.5)."""
    syntax = meta.get("TransferSyntaxUID")
    if syntax is not None:
        return Encoding(
            is_implicit_vr=syntax == ImplicitVRLittleEndian,
            is_little_endian=syntax != ExplicitVRBigEndian,
        )
    at = file.tell()
    head = file.read(6)
    file.seek(at)
    if len(head) < 6 or head[4:6].decode("latin-1") not in converters:
        return Encoding(is_implicit_vr=True, is_little_endian=True)
    return Encoding(is_implicit_vr=False, is_little_endian=head[1] == 0)
