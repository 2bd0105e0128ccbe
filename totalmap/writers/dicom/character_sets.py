"""Chooses the character set of a data set to which a text is added (PS3.3 C.12.1.1.2)."""

from collections.abc import Iterator

from pydicom.charset import python_encoding
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR, VR

from totalmap.errors import OutputError

UTF_8 = "ISO_IR 192"
# Decoders leave one of these for bytes outside the character set: a replacement, or the escape.
NOT_DECODED = ("\ufffd", "\x1b")
# Character sets that one codec of Python encodes, without escapes.
_OF_ONE_CODEC = frozenset(
    (
        *("ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 126", "ISO_IR 127"),
        *("ISO_IR 138", "ISO_IR 144", "ISO_IR 148", "ISO_IR 166"),
        *(UTF_8, "GB18030", "GBK"),
    )
)
# JIS X 0201 has other characters in the places of these.
_JIS_X_0201 = frozenset(("ISO_IR 13", "ISO 2022 IR 13"))
_NOT_IN_JIS_X_0201 = frozenset("\\~")


def use_utf8_if_needed(dataset: Dataset, *texts: str) -> None:
    """Changes the character set of a data set to UTF-8 if its own can't hold some texts.

    All texts in it are kept, also those of sequence items with a character set of their own.

    Args:
        dataset: The data set, which is changed.
        texts: The texts that are in it already, or will be added.

    Raises:
        OutputError: A text of the data set can't be decoded.
    """
    names = _names(dataset)
    if not all(_can_hold(names, text) for text in texts):
        _decode(dataset)
        dataset.SpecificCharacterSet = UTF_8


def _names(dataset: Dataset) -> tuple[str, ...]:
    names = dataset.get("SpecificCharacterSet")
    return tuple(map(str, names)) if isinstance(names, MultiValue) else (str(names or ""),)


def _can_hold(names: tuple[str, ...], text: str) -> bool:
    """Returns whether a text can be encoded in the first of the character sets."""
    if text.isascii():
        return _JIS_X_0201.isdisjoint(names) or _NOT_IN_JIS_X_0201.isdisjoint(text)
    if len(names) > 1 or names[0] not in _OF_ONE_CODEC:
        return False
    try:
        text.encode(python_encoding[names[0]])
    except UnicodeEncodeError:
        return False
    return True


def _decode(dataset: Dataset) -> None:
    """Decodes all texts, each in the character set that is in force where it stands."""
    is_decoded = python_encoding.keys() >= set(_names(dataset))
    for element in dataset:
        if element.VR == VR.SQ:
            for item in element.value:
                _decode(item)
                if "SpecificCharacterSet" in item:
                    del item.SpecificCharacterSet
        elif element.VR in CUSTOMIZABLE_CHARSET_VR:
            is_decoded &= not any(sign in text for text in _texts(element) for sign in NOT_DECODED)
    if not is_decoded:
        raise OutputError(
            "a text of the result can't be decoded, so that the result can't be written in UTF-8, "
            "which the name or the reason of the reviewer needs"
        )


def _texts(element: DataElement) -> Iterator[str]:
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    return (str(value) for value in values if value is not None)
