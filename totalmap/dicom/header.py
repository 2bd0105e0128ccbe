"""Reads attributes of a DICOM header as validated values."""

import math
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

import pydicom
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

# Exceptions of pydicom and its decoders for truncated or damaged files. OSError is left out, since
# it is an error of the disk.
BROKEN_FILE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

# PS3.5 9.1 forbids leading zeros, too, but archives store old images with such UIDs.
_UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")
_MOMENT = re.compile(r"[0-9.:+-]{1,26}")
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")  # VR CS

# VRs whose values depend on their bytes only: on no character set (PS3.5 6.1.2.3) and on no other
# attribute. Short values of these are mostly equal in all slices of a series.
_INDEPENDENT_VRS = frozenset(
    ["AS", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "SL", "SS", "TM", "UI", "UL", "US"]
)
_SHORT_BYTES = 256

# Exceptions while a value is converted. All bytes are read by then, so OSError is no disk error.
BROKEN_VALUE = (*BROKEN_FILE, OSError)

# Values are validated here. Warnings of pydicom would quote the value, which may be a patient's.
config.settings.reading_validation_mode = config.IGNORE


_tag = cache(Tag)


class Header:
    """Looks up attributes in one or several datasets; the first dataset that has one counts.

    An invalid value is not replaced by a default. It reads as missing, and its keyword is added to
    `malformed`, so that the caller can refuse the file.
    """

    def __init__(self, *datasets: Dataset) -> None:
        self._datasets = datasets
        self.malformed: set[str] = set()

    def frames(self) -> "Iterator[Header]":
        """Yields the header of each frame: its own groups, the shared ones, the file's attributes.

        PS3.3 C.7.6.16. A classic file is its own only frame.
        """
        shared = [item for group in self._items("SharedFunctionalGroupsSequence") for item in group]
        own = list(self._items("PerFrameFunctionalGroupsSequence"))
        if not own:
            yield self
        for groups in own:
            frame = Header(*groups, *shared, *self._datasets)
            frame.malformed |= self.malformed
            yield frame

    def count_frames(self) -> int:
        """Returns the number of headers that `frames` yields."""
        own = self._value(["PerFrameFunctionalGroupsSequence"])
        return len(own) or 1 if isinstance(own, pydicom.Sequence) else 1

    def has(self, *keywords: str) -> bool:
        """Returns whether any of the attributes has a value."""
        return bool(self._value(keywords))

    def text(self, *keywords: str) -> str:
        """Returns the first attribute that has a value, as printable text; empty without one.

        Sequences and person names are not shown.
        """
        value = self._value(keywords)
        if value is None:
            return ""
        parts = value if isinstance(value, MultiValue) else [value]
        if not all(isinstance(part, str | int | float) for part in parts):
            self.malformed.update(keywords)
            return ""
        return "\\".join(printable(str(part).replace("\0", "")).strip() for part in parts)

    def uid(self, keyword: str) -> str:
        """Returns a UID; empty without one."""
        return self._matching(_UID, self.text(keyword), keyword)

    def code(self, keyword: str) -> str:
        """Returns a code string (VR CS) in capitals; empty without one."""
        return self._matching(_CODE, self.text(keyword).upper(), keyword)

    def moment(self, *keywords: str) -> str:
        """Returns the first date, time or date and time that has a value; empty without one."""
        return self._matching(_MOMENT, self.text(*keywords), *keywords)

    def words(self, *keywords: str) -> tuple[str, ...]:
        """Returns the values of an attribute in capitals, without empty ones."""
        return tuple(word for word in self.text(*keywords).upper().split("\\") if word)

    def number(self, *keywords: str) -> float | None:
        """Returns a finite number; None without one."""
        numbers = self.numbers(1, *keywords)
        return None if numbers is None else numbers[0]

    def integer(self, *keywords: str) -> int | None:
        """Returns a whole number; None without one."""
        number = self.number(*keywords)
        if number is None or number.is_integer():
            return None if number is None else int(number)
        self.malformed.update(keywords)
        return None

    def numbers(self, count: int, *keywords: str) -> tuple[float, ...] | None:
        """Returns `count` finite numbers; None without them."""
        value = self._value(keywords)
        if value is None or value == "":
            return None
        parts = value if isinstance(value, MultiValue) else [value]
        try:
            numbers = tuple(float(part) for part in parts)
        except (TypeError, ValueError, OverflowError):
            numbers = ()
        if len(numbers) == count and all(map(math.isfinite, numbers)):
            return numbers
        self.malformed.update(keywords)
        return None

    def _matching(self, pattern: re.Pattern[str], text: str, *keywords: str) -> str:
        if not text or pattern.fullmatch(text):
            return text
        self.malformed.update(keywords)
        return ""

    def _value(self, keywords: Sequence[str]) -> Any:
        for keyword in keywords:
            for dataset in self._datasets:
                try:
                    value = _element_value(dataset, _tag(keyword))
                except BROKEN_VALUE:
                    self.malformed.add(keyword)
                    continue
                if value is not None and value != "":
                    return value
        return None

    def _items(self, sequence: str) -> Iterator[list[Dataset]]:
        """Yields, for each item of a sequence of functional groups, the items inside it."""
        value = self._value([sequence])
        for groups in value if isinstance(value, pydicom.Sequence) else ():
            try:
                yield [group[0] for element in groups if (group := element.value)]
            except BROKEN_VALUE:
                self.malformed.add(sequence)
                yield []


def _element_value(dataset: Dataset, tag: BaseTag) -> Any:
    """Returns the converted value of an element; None without one."""
    element: object = dataset.get_item(tag)
    if element is None:
        return None
    if isinstance(element, RawDataElement) and element.value is not None:
        vr = element.VR or _vr(tag)
        if vr in _INDEPENDENT_VRS and len(element.value) <= _SHORT_BYTES:
            return _converted(tag, vr, element.value, element.is_little_endian)
    return dataset[tag].value


@cache
def _vr(tag: BaseTag) -> str:
    return dictionary_VR(tag)


@lru_cache(maxsize=4096)
def _converted(tag: BaseTag, vr: str, value: bytes, is_little_endian: bool) -> Any:
    """Converts a value once for all slices that have the same bytes, as pydicom does."""
    element = RawDataElement(
        tag=tag,
        VR=vr,
        length=len(value),
        value=value,
        value_tell=0,
        is_implicit_VR=False,
        is_little_endian=is_little_endian,
        is_raw=True,
        is_buffered=False,
    )
    return convert_raw_data_element(element).value


def printable(text: str) -> str:
    """Returns a text with `?` for line breaks, control characters and undecodable bytes."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "?" for character in text)
