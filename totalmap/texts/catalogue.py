"""Reads the catalogues of texts that people read: preview, report, PDF, and the gateway's pages.

A catalogue is some TOML files beside this module, the same for each language, with the same keys:
those of preview, report and PDF (en.toml) and those of the gateway's pages (dashboard.en.toml,
review.en.toml, studies.en.toml). A text may have values in braces, with a format as in Python:
`{volume:.0f} mL`. English is the language of the SR, the CSV, status.json, the log and the command
line, whatever the setting says.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Self

from totalmap.display_names import display_name, in_sentence, pair_in_sentence

_DIGITS = 3
_LONG_NUMBER = 10_000
_NAMES = "structures"
# The beginnings of the names of the files of a catalogue.
FILES = ("", "dashboard.", "studies.", "review.")


class Language(StrEnum):
    """A language of the texts for people, by its code in ISO 639-1."""

    ENGLISH = "en"
    GERMAN = "de"


@dataclass(frozen=True, slots=True)
class StructureName:
    """A value of a text: a structure, by TotalSegmentator's name."""

    name: str


@dataclass(frozen=True, slots=True)
class PairName:
    """A value of a text: a pair of structures, by TotalSegmentator's name of the left one."""

    left: str


@dataclass(frozen=True, slots=True)
class Joined:
    """A value of a text: several values, as "left, inferior and superior" or with commas only.

    Attributes:
        with_and: Whether the last value comes after an "and".
        with_or: Whether it comes after an "or".
    """

    values: tuple["Value", ...]
    with_and: bool = False
    with_or: bool = False


# A string is told as it is; a Message in it is told in the language of the text.
Value = str | int | float | StructureName | PairName | Joined


class Message(str):
    """An English sentence that can also be told in another language.

    Attributes:
        key: Its key in the catalogues.
        values: The values in it, by name.
    """

    key: str
    values: Mapping[str, Value]

    def __new__(cls, key: str, /, **values: Value) -> Self:
        """Returns the sentence of a key.

        Raises:
            KeyError: The catalogue has no such key.
        """
        message = super().__new__(cls, texts_in(Language.ENGLISH)(key, **values))
        message.key, message.values = key, values
        return message

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Value]]:
        return (self.key,), dict(self.values)


class TranslatedSentence(str):
    """An English sentence with its translations, which are in no catalogue.

    Attributes:
        translations: The sentence in other languages, by their codes in ISO 639-1.
    """

    translations: Mapping[str, str]

    def __new__(cls, sentence: str, translations: Mapping[str, str]) -> Self:
        """Returns the sentence."""
        translated = super().__new__(cls, sentence)
        translated.translations = translations
        return translated

    def __getnewargs_ex__(self) -> tuple[tuple[str, dict[str, str]], dict[str, str]]:
        return (str(self), dict(self.translations)), {}


class _Number(float):
    """A number that is written with the decimal mark of a language."""

    mark = "."

    def __format__(self, spec: str) -> str:
        return super().__format__(spec).replace(".", self.mark)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Texts:
    """The texts of one language.

    Attributes:
        language: Its code, for the reader's browser.
        entries: The texts by key.
        structures: Display names of structures by TotalSegmentator's names; a structure without
            one has its English name.
    """

    language: str
    entries: Mapping[str, str]
    structures: Mapping[str, str]

    def __call__(self, key: str, /, **values: Value) -> str:
        """Returns the text of a key with its values.

        Raises:
            KeyError: The catalogue has no such key, or the text has a value that is missing.
        """
        return self.entries[key].format(
            **{name: self._shown(value) for name, value in values.items()}
        )

    def counted(self, key: str, count: int, /, **values: Value) -> str:
        """Returns the text of a number of things: `key.one` or `key.many`, with `{count}`."""
        return self(counted_key(key, count), count=count, **values)

    def told(self, sentence: str) -> str:
        """Returns a sentence in this language; one without a translation stays as it is."""
        if isinstance(sentence, Message):
            return self(sentence.key, **sentence.values)
        if isinstance(sentence, TranslatedSentence):
            return sentence.translations.get(self.language, str(sentence))
        return sentence

    def language_of(self, sentence: str) -> str:
        """Returns the language in which a sentence is told: English if it has no translation."""
        if isinstance(sentence, TranslatedSentence):
            is_told = self.language in sentence.translations
        else:
            is_told = isinstance(sentence, Message)
        return self.language if is_told else str(Language.ENGLISH)

    def structure(self, name: str) -> str:
        """Returns the display name of a structure by TotalSegmentator's name."""
        return self.structures.get(name) or display_name(name)

    def number(self, value: float, digits: int = _DIGITS) -> str:
        """Returns a number with three significant digits, which is as exact as a volume is.

        Numbers from 10,000 on have separators between thousands.
        """
        if not value:
            return "0"
        exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
        decimals = digits - 1 - exponent
        rounded = round(value, decimals)
        separator = "," if abs(rounded) >= _LONG_NUMBER else ""
        text = f"{rounded:{separator}.{max(decimals, 0)}f}"
        marks = {",": self.entries["number.thousands"], ".": self.entries["number.decimal"]}
        return "".join(marks.get(character, character) for character in text)

    def date(self, text: str) -> str:
        """Returns a date of DICOM (VR DA) as people write it; any other text as it is."""
        if len(text) != len("YYYYMMDD") or not text.isdecimal():
            return text
        return self("date", year=text[:4], month=text[4:6], day=text[6:])

    def _shown(self, value: Value) -> Any:
        match value:
            case StructureName():
                return self.within_sentence(value.name)
            case PairName():
                return self._pair(value.left)
            case Message():
                return self.told(value)
            case Joined():
                return self._joined([str(self._shown(part)) for part in value.values], value)
            case float():
                number = _Number(value)
                number.mark = self.entries["number.decimal"]
                return number
            case _:
                return value

    def within_sentence(self, name: str) -> str:
        """Returns the display name of a structure for use within a sentence."""
        return self.structures.get(name) or in_sentence(name)

    def _pair(self, left: str) -> str:
        if left not in self.structures:
            return pair_in_sentence(left)
        return self.structures[left].replace(self.entries["side.left"], "")

    def _joined(self, parts: list[str], joined: Joined) -> str:
        if not (joined.with_and or joined.with_or) or len(parts) < 2:
            return ", ".join(parts)
        word = self.entries["list.and" if joined.with_and else "list.or"]
        return f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def counted_key(key: str, count: int) -> str:
    """Returns the key of the text of a number of things, which has one of two forms."""
    return f"{key}.{'one' if count == 1 else 'many'}"


@cache
def texts_in(language: Language) -> Texts:
    """Returns the texts of a language."""
    names = f"{_NAMES}.{language}.toml"
    return Texts(
        language=language,
        entries={key: text for name in FILES for key, text in entries_in(name, language).items()},
        structures={} if language == Language.ENGLISH else _read(names),
    )


def entries_in(name: str, language: Language) -> Mapping[str, str]:
    """Returns the texts in one file of a catalogue.

    Args:
        name: One of `FILES`.
        language: The language of the catalogue.
    """
    return _flat(_read(f"{name}{language}.toml"))


def _read(file_name: str) -> dict[str, Any]:
    return tomllib.loads((files("totalmap.texts") / file_name).read_text(encoding="utf-8"))


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Returns the texts of nested tables by keys with points."""
    entries: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            entries |= _flat(value, f"{prefix}{key}.")
        else:
            entries[prefix + key] = value
    return entries
