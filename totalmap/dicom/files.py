"""Reads DICOM files of any kind and condition, and never more memory than they can fill."""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from totalmap.dicom.header import BROKEN_FILE

PIXEL_DATA = b"\xe0\x7f\x10\x00"
PIXEL_DATA_BIG_ENDIAN = b"\x7f\xe0\x00\x10"
PIXEL_DATA_TAG = Tag("PixelData")
PIXEL_DATA_VRS = (b"OB", b"OW", b"UN")
UNDEFINED_LENGTH = 0xFFFFFFFF

# Preamble, prefix, and the element that says how long the meta information is (PS3.10 7.1).
META_START = 144
META_BYTES = 2048  # it is shorter than this
# A classic header has a few kB.
HEAD_BYTES = 65536
ELEMENT_BYTES = 12  # tag, VR and length
# A deflated file may unpack to a thousand times its size.
MAX_INFLATED_BYTES = 1 << 30
INFLATED_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class NativePixels:
    """Where native pixels lie in a file, and how many bytes of them are there."""

    offset: int
    length: int


def read_header(file: BinaryIO, tags: list[BaseTag | int]) -> FileDataset:
    """Returns some attributes of a file, which then stands at the tag of the pixels.

    Nearly every header lies in the first bytes of its file, which are read at once: pydicom asks
    a file where it stands at every element, and each time another thread takes over.
    """
    size = _unpacked_size(file)
    head = io.BytesIO(file.read(HEAD_BYTES))
    is_whole = size <= HEAD_BYTES
    try:
        dataset = _parse(head, size, with_pixels=False, tags=tags)
    except BROKEN_FILE:
        if is_whole:
            raise
    else:
        if is_whole or head.tell() < HEAD_BYTES - ELEMENT_BYTES:
            file.seek(head.tell())
            return dataset
    file.seek(0)
    return _parse(file, size, with_pixels=False, tags=tags)


def read_all(file: BinaryIO, *, with_pixels: bool) -> FileDataset:
    """Returns all attributes of a file up to its pixels, and the pixels too if they are wanted.

    Raises:
        Exception: One of BROKEN_FILE.
    """
    return _parse(file, _unpacked_size(file), with_pixels=with_pixels)


def syntax_of(dataset: Dataset, named: str) -> UID:
    """Returns the transfer syntax that a file has: native ones are not always what they name.

    pydicom sees whether elements have a VR; it must be asked before they are looked at.
    """
    syntax = UID(named or ImplicitVRLittleEndian)
    if syntax.is_encapsulated or syntax == DeflatedExplicitVRLittleEndian:
        return syntax
    for tag in sorted(dataset.keys()):
        element: object = dataset.get_item(tag)
        if isinstance(element, RawDataElement):
            if not element.is_little_endian:
                return ExplicitVRBigEndian
            return ImplicitVRLittleEndian if element.is_implicit_VR else ExplicitVRLittleEndian
    return syntax


def find_native_pixels(file: BinaryIO, syntax: UID) -> NativePixels | None:
    """Returns where native pixels lie, or None where a decoder has to tell.

    The file stands where pydicom stopped: at the tag of the pixel data (PS3.5 7.1).
    """
    if syntax.is_encapsulated or syntax == DeflatedExplicitVRLittleEndian:
        return None
    tag = PIXEL_DATA if syntax.is_little_endian else PIXEL_DATA_BIG_ENDIAN
    head = file.read(8 if syntax.is_implicit_VR else 12)
    offset = file.tell()
    has_vr = syntax.is_implicit_VR or head[4:6] in PIXEL_DATA_VRS
    if len(head) < 8 or head[:4] != tag or not has_vr:
        return NativePixels(offset=offset, length=0)
    (length,) = struct.unpack("<L" if syntax.is_little_endian else ">L", head[-4:])
    rest = os.fstat(file.fileno()).st_size - offset
    return NativePixels(
        offset=offset, length=0 if length == UNDEFINED_LENGTH else min(length, rest)
    )


def _parse(
    file: BinaryIO, size: int, *, with_pixels: bool, tags: list[BaseTag | int] | None = None
) -> FileDataset:
    """Reads a file as pydicom.dcmread does, but never asks for more memory than the file can fill.

    Raises:
        ValueError: An element is longer than the rest of the file.
    """

    def ends(tag: BaseTag, _: str | None, length: int) -> bool:
        if tag > PIXEL_DATA_TAG or (tag == PIXEL_DATA_TAG and not with_pixels):
            return True  # whatever lies behind the pixels is not needed
        if length != UNDEFINED_LENGTH and length > size - file.tell():
            raise ValueError("an element is longer than the rest of the file")
        return False

    return read_partial(file, stop_when=ends, specific_tags=tags)


def _unpacked_size(file: BinaryIO) -> int:
    """Returns how many bytes a file has, more for a deflated one (PS3.5 A.5).

    Raises:
        ValueError: It unpacks to more than any image has.
    """
    size = os.fstat(file.fileno()).st_size
    meta = file.read(META_START + META_BYTES)
    start = META_START + int.from_bytes(meta[META_START - 4 : META_START], "little")
    if DeflatedExplicitVRLittleEndian.encode() in meta[:start]:
        file.seek(start)
        for piece in _inflated(file):
            size += len(piece)
            if size > MAX_INFLATED_BYTES:
                raise ValueError("a deflated file unpacks to more than any image has")
    file.seek(0)
    return size


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    """Yields the unpacked rest of a deflated file in pieces of at most INFLATED_AT_ONCE bytes."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    while not unpacker.eof:
        packed = unpacker.unconsumed_tail or file.read(INFLATED_AT_ONCE)
        if not packed:
            return
        yield unpacker.decompress(packed, INFLATED_AT_ONCE)
