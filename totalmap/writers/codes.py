"""Codes and colours of structures, from TotalSegmentator's SNOMED table."""

import csv
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pydicom.sr.coding import Code
from totalsegmentator.map_to_binary import class_map

from totalmap.errors import OutputError

_TABLE = "totalsegmentator_snomed_mapping.csv"

_CATEGORY = "SegmentedPropertyCategoryCodeSequence"
_TYPE = "SegmentedPropertyTypeCodeSequence"
_TYPE_MODIFIER = "SegmentedPropertyTypeModifierCodeSequence"
_REGION = "AnatomicRegionSequence"
_REGION_MODIFIER = "AnatomicRegionModifierSequence"

_ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical structure")

# Errors of the table of TotalSegmentator 2.18.
_SUBCLAVIAN_ARTERY = Code("36765005", "SCT", "Subclavian artery")  # the table has the right one's
_GLUTEUS_MAXIMUS = Code("206007", "SCT", "Gluteus maximus muscle")  # "Entire ..." is no structure
_GLUTEUS_MINIMUS = Code("75297007", "SCT", "Gluteus minimus muscle")  # misspelt
_CORRECTED_TYPES = {
    "subclavian_artery_left": _SUBCLAVIAN_ARTERY,
    "subclavian_artery_right": _SUBCLAVIAN_ARTERY,
    "gluteus_maximus_left": _GLUTEUS_MAXIMUS,
    "gluteus_maximus_right": _GLUTEUS_MAXIMUS,
    "gluteus_minimus_left": _GLUTEUS_MINIMUS,
    "gluteus_minimus_right": _GLUTEUS_MINIMUS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureCode:
    """How a segment is coded (PS3.3 C.8.20.4) and coloured.

    Attributes:
        modifier: Laterality of the type, None for structures that have none.
        rgb: Display colour, 0..255.
    """

    category: Code
    type: Code
    modifier: Code | None
    region: Code | None
    region_modifier: Code | None
    rgb: tuple[int, int, int]


def structure_code(name: str) -> StructureCode:
    """Returns the codes of a structure by TotalSegmentator's name.

    Its table has no codes for some hundred structures of smaller tasks. These are coded as what
    they all are, an anatomical structure; their segment label is what tells them apart.

    Raises:
        OutputError: TotalSegmentator has no such structure.
    """
    code = _table().get(name)
    if code is not None:
        return code
    if not any(name in names.values() for names in class_map.values()):
        raise OutputError(f"structure {name} has no SNOMED code")
    red, green, blue = hashlib.sha256(name.encode()).digest()[:3]
    return StructureCode(
        category=_ANATOMICAL_STRUCTURE,
        type=_ANATOMICAL_STRUCTURE,
        modifier=None,
        region=None,
        region_modifier=None,
        rgb=(red, green, blue),
    )


@cache
def _table() -> dict[str, StructureCode]:
    text = (files("totalsegmentator") / "resources" / _TABLE).read_text(encoding="utf-8")
    return {row["Structure"]: _read(row) for row in csv.DictReader(text.splitlines())}


def _read(row: dict[str, str]) -> StructureCode:
    category, type_ = _code(row, _CATEGORY), _code(row, _TYPE)
    if category is None or type_ is None:
        raise OutputError(f"{_TABLE}: {row['Structure']} has no category or type")
    red, green, blue = (int(part) for part in row["DicomRGBColor"].split(","))
    return StructureCode(
        category=category,
        type=_CORRECTED_TYPES.get(row["Structure"], type_),
        modifier=_code(row, _TYPE_MODIFIER),
        region=_code(row, _REGION),
        region_modifier=_code(row, _REGION_MODIFIER),
        rgb=(red, green, blue),
    )


def _code(row: dict[str, str], sequence: str) -> Code | None:
    value = row[f"{sequence}.CodeValue"]
    if not value:
        return None
    scheme = row[f"{sequence}.CodingSchemeDesignator"]
    return Code(value, scheme, row[f"{sequence}.CodeMeaning"])
