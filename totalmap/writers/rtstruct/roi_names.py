"""Gives the ROI Names of structures: at most 16 characters tell all names of a structure set apart.

Some planning systems cut an ROI Name to 16 characters, so that two names with the same beginning,
mostly left and right, become one.

tg263.csv has the primary names of AAPM's Task Group 263 (Mayo et al., Int J Radiat Oncol Biol Phys
2018;100:1057-1066) as HL7's table of them repeats them (mCODE and CodeX Radiation Therapy, concept
map from TG-263 to SNOMED CT). It has only structures that are the same: a vertebra of
TotalSegmentator is the whole bone, and TG-263 names its body, so it has no row.
"""

import csv
from collections import Counter
from functools import cache
from importlib.resources import files

from totalmap.display_names import known_names
from totalmap.result_options import RoiNames

# What all planning systems keep of a name.
_LENGTH = 16
_TABLE = "tg263.csv"
_SIDES = {"left": "L", "right": "R"}


def roi_name(structure_name: str, naming: RoiNames) -> str:
    """Returns the ROI Name of a structure.

    A name of TotalSegmentator is kept, unless its first 16 characters are also those of another
    structure: then its words are shortened to 16 characters, `gluteu_maximus_L`.

    Args:
        structure_name: TotalSegmentator's name.
        naming: TotalSegmentator's names, or the primary names of TG-263; a structure without one
            has its shortened name.
    """
    if naming is RoiNames.TG263:
        return tg263_names().get(structure_name) or _shortened(structure_name)
    is_shared = _beginnings()[structure_name[:_LENGTH]] > 1
    return _shortened(structure_name) if is_shared else structure_name


@cache
def tg263_names() -> dict[str, str]:
    """Returns the primary name of TG-263 of each structure that has one."""
    text = (files("totalmap") / _TABLE).read_text(encoding="utf-8")
    return {row["structure"]: row["tg263_name"] for row in csv.DictReader(text.splitlines())}


def _shortened(name: str) -> str:
    """Returns a name of at most 16 characters; its last word stays whole, the side is a letter."""
    *words, last = name.split("_")
    last = _SIDES.get(last, last)
    while words and len("_".join([*words, last])) > _LENGTH:
        longest = max(range(len(words)), key=lambda number: len(words[number]))
        words[longest] = words[longest][:-1]
    return "_".join([*words, last])


@cache
def _beginnings() -> Counter[str]:
    return Counter(name[:_LENGTH] for name in known_names())
