"""Reads bytes of DICOM files within limits of bytes, elements, items and depth.

A few bytes may expand to gigabytes, in a deflated file or in a sequence of a million items. A file
that exceeds a limit is refused while it is read. All reading of headers uses these limits.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from pydicom.datadict import dictionary_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

UNDEFINED_LENGTH = 0xFFFFFFFF
# Size of the decompressed header before the pixels. The largest known headers, of multi-frame
# images, have some 20 MB.
MAX_HEADER_BYTES = 64 << 20
# Bytes that may be stored or decompressed beyond the size that the attributes declare.
SPARE_BYTES = 1 << 20
# pydicom needs 0.1 ms and 2 kB of memory for an item. Ten items describe a frame.
MAX_ITEMS = 200_000
# Elements and items that are only skipped, some 1 us each.
MAX_ELEMENTS = 1_000_000
MAX_DEPTH = 64

_INFLATED_AT_ONCE = 1 << 16
_HEADER_BYTES = 8  # of an element; some have two more bytes and a length of four bytes
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
_LONG_VRS = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_32)


class BrokenFile(ValueError):
    """A file is truncated, damaged, or exceeds a limit. The message quotes none of its values."""


class DiskError(OSError):
    """The disk or the network share failed during reading."""


class BoundedReader:
    """Reads a file, and refuses to read more than `max_bytes`.

    pydicom treats any exception during reading as the end of a sequence, so `fault` keeps it.

    Attributes:
        fault: The last exception that was raised; None if there was none.
    """

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._left = max_bytes
        self.fault: DiskError | BrokenFile | None = None

    def read(self, size: int = -1) -> bytes:
        """Returns up to `size` bytes.

        Raises:
            BrokenFile: The bytes exceed the limit.
            DiskError: The bytes can't be read.
        """
        if not 0 <= size <= self._left:
            self.fault = BrokenFile("it is larger than its attributes declare")
            raise self.fault
        try:
            content = self._file.read(size)
        except OSError as error:
            self.fault = DiskError(error.errno, error.strerror)
            raise self.fault from error
        self._left -= len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a position, in bytes, and returns it."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Returns the position, in bytes from the beginning."""
        return self._file.tell()


class Inflated(io.RawIOBase):
    """The content of a deflated data set (PS3.5 A.5), decompressed as far as it is read.

    Raises BrokenFile if more than `max_bytes` would be decompressed, and zlib.error if the content
    is damaged.
    """

    def __init__(self, packed: BinaryIO, max_bytes: int) -> None:
        super().__init__()
        self._packed = packed
        self._unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        self._content = bytearray()
        self._position = 0
        self._max_bytes = max_bytes

    def read(self, size: int = -1) -> bytes:
        """Returns up to `size` bytes."""
        self._fill(self._position + size)
        content = bytes(self._content[self._position : self._position + size])
        self._position += len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a position, from the beginning or from the current position."""
        self._position = offset + (self._position if whence == os.SEEK_CUR else 0)
        return self._position

    def tell(self) -> int:
        """Returns the position, in bytes from the beginning."""
        return self._position

    def _fill(self, end: int) -> None:
        if end > self._max_bytes:
            raise BrokenFile("it unpacks to more than its attributes declare")
        while len(self._content) < end and not self._unpacker.eof:
            packed = self._unpacker.unconsumed_tail or self._packed.read(_INFLATED_AT_ONCE)
            if not packed:
                return
            self._content += self._unpacker.decompress(packed, _INFLATED_AT_ONCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """Encoding of elements (PS3.5 7.1)."""

    is_implicit_vr: bool
    is_little_endian: bool


@dataclass(slots=True)
class Budget:
    """Number of items and elements that a header may still have.

    Attributes:
        items: Items that are parsed.
        elements: Elements and items, skipped or parsed.
    """

    items: int = MAX_ITEMS
    elements: int = MAX_ELEMENTS

    def spend(self, items: int, elements: int) -> None:
        """Subtracts items and elements.

        Raises:
            BrokenFile: The header has too many.
        """
        self.items -= items
        self.elements -= elements
        if self.items < 0 or self.elements < 0:
            raise BrokenFile("it has more sequence items and elements than any image")


@dataclass(slots=True)
class SequenceSkipper:
    """Skips sequences without storing them.

    Attributes:
        is_parsed: Whether the sequence will be parsed. Then its items count as parsed, and items of
            defined length are entered, too.
    """

    file: BinaryIO | BoundedReader | Inflated
    encoding: Encoding
    budget: Budget
    is_parsed: bool
    _unpack: Callable[[bytes], tuple[int, int, int]] = field(init=False)
    _order: str = field(init=False)

    def __post_init__(self) -> None:
        self._order = "<" if self.encoding.is_little_endian else ">"
        self._unpack = struct.Struct(f"{self._order}HHL").unpack

    def skip(self, length: int) -> None:
        """Moves from the beginning of the value of a sequence to its end.

        Args:
            length: Length in bytes; UNDEFINED_LENGTH if a delimiter ends it.

        Raises:
            BrokenFile: The sequence is truncated, too deep or too large.
        """
        # The end of each open sequence (even indices) and item (odd indices); None: a delimiter.
        ends = [self._end(length)]
        while ends:
            end = ends[-1]
            if end is not None and self.file.tell() >= end:
                ends.pop()
                continue
            inside = self._step(in_item=len(ends) % 2 == 0)
            if inside is None:
                ends.pop()
            elif inside >= 0:
                ends.append(self._end(inside))
                if len(ends) > 2 * MAX_DEPTH:
                    raise BrokenFile("its sequences lie too deep in each other")

    def skip_to_end(self, size: int) -> int:
        """Skips the elements of a data set, from the first one to the end of the file.

        Args:
            size: Size of the file, in bytes.

        Returns:
            Offset of the end of the last element, in bytes; more than `size` if it is truncated,
            less if the file ends in the header of the next element.

        Raises:
            BrokenFile: A sequence is truncated or too deep, or there are too many elements.
        """
        end = self.file.tell()
        while end + _HEADER_BYTES <= size:
            inside = self._step(in_item=True)
            if inside is None:
                raise BrokenFile("a delimiter stands outside of all sequences")
            if inside >= 0:
                self.skip(inside)
            end = self.file.tell()
        return end

    def _end(self, length: int) -> int | None:
        return None if length == UNDEFINED_LENGTH else self.file.tell() + length

    def _step(self, *, in_item: bool) -> int | None:
        """Skips a header, and the value if it contains no items to enter.

        Returns:
            The length of the item or sequence that begins here; -1 for none; None at a delimiter.
        """
        head = self.file.read(_HEADER_BYTES)
        if len(head) < _HEADER_BYTES:
            raise BrokenFile("it breaks off within a sequence")
        group, element, length = self._unpack(head)
        tag = group << 16 | element
        if tag == (_ITEM_END if in_item else _SEQUENCE_END):
            return None
        if in_item:
            self.budget.spend(0, 1)
            length, is_sequence = self._value(tag, head, length)
        elif tag == _ITEM:
            self.budget.spend(int(self.is_parsed), 1)
            is_sequence = True
        else:
            raise BrokenFile("a sequence holds something else than items")
        if length == UNDEFINED_LENGTH or (is_sequence and self.is_parsed):
            return length
        self.file.seek(length, os.SEEK_CUR)
        return -1

    def _value(self, tag: int, head: bytes, length: int) -> tuple[int, bool]:
        """Returns the length of an element's value, and whether it is a sequence."""
        vr = head[4:6]
        if self.encoding.is_implicit_vr or not (b"AA" <= vr <= b"ZZ"):
            return length, length == UNDEFINED_LENGTH or is_sequence_tag(tag)
        if vr not in _LONG_VRS:
            return struct.unpack(f"{self._order}H", head[6:8])[0], False
        extended = self.file.read(4)
        if len(extended) < 4:
            raise BrokenFile("it breaks off within a sequence")
        (length,) = struct.unpack(f"{self._order}L", extended)
        return length, vr == b"SQ" or (vr == b"UN" and is_sequence_tag(tag))


def is_sequence_tag(tag: int) -> bool:
    """Returns whether a tag is that of a sequence in PS3.6."""
    try:
        return dictionary_VR(tag) == VR.SQ
    except KeyError:
        return False
