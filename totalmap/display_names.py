"""Reads the display names of structures, for every result, message and page that people read.

They are a column of codes.csv, beside the codes of the structures (totalmap.writers.dicom.codes).
Machines get TotalSegmentator's names.
"""

import csv
import re
from functools import cache
from importlib.resources import files

TABLE = "codes.csv"

_SIDES = ("left", "right")
_LEFT = re.compile(r"\bleft ", re.IGNORECASE)


def display_name(name: str) -> str:
    """Returns the display name of a structure, such as `Left kidney`.

    Args:
        name: TotalSegmentator's name. A name of another tool is returned with spaces for
            underscores.
    """
    return _names().get(name) or name.replace("_", " ")


def is_structure(name: str) -> bool:
    """Returns whether a name is TotalSegmentator's name of a structure that we offer."""
    return name in _names()


def known_names() -> tuple[str, ...]:
    """Returns TotalSegmentator's names of all structures that we offer."""
    return tuple(_names())


def known_name(text: str) -> str | None:
    """Returns TotalSegmentator's name of the structure that a text names; None if there is none.

    `Left kidney`, `kidney left` and `kidney_left` name the same structure.
    """
    return _names_by_words().get(_words(text))


def in_sentence(name: str) -> str:
    """Returns a display name for use within a sentence, such as `left kidney`."""
    shown = display_name(name)
    return shown[:1].lower() + shown[1:]


def pair_in_sentence(left: str) -> str:
    """Returns the name of a pair within a sentence, such as `kidney`, from its left structure."""
    return in_sentence(_LEFT.sub("", display_name(left)))


def table_text() -> str:
    """Returns the text of codes.csv."""
    return (files("totalmap") / TABLE).read_text(encoding="utf-8")


@cache
def _names() -> dict[str, str]:
    rows = csv.DictReader(table_text().splitlines())
    return {row["structure"]: row["display_name"] for row in rows}


def _words(name: str) -> tuple[str, ...]:
    """Returns the words of a name, its side last."""
    words = name.lower().replace("_", " ").split()
    sides = [word for word in words if word in _SIDES]
    return (*(word for word in words if word not in _SIDES), *sides)


@cache
def _names_by_words() -> dict[tuple[str, ...], str]:
    return {_words(name): name for name in reversed(known_names())}
