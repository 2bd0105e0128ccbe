"""Compares the patients of files without keeping or showing the patient's attributes.

Five attributes identify the patient. A value is decoded by Specific Character Set, trimmed and
case-folded, and only digests of it are kept. An empty value agrees with every value; so does a
missing group of a name (alphabetic, ideographic, phonetic).
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from unicodedata import normalize

from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import PersonName

from totalmap.dicom.header import BROKEN_VALUE

PATIENT_KEYWORDS = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
)
# Names in messages (PS3.6).
ATTRIBUTE_NAMES = (
    "Patient ID",
    "Issuer of Patient ID",
    "Patient's Name",
    "Patient's Birth Date",
    "Patient's Sex",
)
_TAGS: tuple[BaseTag, ...] = tuple(map(Tag, ("SpecificCharacterSet", *PATIENT_KEYWORDS)))
_NAME = PATIENT_KEYWORDS.index("PatientName")
_BIRTH_DATE = PATIENT_KEYWORDS.index("PatientBirthDate")
_NAME_GROUPS = 3  # PS3.5 6.2.1.1: alphabetic, ideographic, phonetic
# VRs allow 64 characters, for a name in each group. Longer values are damaged and slow to
# normalise.
_MOST_CHARACTERS = 4096
_NAME_DELIMITERS = {ord("^"), ord("=")}
_DIGEST_BYTES = 16

# These name ASCII. Some writers use them for any encoding.
_ASCII = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
# Possible encodings of text in an unknown character set: all encodings of DICOM.
_ENCODINGS = tuple(sorted({name.lower() for name in python_encoding.values()}))
# Decoders leave a replacement or the escape for bytes outside the character set.
_NOT_DECODED = ("\ufffd", "\x1b")

# Slices of a series nearly always have the same bytes here, so each is decoded once.
_MOST_KNOWN = 1024

Meanings = frozenset[bytes]
"""Digests of the possible texts of a value; several if its character set is unknown."""


@dataclass(frozen=True, slots=True, repr=False)
class Patient:
    """Digests of the patient's attributes; its repr shows none of them.

    Attributes:
        meanings: The parts of each of PATIENT_KEYWORDS: three groups of the name, else one part.
    """

    meanings: tuple[tuple[Meanings, ...], ...] = ()


UNKNOWN = Patient()
"""The patient of a file without patient attributes."""

_known: dict[bytes, Patient] = {}


def read_patient(dataset: Dataset) -> Patient:
    """Returns the patient of a dataset.

    Args:
        dataset: The attributes of PATIENT_KEYWORDS, decoded or not.
    """
    # Much faster than a lookup by pydicom, which converts each tag.
    elements = dict(dataset.items())
    contents = tuple([_content(elements.get(tag)) for tag in _TAGS])
    key = _digest(b"\0".join(map(_marked, contents)))
    patient = _known.get(key)
    if patient is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        patient = _known[key] = _understood(contents[0], contents[1:])
    return patient


def disagreements(patients: Iterable[Patient]) -> tuple[str, ...]:
    """Returns the names of the attributes whose values can't belong to one patient."""
    different = {patient for patient in patients if patient.meanings}
    if len(different) < 2:
        return ()
    by_attribute = zip(*(patient.meanings for patient in different), strict=True)
    return tuple(
        name
        for name, values in zip(ATTRIBUTE_NAMES, by_attribute, strict=True)
        if not all(map(_agree, zip(*values, strict=True)))
    )


def _agree(values: Iterable[Meanings]) -> bool:
    """Returns whether all values that are not empty have a meaning in common."""
    known = {meanings for meanings in values if meanings}
    return not known or bool(frozenset.intersection(*known))


def _content(element: RawDataElement | DataElement | None) -> bytes | str:
    """Returns the bytes of a value, or its text if it is decoded; empty for a sequence."""
    value: object = None if element is None else element.value
    if value is None or isinstance(value, bytes):
        return value or b""
    if isinstance(value, MultiValue):
        value = "\\".join(map(str, value))
    return str(value) if isinstance(value, str | PersonName) else b""


def _marked(content: bytes | str) -> bytes:
    """Returns a key of a value; bytes and text have different keys."""
    coded = (
        content
        if isinstance(content, bytes)
        else b"text:" + content.encode("utf-8", "surrogatepass")
    )
    return b"%d:%b" % (len(coded), coded)


def _understood(character_set: bytes | str, values: Sequence[bytes | str]) -> Patient:
    names = _character_sets(character_set)
    texts = [_texts(value, names) for value in values]
    meanings = [(_digests(map(_folded, possible)),) for possible in texts]
    groups = zip(*map(_name_groups, texts[_NAME]), strict=True)
    return Patient(
        (
            *meanings[:_NAME],
            tuple(map(_digests, groups)) or (frozenset(),) * _NAME_GROUPS,
            (_digests(map(_date, texts[_BIRTH_DATE])),),
            *meanings[_BIRTH_DATE + 1 :],
        )
    )


def _character_sets(value: bytes | str) -> list[str]:
    text = value if isinstance(value, str) else value.decode("latin-1")
    return [name.strip(" \0") for name in text.split("\\")]


def _texts(value: bytes | str, character_sets: list[str]) -> list[str]:
    """Returns the possible texts of a value; several if the character set is unknown."""
    if isinstance(value, str):
        return [value[:_MOST_CHARACTERS]]
    value = value.strip(b" \0")[:_MOST_CHARACTERS]
    if value.isascii() and b"\x1b" not in value:
        return [value.decode("ascii")]
    if not _ASCII.issuperset(character_sets):
        text = _decoded(value, character_sets)
        if text is not None:
            return [text]
    return [text for encoding in _ENCODINGS if (text := _attempted(value, encoding)) is not None]


def _decoded(value: bytes, character_sets: list[str]) -> str | None:
    """Returns a text decoded by its character sets; None if these are unknown or wrong."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            encodings = convert_encodings(list(character_sets))
            is_unknown = any("Unknown encoding" in str(warning.message) for warning in caught)
            text = decode_bytes(value, encodings, _NAME_DELIMITERS)
        except BROKEN_VALUE:
            return None
    return None if is_unknown or any(sign in text for sign in _NOT_DECODED) else text


def _attempted(value: bytes, encoding: str) -> str | None:
    try:
        return value.decode(encoding)
    except ValueError:
        return None


def _name_groups(text: str) -> tuple[str, ...]:
    groups = text.split("=")[:_NAME_GROUPS]
    folded = ["^".join(map(_folded, group.split("^"))).rstrip("^") for group in groups]
    return (*folded, *[""] * (_NAME_GROUPS - len(folded)))


def _folded(text: str) -> str:
    """Returns a text in a form that is the same for all writers of the value."""
    folded = normalize("NFKC", normalize("NFKC", text).casefold())
    return " ".join(folded.replace("\0", " ").split())


def _date(text: str) -> str:
    """Returns a date without separators (ACR-NEMA uses points); empty for a date of zeros."""
    digits = _folded(text).translate({ord(sign): None for sign in ".-/ "})
    return digits if digits.strip("0") else ""


def _digests(texts: Iterable[str]) -> Meanings:
    return frozenset(_digest(text.encode("utf-8", "surrogatepass")) for text in texts if text)


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()
