"""YAML and JSON files, read so that every value knows its line."""

import json
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import yaml

from deploy.validate.file_fault import Finding, Place

Kind = Literal["mapping", "sequence", "text", "number", "bool", "null", "missing"]

_KINDS: dict[str, Kind] = {
    "tag:yaml.org,2002:int": "number",
    "tag:yaml.org,2002:float": "number",
    "tag:yaml.org,2002:bool": "bool",
    "tag:yaml.org,2002:null": "null",
}


@dataclass(frozen=True)
class Node:
    """One value of a document.

    Attributes:
        text: A scalar as it is written, without quotes.
        missing: What a key leads to that is not there; its place is that of the mapping.
    """

    place: Place
    kind: Kind
    text: str = ""
    items: tuple["Node", ...] = ()
    entries: tuple["Entry", ...] = ()

    def __bool__(self) -> bool:
        """Says whether there is a value at all."""
        return self.kind not in ("missing", "null")

    def get(self, *keys: str, any_case: bool = False) -> "Node":
        """Returns what the keys lead to, one below the other."""
        node: Node = self
        for key in keys:
            node = node._get(key, any_case)
        return node

    def _get(self, key: str, any_case: bool) -> "Node":
        # The last one counts where a key is doubled.
        for entry in reversed(self.entries):
            if entry.key == key or (any_case and entry.key.lower() == key.lower()):
                return entry.value
        return Node(self.place, "missing")

    def as_text(self) -> "Text":
        """Returns the scalar; empty if there is none."""
        return Text(self.text if self else "", self.place)

    def as_texts(self) -> tuple["Text", ...]:
        """Returns the scalars of a sequence."""
        return tuple(item.as_text() for item in self.items)


@dataclass(frozen=True)
class Entry:
    """A key and its value."""

    key: str
    place: Place
    value: Node


@dataclass(frozen=True)
class Text:
    """A piece of text and where it stands."""

    value: str
    place: Place

    def __bool__(self) -> bool:
        """Says whether there is more than white space."""
        return bool(self.value.strip())


@dataclass(frozen=True)
class Parsed:
    """The documents of a file, and what is wrong with its syntax."""

    documents: tuple[Node, ...]
    findings: tuple[Finding, ...]

    @classmethod
    def broken(cls, place: Place, problem: str, remedy: str) -> Self:
        """Returns a file that can't be read."""
        return cls((), (Finding(place, "syntax", problem, remedy),))


def parse(file: Path, text: str) -> Parsed:
    """Reads a file; one whose name ends in `.json` has to be JSON to the letter."""
    try:
        return _parse(file, text)
    except RecursionError:  # an anchor that holds itself, or thousands of brackets
        return Parsed.broken(Place(file, 1), "nested without end", "write it without anchors")


def _parse(file: Path, text: str) -> Parsed:
    if file.suffix.lower() == ".json":
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            place = Place(file, error.lineno)
            return Parsed.broken(place, f"not JSON: {error.msg}", "correct what stands here")
        # YAML allows no tabs for indentation; inside its strings JSON allows none either.
        text = text.replace("\t", " ")
    source = _Source(file, text)
    try:
        composed = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        place = source.place(error.problem_mark) if error.problem_mark else Place(file, 1)
        problem = f"not YAML: {error.problem or error.context}"
        return Parsed.broken(place, problem, "correct the indentation or quotes here")
    except yaml.YAMLError as error:
        return Parsed.broken(Place(file, 1), f"not YAML: {error}", "write the file anew, as UTF-8")
    documents = tuple(_node(source, one) for one in composed if one is not None)
    doubled = tuple(finding for node in documents for finding in _doubled_keys(node))
    return Parsed(documents, doubled)


class _Source:
    """A file's text: finds lines as an editor counts them. YAML has other line ends besides."""

    def __init__(self, file: Path, text: str) -> None:
        self._file = file
        self._ends = [position for position, letter in enumerate(text) if letter == "\n"]

    def place(self, mark: yaml.Mark) -> Place:
        """Returns the line that a mark of the YAML reader is in."""
        return Place(self._file, bisect_left(self._ends, mark.index) + 1)


def _node(source: _Source, composed: yaml.Node, key: Place | None = None) -> Node:
    """Returns the value; a mapping or sequence stands where its key does."""
    place = source.place(composed.start_mark)
    if isinstance(composed, yaml.MappingNode):
        entries = tuple(_entry(source, key, value) for key, value in composed.value)
        return Node(key or place, "mapping", entries=entries)
    if isinstance(composed, yaml.SequenceNode):
        items = tuple(_node(source, one) for one in composed.value)
        return Node(key or place, "sequence", items=items)
    return Node(place, _KINDS.get(composed.tag, "text"), text=str(composed.value))


def _entry(source: _Source, key: yaml.Node, value: yaml.Node) -> Entry:
    place = source.place(key.start_mark)
    return Entry(str(key.value), place, _node(source, value, place))


def _doubled_keys(node: Node) -> Iterator[Finding]:
    seen: dict[str, Place] = {}
    for entry in node.entries:
        if entry.key in seen:
            yield Finding(
                entry.place,
                "doubled-key",
                f"{entry.key!r} stands here and in line {seen[entry.key].line}; the last counts",
                "remove one of the two",
            )
        seen[entry.key] = entry.place
        yield from _doubled_keys(entry.value)
    for item in node.items:
        yield from _doubled_keys(item)
