"""Reads the names of structures as people see them, in every result, message and page.

They stand in codes.csv, beside the codes of the structures (totalmap.writers.dicom.codes).
"""

import csv
import re
from functools import cache
from importlib.resources import files

TABLE = "codes.csv"

_LEFT = re.compile(r"\bleft ", re.IGNORECASE)


def display_name(name: str) -> str:
    """Returns a name for people, as `Left kidney`.

    Args:
        name: TotalSegmentator's name, or that of another tool, which is returned with spaces.
    """
    return _names().get(name) or name.replace("_", " ")


def in_sentence(name: str) -> str:
    """Returns a name for people within a sentence, as `left kidney`."""
    shown = display_name(name)
    return shown[:1].lower() + shown[1:]


def pair_in_sentence(left: str) -> str:
    """Returns what a pair is called within a sentence, as `kidney`, by the name of the left one."""
    return in_sentence(_LEFT.sub("", display_name(left)))


def table_text() -> str:
    """Returns codes.csv."""
    return (files("totalmap") / TABLE).read_text(encoding="utf-8")


@cache
def _names() -> dict[str, str]:
    rows = csv.DictReader(table_text().splitlines())
    return {row["structure"]: row["display_name"] for row in rows}
