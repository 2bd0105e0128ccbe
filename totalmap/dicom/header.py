"""The attributes of a DICOM header as plain, checked values. Nothing here trusts a file."""

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import pydicom
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

# What pydicom and its decoders raise on files that begin like DICOM and then break off or make no
# sense. OSError is not among them: it is the disk's word, not the file's.
BROKEN_FILE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)

# We judge values ourselves. pydicom would warn and quote the value, which may be a patient's.
config.settings.reading_validation_mode = config.IGNORE


class Header:
    """Looks attributes up in one dataset, or in several, of which the first that has it counts.

    A value that is there and makes no sense is not replaced by a default: it reads as missing, and
    its keyword is put into `malformed`, so that what depends on it can be refused.
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

    def text(self, *keywords: str) -> str:
        """Returns the first of the attributes that is there, as text; empty without one."""
        value = self._value(keywords)
        if value is None:
            return ""
        parts = value if isinstance(value, MultiValue) else [value]
        return "\\".join(str(part).replace("\0", "").strip() for part in parts)

    def words(self, *keywords: str) -> tuple[str, ...]:
        """Returns the values of an attribute in capitals, empty ones left out."""
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
        """Returns so many finite numbers; None without them."""
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

    def _value(self, keywords: Sequence[str]) -> Any:
        for keyword in keywords:
            for dataset in self._datasets:
                try:
                    value = dataset.get(keyword)
                except BROKEN_FILE:
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
            except BROKEN_FILE:
                self.malformed.add(sequence)
                yield []
