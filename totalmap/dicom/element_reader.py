"""Reads the elements of a data set up to its pixels, within limits."""

from __future__ import annotations

import os
from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO, cast

from pydicom.charset import default_encoding
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from totalmap.dicom.bounded_reader import (
    MAX_ITEMS,
    SPARE_BYTES,
    UNDEFINED_LENGTH,
    BoundedReader,
    BrokenFile,
    Budget,
    Encoding,
    Inflated,
    SequenceSkipper,
    is_sequence_tag,
)

PIXEL_DATA_TAG = Tag("PixelData")
FLOAT_PIXEL_DATA_TAGS = (Tag("FloatPixelData"), Tag("DoubleFloatPixelData"))
# An int, since comparing pydicom's tags takes several calls for each element.
_FIRST_PIXEL_TAG = int(FLOAT_PIXEL_DATA_TAGS[0])
# Elements outside sequences. A header has some hundreds.
MAX_TOP_LEVEL = 100_000

Stream = BinaryIO | BoundedReader | Inflated


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelElement:
    """The element of the pixels, which ends a header.

    Attributes:
        offset: Offset of its value in the file or in the decompressed data set, in bytes.
        length: Length in bytes; None for encapsulated pixels, which a delimiter ends.
        stored: Number of bytes after the offset; None if unknown.
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
class Request:
    """The parts of a file to be read.

    Attributes:
        tags: The attributes; None for all.
        pixel_bytes: Largest number of bytes of pixels to read; None to read none.
        max_items: Largest number of sequence items to parse.
        needs_prefix: Whether a file without the prefix DICM is refused.
    """

    tags: Sequence[BaseTag | int] | None = None
    pixel_bytes: int | None = None
    max_items: int = MAX_ITEMS
    needs_prefix: bool = False

    def wants(self, tag: int) -> bool:
        """Returns whether an attribute is wanted."""
        return self.tags is None or tag in self.tags


@dataclass(frozen=True, slots=True, kw_only=True)
class _Skipped:
    """A sequence that is skipped before pydicom parses it."""

    header_bytes: int
    length: int
    skipper: SequenceSkipper

    def skip(self, stream: Stream) -> None:
        """Moves from its header to its end."""
        stream.seek(self.header_bytes, os.SEEK_CUR)
        if self.length == UNDEFINED_LENGTH:
            self.skipper.skip(UNDEFINED_LENGTH)
        else:
            stream.seek(self.length, os.SEEK_CUR)


@dataclass(slots=True)
class StopCondition:
    """Tells pydicom at each element whether to stop, and skips sequences that are too large.

    Attributes:
        size: Size of the file, in bytes; None if unknown.
        pixels: The element of the pixels, once it is reached.
        skipped: The sequence to be skipped next.
    """

    stream: Stream
    size: int | None
    request: Request
    encoding: Encoding
    budget: Budget = field(init=False)
    pixels: PixelElement | None = None
    skipped: _Skipped | None = None
    _elements: int = 0

    def __post_init__(self) -> None:
        self.budget = Budget(items=self.request.max_items)

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        """Returns whether to stop at an element; the stream is at its value.

        Raises:
            BrokenFile: The element is longer than the file, or exceeds a limit.
        """
        self._elements += 1
        if self._elements > MAX_TOP_LEVEL:
            raise BrokenFile("it has more elements than any image")
        # pydicom may ask about the first element twice, first without its length.
        if self.pixels is not None and self.stream.tell() > self.pixels.offset + 6:
            return True  # elements after the pixels are not needed
        left = None if self.size is None else self.size - self.stream.tell()
        if int(tag) >= _FIRST_PIXEL_TAG:
            return self._stop_at_pixels(tag, vr, length, left)
        if length == UNDEFINED_LENGTH and not self.request.wants(tag):
            return self._skip(vr, length)
        if length == UNDEFINED_LENGTH:
            return self._skip_if_too_large(vr, length)
        if left is not None and length > left:
            raise BrokenFile("an element is longer than the rest of the file")
        is_candidate = vr == "SQ" or vr is None
        if is_candidate and self.request.wants(tag) and (vr or is_sequence_tag(tag)):
            return self._skip_if_too_large(vr, length)
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

    def _skip_if_too_large(self, vr: str | None, length: int) -> bool:
        """Returns whether to skip a sequence because it is too large to be parsed.

        Raises:
            BrokenFile: The sequence is too large and was requested.
        """
        at, before = self.stream.tell(), replace(self.budget)
        try:
            self._skipper(vr, is_parsed=True).skip(length)
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
            skipper=self._skipper(vr, is_parsed=False),
        )
        return True

    def _skipper(self, vr: str | None, *, is_parsed: bool) -> SequenceSkipper:
        encoding = Encoding(
            is_implicit_vr=vr is None, is_little_endian=self.encoding.is_little_endian
        )
        return SequenceSkipper(self.stream, encoding, self.budget, is_parsed)


def read_elements(
    stream: Stream, encoding: Encoding, stop_condition: StopCondition, request: Request
) -> Dataset:
    """Reads elements, and skips sequences of undefined length that were not requested."""

    def read(character_set: str | MutableSequence[str]) -> Dataset:
        return read_dataset(
            cast(BinaryIO, stream),
            encoding.is_implicit_vr,
            encoding.is_little_endian,
            stop_when=stop_condition,
            parent_encoding=character_set,
            specific_tags=None if request.tags is None else list(request.tags),
        )

    dataset = read(default_encoding)
    while stop_condition.skipped is not None:
        skipped, stop_condition.skipped = stop_condition.skipped, None
        skipped.skip(stream)
        dataset.update(read(dataset._character_set))
    return dataset
