"""Reads YAML and JSON documents, and keeps the line of each value."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ruamel.yaml import YAML
from ruamel.yaml.comments import (
    CommentedKeyMap,
    CommentedKeySeq,
    CommentedMap,
    CommentedSeq,
    TaggedScalar,
)
from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean

from deploy.validate.file_fault import FileFault, Place

# YAML ends a line at each of these characters, and an editor does not.
_NO_LINE_ENDS = str.maketrans(dict.fromkeys("\r\x85\u2028\u2029", " "))


@dataclass(frozen=True)
class LocatedText:
    """A text and the line in which it is written."""

    value: str
    place: Place

    def __bool__(self) -> bool:
        """Returns whether there is more than white space."""
        return bool(self.value.strip())


@dataclass(frozen=True)
class LocatedValue:
    """A value of a document and the line in which it is written.

    Attributes:
        place: The line of the value; of a mapping or a sequence that a key leads to, the line of
            the key; of a missing value, the line of the mapping that lacks it.
        data: A mapping, a sequence, a text, a number, a truth value, or None for null and for a
            missing value.
    """

    place: Place
    data: Any = None

    def __bool__(self) -> bool:
        """Returns whether there is a value; an empty mapping or sequence is one."""
        return self.data is not None

    @property
    def text(self) -> str:
        """The scalar as text; empty for null, a mapping and a sequence."""
        return "" if isinstance(self.data, dict | list) else _text(self.data)

    @property
    def items(self) -> tuple["LocatedValue", ...]:
        """The items of a sequence."""
        if not isinstance(self.data, CommentedSeq):
            return ()
        return tuple(self._item(position, item) for position, item in enumerate(self.data))

    @property
    def entries(self) -> tuple["LocatedEntry", ...]:
        """The keys of a mapping with their values."""
        if not isinstance(self.data, CommentedMap):
            return ()
        return tuple(self._entry(key, value) for key, value in self.data.items())

    def get(self, *path: str | int, any_case: bool = False) -> "LocatedValue":
        """Returns the value at the end of a path of keys and positions; data is None if missing."""
        value: LocatedValue = self
        for step in path:
            value = value._get(step, any_case)
        return value

    def as_text(self) -> LocatedText:
        """Returns the scalar as text; empty if there is none."""
        return LocatedText(self.text, self.place)

    def as_texts(self) -> tuple[LocatedText, ...]:
        """Returns the scalars of a sequence."""
        return tuple(item.as_text() for item in self.items)

    def _get(self, step: str | int, any_case: bool) -> "LocatedValue":
        if isinstance(step, int):
            return self.items[step] if step < len(self.items) else LocatedValue(self.place)
        for entry in reversed(self.entries):
            if entry.key == step or (any_case and entry.key.lower() == step.lower()):
                return entry.value
        return LocatedValue(self.place)

    def _item(self, position: int, item: Any) -> "LocatedValue":
        line, _ = self.data.lc.data.get(position, (None, None))
        return LocatedValue(self._line(line), item)

    def _entry(self, key: Any, value: Any) -> "LocatedEntry":
        # Keys that a merge (<<) brings along have no line of their own.
        key_line, _, value_line, _ = self.data.lc.data.get(key, (None,) * 4)
        place = self._line(key_line)
        has_own_line = not isinstance(value, dict | list)
        located = LocatedValue(self._line(value_line) if has_own_line else place, value)
        return LocatedEntry(_text(key), place, located)

    def _line(self, line: int | None) -> Place:
        """Returns the place of a line, counted from 0; without a line, the place of this value."""
        return self.place if line is None else Place(self.place.file, line + 1)


@dataclass(frozen=True)
class LocatedEntry:
    """A key of a mapping, its line, and its value."""

    key: str
    place: Place
    value: LocatedValue


@dataclass(frozen=True)
class Documents:
    """The documents of a file, and the faults of its syntax."""

    documents: tuple[LocatedValue, ...]
    faults: tuple[FileFault, ...]

    @classmethod
    def unreadable(cls, place: Place, problem: str, remedy: str) -> Self:
        """Returns the one fault of a file that can't be read."""
        return cls((), (FileFault(place, "syntax", problem, remedy),))


def read_documents(file: Path, text: str) -> Documents:
    """Reads the documents of a file; if its name ends in `.json`, it has to be JSON.

    Args:
        file: The name of the file, for the places.
        text: The content of the file.
    """
    if file.suffix.lower() == ".json":
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            place = Place(file, error.lineno)
            return Documents.unreadable(place, f"not JSON: {error.msg}", "correct this line")
        except RecursionError:
            return _endless(file)
        # YAML allows no tabs for indentation; inside its strings JSON allows none either.
        text = text.replace("\t", " ")
    text = text.replace("\r\n", "\n").translate(_NO_LINE_ENDS)
    yaml = YAML()
    yaml.Constructor = _Constructor
    try:
        composed = list(yaml.load_all(text))
        documents = tuple(_root(file, data) for data in composed if data is not None)
        for document in documents:
            plain(document.data)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, min(mark.line, text.count("\n")) + 1 if mark else 1)
        problem = f"not YAML: {error.problem or error.context}"
        return Documents.unreadable(place, problem, "correct the indentation or quotes here")
    except RecursionError:
        return _endless(file)
    except (YAMLError, ValueError, KeyError) as error:
        # A control character, a date such as 2001-99-99, a value such as `!!bool maybe`.
        problem = f"not YAML: {str(error).splitlines()[0]}"
        return Documents.unreadable(
            Place(file, 1), problem, "quote the value, or save the file as UTF-8"
        )
    return Documents(documents, tuple(_doubled_keys(file, yaml.constructor)))


def plain(data: Any) -> Any:
    """Returns data of ruamel.yaml as plain dicts with text as keys, lists, and scalars.

    Raises:
        RecursionError: An anchor holds itself.
    """
    if isinstance(data, dict):
        return {_text(key): plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [plain(item) for item in data]
    if isinstance(data, ScalarBoolean):
        return bool(data)
    return data if data is None or isinstance(data, bool | int | float | str) else _text(data)


def _text(data: Any) -> str:
    if data is None:
        return ""
    if isinstance(data, bool | ScalarBoolean):
        return "true" if data else "false"
    return str(data.value if isinstance(data, TaggedScalar) else data)


def _root(file: Path, data: Any) -> LocatedValue:
    line = data.lc.line if isinstance(data, CommentedMap | CommentedSeq) else 0
    return LocatedValue(Place(file, (line or 0) + 1), data)


def _endless(file: Path) -> Documents:
    return Documents.unreadable(
        Place(file, 1), "values are nested without end", "write the file without anchors"
    )


class _Constructor(RoundTripConstructor):
    """Uses the last of two equal keys, as Newtonsoft.Json does, and keeps the lines of both."""

    doubled: list[tuple[str, int, int]]

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.doubled = []

    def check_mapping_key(
        self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any
    ) -> bool:
        """Records a key that exists already, and replaces its value.

        Raises:
            ConstructorError: The key is a mapping or a sequence, which no program accepts.
        """
        del node, value
        if isinstance(key, CommentedKeyMap | CommentedKeySeq):
            problem = "a key is a mapping or a list"
            raise ConstructorError(None, None, problem, key_node.start_mark)
        if key in mapping and key in mapping.lc.data:
            self.doubled.append((_text(key), mapping.lc.data[key][0], key_node.start_mark.line))
        return True


def _doubled_keys(file: Path, constructor: _Constructor) -> Iterator[FileFault]:
    for key, first, second in constructor.doubled:
        yield FileFault(
            Place(file, second + 1),
            "doubled-key",
            f"key {key!r} is written here and in line {first + 1}; the last one counts",
            "remove one of the two",
        )
