"""Encodes datasets with the bytes of pydicom, in a fraction of its time.

pydicom takes some 50 us for an element, and results have thousands of short ones: codes, UIDs and
names. These are encoded here. All other elements, and datasets with another character set, are left
to pydicom.
"""

import struct
from functools import cache

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import VR

ITEM = struct.Struct("<HHL")
SHORT_HEADER = struct.Struct("<4s2sH")
LONG_HEADER = struct.Struct("<4s2sHL")  # PS3.5 7.1.2: tag, VR, reserved, length
IMPLICIT_HEADER = struct.Struct("<4sL")  # PS3.5 7.1.3: tag, length

# Character sets in which ASCII is one byte a character, and no character set at all.
_ASCII_CHARACTER_SETS = frozenset((None, "", "ISO_IR 6", "ISO_IR 100", "ISO_IR 192"))
_CHARACTER_SET = 0x00080005
# VRs of one text in ASCII, with a short length; the null byte pads UIDs, a space the others.
_TEXTS = frozenset((VR.CS, VR.DS, VR.IS, VR.LO, VR.LT, VR.SH, VR.ST, VR.UI))
_UNSIGNED: dict[str, struct.Struct] = {VR.US: struct.Struct("<H"), VR.UL: struct.Struct("<L")}
_LONGEST_SHORT = 0xFFFF
_UNDEFINED_LENGTH = "is_undefined_length_sequence_item"


class _AmbiguousError(Exception):
    """The VR of an element depends on others."""


def encoded(dataset: Dataset, *, implicit: bool = False) -> bytes:
    """Returns the elements of a dataset in Explicit or Implicit VR Little Endian."""
    character_set = dataset.get("SpecificCharacterSet")
    if isinstance(character_set, str | None) and character_set in _ASCII_CHARACTER_SETS:
        try:
            return _Encoder(character_set, implicit=implicit).dataset(dataset)
        except _AmbiguousError:
            pass
    buffer = _buffer(implicit=implicit)
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def encoded_as_read(dataset: Dataset, *, implicit: bool) -> bytes:
    """Returns the elements of a data set of a file in the encoding of the file.

    Elements that nobody has accessed or changed keep their bytes, unless the character set of the
    data set was changed.

    Args:
        dataset: As `pydicom.dcmread` returned it, with changes.
        implicit: Whether the file is in Implicit VR Little Endian.
    """
    buffer = _buffer(implicit=implicit)
    write_dataset(buffer, dataset)
    return buffer.getvalue()


class _Encoder:
    """Encodes datasets with one character set, in one encoding."""

    def __init__(self, character_set: str | None, *, implicit: bool) -> None:
        self._character_set = character_set
        self._implicit = implicit

    def dataset(self, dataset: Dataset) -> bytes:
        """Returns the elements, in the order of their tags, without lengths of groups."""
        return b"".join(
            [
                self._element(dataset, tag)
                for tag in sorted(dataset.keys())
                if tag.element != 0 or tag.group <= 6
            ]
        )

    def _element(self, dataset: Dataset, tag: BaseTag) -> bytes:
        stored: object = dataset.get_item(tag)
        element = stored if isinstance(stored, DataElement) else dataset[tag]
        vr = element.VR
        if len(vr) != 2:
            raise _AmbiguousError
        value = self._sequence(element) if vr == VR.SQ else _short_value(element)
        if value is None or (vr != VR.SQ and len(value) > _LONGEST_SHORT):
            return self._by_pydicom(element)
        if self._implicit:
            return IMPLICIT_HEADER.pack(_tag_bytes(tag), len(value)) + value
        if vr == VR.SQ:
            return LONG_HEADER.pack(_tag_bytes(tag), b"SQ", 0, len(value)) + value
        return SHORT_HEADER.pack(_tag_bytes(tag), _vr_bytes(vr), len(value)) + value

    def _sequence(self, element: DataElement) -> bytes | None:
        """Returns the items of a sequence; None: they have lengths or texts of another kind."""
        parts: list[bytes] = []
        for item in element.value:
            if getattr(item, _UNDEFINED_LENGTH, False) or _CHARACTER_SET in item:
                return None
            content = self.dataset(item)
            parts += ITEM.pack(0xFFFE, 0xE000, len(content)), content
        return None if element.is_undefined_length else b"".join(parts)

    def _by_pydicom(self, element: DataElement) -> bytes:
        buffer = _buffer(implicit=self._implicit)
        write_data_element(buffer, element, self._character_set)
        return buffer.getvalue()


def _short_value(element: DataElement) -> bytes | None:
    """Returns the value of a short element, of even length; None: pydicom has to encode it."""
    value, vr = element.value, element.VR
    if isinstance(value, str) and vr in _TEXTS and value.isascii():
        padding = "\0" if vr == VR.UI else " "
        return (value + padding * (len(value) % 2)).encode("ascii")
    if type(value) is int and vr in _UNSIGNED:
        return _UNSIGNED[vr].pack(value)
    return None


def _buffer(*, implicit: bool) -> DicomBytesIO:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, implicit
    return buffer


@cache
def _tag_bytes(tag: BaseTag) -> bytes:
    return struct.pack("<HH", tag.group, tag.element)


@cache
def _vr_bytes(vr: str) -> bytes:
    return vr.encode("ascii")
