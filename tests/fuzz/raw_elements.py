"""Reads and writes DICOM files as raw elements, so that a test can write invalid files.

It reads the phantom's files: Explicit VR Little Endian with defined lengths (PS3.5 7.1.2), pixel
data last. When it writes, values are bytes, and a length may be wrong.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

PREFIX = bytes(128) + b"DICM"
PIXEL_DATA = b"\xe0\x7f\x10\x00"
TRANSFER_SYNTAX = (0x0002, 0x0010)
GROUP_LENGTH = (0x0002, 0x0000)
ITEM = b"\xfe\xff\x00\xe0"
UNDEFINED = 0xFFFFFFFF

LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
# Bytes in a number of the VR; PS3.5 7.3 says which are swapped in big endian.
NUMBER_SIZES = {"US": 2, "SS": 2, "OW": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "AT": 2}

Elements: TypeAlias = "list[Element]"
Tag = tuple[int, int]


@dataclass
class Element:
    """One element: bytes, or the items of a sequence.

    Attributes:
        length: What the length field says where it lies.
    """

    tag: Tag
    vr: str
    value: bytes | list[Elements]
    length: int | None = None


@dataclass
class File:
    """A file: meta information, the dataset up to the pixels, and the pixel element as it is."""

    meta: Elements
    body: Elements
    tail: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Returns the file, its meta group length put right."""
        return self.head() + b"".join(map(_explicit, self.body)) + self.tail

    def head(self) -> bytes:
        """Returns preamble, prefix and meta information."""
        kept = [element for element in self.meta if element.tag != GROUP_LENGTH]
        meta = b"".join(map(_explicit, kept))
        return PREFIX + _explicit(number("FileMetaInformationGroupLength", len(meta))) + meta

    def as_syntax(self, syntax: UID) -> bytes:
        """Returns the file in another syntax of native pixels, whatever its elements are."""
        for element in self.meta:
            if element.tag == TRANSFER_SYNTAX:
                element.value = _padded(str(syntax).encode(), b"\0")
        head, pixels = self.head(), self.tail[12:]
        if syntax == ImplicitVRLittleEndian:
            return head + b"".join(map(_implicit, self.body)) + self.tail[:4] + self.tail[8:]
        if syntax == DeflatedExplicitVRLittleEndian:
            packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            body = b"".join(map(_explicit, self.body)) + self.tail
            return head + packer.compress(body) + packer.flush()
        if syntax == ExplicitVRBigEndian:
            header = struct.pack(">HH2s2xL", 0x7FE0, 0x0010, b"OW", len(pixels))
            return head + b"".join(map(_big_endian, self.body)) + header + _swapped(pixels, 2)
        return self.to_bytes()

    def places(self, tag: Tag) -> list[tuple[Elements, int]]:
        """Returns the places of a tag, also in sequences: lists and indices into them."""
        return list(_places(self.meta, tag)) + list(_places(self.body, tag))


def parse(content: bytes) -> File:
    """Returns the elements of a file that the phantom wrote.

    Raises:
        ValueError: The file is something else.
    """
    if content[:132] != PREFIX:
        raise ValueError("no preamble")
    end_of_meta = 144 + int.from_bytes(content[140:144], "little")
    start_of_pixels = content.rindex(PIXEL_DATA + b"O")
    try:
        return File(
            meta=list(_elements(content[132:end_of_meta])),
            body=list(_elements(content[end_of_meta:start_of_pixels])),
            tail=content[start_of_pixels:],
        )
    except (struct.error, RecursionError) as error:
        raise ValueError("elements that are truncated or nested too deeply") from error


def tag_of(keyword: str) -> Tag:
    """Returns the tag of an attribute."""
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag >> 16, tag & 0xFFFF


def number(keyword: str, *values: int) -> Element:
    """Returns a binary number of two or four bytes; larger values are truncated."""
    vr = dictionary_VR(keyword)
    vr = vr if vr in {"US", "SS", "UL"} else "US"
    size = NUMBER_SIZES[vr]
    low = b"".join((value & ((1 << 8 * size) - 1)).to_bytes(size, "little") for value in values)
    return Element(tag_of(keyword), vr, low)


def text(keyword: str, value: str, vr: str | None = None) -> Element:
    """Returns an element of the attribute's own VR, or of another one, with a text as value."""
    vr = vr or dictionary_VR(keyword)
    pad = b"\0" if vr in {"UI", "OB"} else b" "
    return Element(tag_of(keyword), vr, _padded(value.encode("latin-1", "replace"), pad))


def sequence(keyword: str, *items: Elements) -> Element:
    """Returns a sequence under the tag of any attribute."""
    return Element(tag_of(keyword), "SQ", list(items))


def _elements(content: bytes) -> Iterator[Element]:
    at = 0
    while at < len(content):
        group, element, code = struct.unpack_from("<HH2s", content, at)
        vr = code.decode("ascii", "replace")
        if not vr.isalpha():
            raise ValueError("not Explicit VR Little Endian")
        if vr in LONG_VRS:
            (length,) = struct.unpack_from("<L", content, at + 8)
            at += 12
        else:
            (length,) = struct.unpack_from("<H", content, at + 6)
            at += 8
        if at + length > len(content):
            raise ValueError("a length beyond the end of the file")
        value = content[at : at + length]
        at += length
        yield Element((group, element), vr, _items(value) if vr == "SQ" else value)


def _items(content: bytes) -> list[Elements]:
    items: list[Elements] = []
    at = 0
    while at < len(content):
        mark, length = struct.unpack_from("<4sL", content, at)
        if mark != ITEM or length == UNDEFINED:
            raise ValueError("a sequence of undefined length")
        items.append(list(_elements(content[at + 8 : at + 8 + length])))
        at += 8 + length
    return items


def _places(elements: Elements, tag: Tag) -> Iterator[tuple[Elements, int]]:
    for index, element in enumerate(elements):
        if element.tag == tag:
            yield elements, index
        if isinstance(element.value, list):
            for item in element.value:
                yield from _places(item, tag)


def _explicit(element: Element) -> bytes:
    value = _value(element, _explicit)
    length = len(value) if element.length is None else element.length
    code = element.vr.encode("latin-1")
    if element.vr in LONG_VRS:
        return struct.pack("<HH2s2xL", *element.tag, code, length & UNDEFINED) + value
    return struct.pack("<HH2sH", *element.tag, code, length & 0xFFFF) + value


def _implicit(element: Element) -> bytes:
    value = _value(element, _implicit)
    length = len(value) if element.length is None else element.length
    return struct.pack("<HHL", *element.tag, length & UNDEFINED) + value


def _big_endian(element: Element) -> bytes:
    if isinstance(element.value, list):
        items = [b"".join(map(_big_endian, item)) for item in element.value]
        value = b"".join(struct.pack(">HHL", 0xFFFE, 0xE000, len(item)) + item for item in items)
    else:
        value = _swapped(element.value, NUMBER_SIZES.get(element.vr, 1))
    length = len(value) if element.length is None else element.length
    code = element.vr.encode("latin-1")
    if element.vr in LONG_VRS:
        return struct.pack(">HH2s2xL", *element.tag, code, length & UNDEFINED) + value
    return struct.pack(">HH2sH", *element.tag, code, length & 0xFFFF) + value


def _value(element: Element, encoded: Callable[[Element], bytes]) -> bytes:
    if isinstance(element.value, bytes):
        return element.value
    items = [b"".join(map(encoded, item)) for item in element.value]
    return b"".join(ITEM + struct.pack("<L", len(item)) + item for item in items)


def _swapped(value: bytes, size: int) -> bytes:
    if len(value) % size:
        return value
    return b"".join(value[at : at + size][::-1] for at in range(0, len(value), size))


def _padded(value: bytes, pad: bytes) -> bytes:
    return value + pad * (len(value) % 2)
