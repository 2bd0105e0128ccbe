"""Reads DICOM files of any kind and condition, within the limits of `totalmap.dicom.bounded`."""

import io
import os
import struct
from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO, cast

from pydicom.charset import default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32
from pydicom.values import converters

from totalmap.dicom.bounded import (
    MAX_HEADER_BYTES,
    MAX_ITEMS,
    SPARE_BYTES,
    UNDEFINED_LENGTH,
    BoundedReader,
    BrokenFile,
    Budget,
    DiskError,
    Encoding,
    Inflated,
    Walk,
    is_sequence_tag,
)
from totalmap.dicom.header import BROKEN_FILE

PIXEL_DATA_TAG = Tag("PixelData")
FLOAT_PIXEL_DATA_TAGS = (Tag("FloatPixelData"), Tag("DoubleFloatPixelData"))
PIXEL_DATA_VRS = ("OB", "OW", "UN", None)

# A classic header has a few kB.
HEAD_BYTES = 65536
PREFIX = b"DICM"
PREFIX_AT = 128
META_BYTES = 65536  # of group 0002
# With these begin files whose preamble a planning system or an old scanner left out.
_FIRST_TAGS = {2: range(0x14), 8: range(0x19)}
_LONGEST_FIRST_VALUE = 1024
# pydicom needs ten times as long for an element as a walk over it takes.
_TOP_LEVEL_COST = 10

Stream = BinaryIO | BoundedReader | Inflated


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelElement:
    """The element of the pixels, at which a header ends.

    Attributes:
        offset: Where its value begins, in bytes of the file, or of the unpacked data set.
        length: In bytes; None where a delimiter ends it, as it does for encapsulated pixels.
        stored: How many bytes of it the file can hold; None where that is not known.
    """

    tag: BaseTag
    vr: str | None
    offset: int
    length: int | None
    stored: int | None

    @property
    def is_float(self) -> bool:
        """Whether it is Float or Double Float Pixel Data."""
        return self.tag in FLOAT_PIXEL_DATA_TAGS


@dataclass(frozen=True, slots=True, kw_only=True)
class NativePixels:
    """Where native pixels lie in a file, and how many bytes of them are there."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What is wanted of a file.

    Attributes:
        tags: The attributes; None for all.
        pixel_bytes: How many bytes of pixels are wanted at most; None for none.
        max_items: How many sequence items may be parsed.
        needs_prefix: Whether a file without the prefix DICM is no DICOM file.
    """

    tags: Sequence[BaseTag | int] | None = None
    pixel_bytes: int | None = None
    max_items: int = MAX_ITEMS
    needs_prefix: bool = False

    def wants(self, tag: int) -> bool:
        return self.tags is None or tag in self.tags


def read_header(
    file: BinaryIO, tags: Sequence[BaseTag | int], *, needs_prefix: bool = False
) -> FileDataset:
    """Returns some attributes of a file, which stand before its pixels.

    Args:
        file: At its beginning.
        tags: Which attributes; sequences among them count as parsed.
        needs_prefix: Whether a file without preamble and prefix (PS3.10 7.1) is refused.

    Raises:
        InvalidDicomError: It is no DICOM file.
        DiskError: It can't be read.
        Exception: One of BROKEN_FILE.
    """
    return read_header_and_pixels(file, tags, needs_prefix=needs_prefix)[0]


def read_header_and_pixels(
    file: BinaryIO, tags: Sequence[BaseTag | int], *, needs_prefix: bool = False
) -> tuple[FileDataset, PixelElement | None]:
    """Returns some attributes of a file, and where its pixels lie; None where it has none.

    Nearly every header lies in the first bytes of its file, which are read at once: pydicom asks
    a file where it stands at every element, and each time another thread takes over.

    Raises:
        Exception: As `read_header`.
    """
    request = _Request(tags=tags, needs_prefix=needs_prefix)
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
    """Returns all attributes of a file up to its pixels, and where these lie.

    Args:
        file: At its beginning.
        pixel_bytes: Where the pixels are wanted too, how many bytes they have when unpacked.
        max_items: How many sequence items may be parsed.

    Raises:
        DiskError: It can't be read.
        Exception: One of BROKEN_FILE.
    """
    # Noise gets longer when it is compressed, but not by half.
    spare = 0 if pixel_bytes is None else 2 * pixel_bytes + SPARE_BYTES
    reader = BoundedReader(file, MAX_HEADER_BYTES + spare)
    return _parse(reader, _size(file), _Request(pixel_bytes=pixel_bytes, max_items=max_items))


def syntax_of(dataset: Dataset, named: str, pixels: PixelElement | None) -> UID:
    """Returns the transfer syntax that a file has: it is not always what the file names.

    Encapsulated pixels have no length (PS3.5 A.4): pixels with one were decompressed by a tool that
    kept the name. pydicom sees whether elements have a VR; it must be asked before they are looked
    at.
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
    """Returns where native pixels lie, or None where a decoder has to tell (PS3.5 7.1)."""
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
    file: io.BytesIO | BoundedReader, size: int, request: _Request
) -> tuple[FileDataset, PixelElement | None]:
    """Reads a file as pydicom.dcmread does, but within limits.

    pydicom raises OSError for a sequence that breaks off. That is no fault of the disk, whose
    errors are DiskError here.
    """
    try:
        return _parse_parts(file, size, request)
    except DiskError:
        raise
    except OSError as error:
        fault = file.fault if isinstance(file, BoundedReader) else None
        raise fault or BrokenFile("it breaks off within a sequence") from error


def _parse_parts(
    file: io.BytesIO | BoundedReader, size: int, request: _Request
) -> tuple[FileDataset, PixelElement | None]:
    first = file.read(min(size, PREFIX_AT + 12))
    start = _start(first, needs_prefix=request.needs_prefix)
    file.seek(start)
    meta = FileMetaDataset(_read_group(file, size, 2, is_implicit_vr=False))
    if file.tell() < size:
        _read_group(file, size, 0, is_implicit_vr=True)  # a command set, which belongs to no file
    encoding = _encoding(file, meta)
    stream: Stream = file
    left: int | None = size
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        limit = MAX_HEADER_BYTES + (request.pixel_bytes or 0) + SPARE_BYTES
        stream, left = Inflated(cast(BinaryIO, file), limit), None
    stops = _Stops(stream, left, request, encoding)
    dataset = _read_elements(stream, encoding, stops, request)
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
    return whole, stops.pixels


def _start(first: bytes, *, needs_prefix: bool) -> int:
    """Returns where the first element stands: behind preamble and prefix, or where one looks so.

    Raises:
        InvalidDicomError: Nowhere.
    """
    if first[PREFIX_AT:].startswith(PREFIX):
        return PREFIX_AT + len(PREFIX)
    for start in () if needs_prefix else (0, len(PREFIX), PREFIX_AT):
        if _looks_like_element(first[start : start + 8]):
            return start
    raise InvalidDicomError


def _looks_like_element(head: bytes) -> bool:
    """Returns whether bytes can be the header of a file's first element, in any encoding."""
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
    """Returns the elements of a group that stands before the data set, in little endian."""

    def ends(tag: BaseTag, _: str | None, length: int) -> bool:
        if tag.group != group:
            return True
        if length > min(META_BYTES, size - file.tell()):
            raise BrokenFile("an element is longer than the rest of the file")
        return False

    return read_dataset(cast(BinaryIO, file), is_implicit_vr, True, stop_when=ends)


def _encoding(file: Stream, meta: FileMetaDataset) -> Encoding:
    """Returns how the data set is encoded that begins here, as PS3.5 10 and A.1 to A.5 have it."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Skipped:
    """A sequence that pydicom does not get to see."""

    header_bytes: int
    length: int
    walk: Walk

    def skip(self, stream: Stream) -> None:
        """Moves from its header to its end."""
        stream.seek(self.header_bytes, os.SEEK_CUR)
        if self.length == UNDEFINED_LENGTH:
            self.walk.over(UNDEFINED_LENGTH)
        else:
            stream.seek(self.length, os.SEEK_CUR)


@dataclass(slots=True)
class _Stops:
    """Tells pydicom at each element whether to stop, and looks at what it must not read at once.

    Attributes:
        size: Of the file, in bytes; None where it is not known.
        pixels: The element of the pixels, once it is reached.
        skipped: The sequence that is to be skipped now.
    """

    stream: Stream
    size: int | None
    request: _Request
    encoding: Encoding
    budget: Budget = field(init=False)
    pixels: PixelElement | None = None
    skipped: _Skipped | None = None

    def __post_init__(self) -> None:
        self.budget = Budget(items=self.request.max_items)

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        self.budget.spend(0, _TOP_LEVEL_COST)
        # pydicom may ask for the first element twice, the first time before it knows its length.
        if self.pixels is not None and self.stream.tell() > self.pixels.offset + 6:
            return True  # whatever lies behind the pixels is not needed
        left = None if self.size is None else self.size - self.stream.tell()
        if tag >= FLOAT_PIXEL_DATA_TAGS[0]:
            return self._stop_at_pixels(tag, vr, length, left)
        if length == UNDEFINED_LENGTH and not self.request.wants(tag):
            return self._skip(vr, length)
        if length == UNDEFINED_LENGTH:
            return self._skips(vr, length)
        if left is not None and length > left:
            raise BrokenFile("an element is longer than the rest of the file")
        if self.request.wants(tag) and (vr == "SQ" or (vr is None and is_sequence_tag(tag))):
            return self._skips(vr, length)
        return False

    def _stop_at_pixels(self, tag: BaseTag, vr: str | None, length: int, left: int | None) -> bool:
        has_length = length != UNDEFINED_LENGTH
        self.pixels = PixelElement(
            tag=tag,
            vr=vr,
            offset=self.stream.tell(),
            length=length if has_length else None,
            stored=left,
        )
        most = self.request.pixel_bytes
        if tag != PIXEL_DATA_TAG or most is None:
            return True
        if has_length and (length > most + SPARE_BYTES or (left is not None and length > left)):
            raise BrokenFile("its pixels have another length than its attributes declare")
        return False

    def _skips(self, vr: str | None, length: int) -> bool:
        """Returns whether to skip a sequence that is too large to be parsed.

        Raises:
            BrokenFile: It is, and was asked for by name.
        """
        at, before = self.stream.tell(), replace(self.budget)
        try:
            self._walker(vr, is_parsed=True).over(length)
        except BrokenFile:
            if self.request.tags is not None:
                raise
            self.budget = before
            self.stream.seek(at)
            return self._skip(vr, length)
        self.stream.seek(at)
        return False

    def _skip(self, vr: str | None, length: int) -> bool:
        self.skipped = _Skipped(
            header_bytes=12 if vr in EXPLICIT_VR_LENGTH_32 else 8,
            length=length,
            walk=self._walker(vr, is_parsed=False),
        )
        return True

    def _walker(self, vr: str | None, *, is_parsed: bool) -> Walk:
        encoding = Encoding(
            is_implicit_vr=vr is None, is_little_endian=self.encoding.is_little_endian
        )
        return Walk(self.stream, encoding, self.budget, is_parsed)


def _read_elements(stream: Stream, encoding: Encoding, stops: _Stops, request: _Request) -> Dataset:
    """Reads elements, and skips sequences of undefined length that nobody wants."""

    def read(character_set: str | MutableSequence[str]) -> Dataset:
        return read_dataset(
            cast(BinaryIO, stream),
            encoding.is_implicit_vr,
            encoding.is_little_endian,
            stop_when=stops,
            parent_encoding=character_set,
            specific_tags=None if request.tags is None else list(request.tags),
        )

    dataset = read(default_encoding)
    while stops.skipped is not None:
        skipped, stops.skipped = stops.skipped, None
        skipped.skip(stream)
        dataset.update(read(dataset._character_set))
    return dataset
