"""Codes, names and colours of structures, and codes of what limits their measurements.

They stand in codes.csv, one row a structure, for every structure of every task of TotalSegmentator
that we offer. A structure that several tasks know, CT or MR, has one row.

The codes are those of PS3.16, as pydicom knows them. Where PS3.16 has none, they are SNOMED CT
codes that a published table has with the same meaning: the body sites of the European eHDSI, HL7's
map of TG-263 (mCODE) and approach sites (FHIR), the Philippine road safety guide, or the tables of
TotalSegmentator and 3D Slicer.

For some structures none of these has a code, only for something broader. No SNOMED code is
invented: the broader code is the type, and a code of our own tells the structure apart. PS3.3 8.2
leaves coding scheme designators that begin with 99 to private schemes. Our code is the anatomic
region (PS3.3 C.8.20.4, for anatomy that the type does not imply) and not the type, so that a
receiver who has never heard of our scheme still knows the type, and can show our meaning. A thing
that is no anatomy needs the region to say where it is: there, our code is the type.
"""

import csv
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from totalmap.display_names import TABLE, table_text
from totalmap.errors import OutputError
from totalmap.structures import Face, Flag, MeasuredStructure

# What Coding Scheme Identification Sequence (0008,0110) says of a private scheme (PS3.3 C.12.1). It
# has no UID and isn't registered.
PRIVATE_SCHEME_DESIGNATOR = "99TOTALMAP"
PRIVATE_SCHEME_NAME = "TotalMAP codes for structures of TotalSegmentator and their measurements"
PRIVATE_SCHEME_ORGANIZATION = "TotalMAP"

# What limits a measurement: the question, and the answers to it. No standard has codes for these.
LIMITATION = Code("limitation", PRIVATE_SCHEME_DESIGNATOR, "Limitation of measurement")
_INCOMPLETE = {
    face: Code(
        f"edge_{face}",
        PRIVATE_SCHEME_DESIGNATOR,
        f"Incomplete: touches {face} edge of field of view",
    )
    for face in Face
}
_LIMITATIONS = {
    Flag.FEW_VOXELS: Code("few_voxels", PRIVATE_SCHEME_DESIGNATOR, "Very small: few voxels"),
    Flag.SEVERAL_COMPONENTS: Code(
        "several_pieces", PRIVATE_SCHEME_DESIGNATOR, "Several separate pieces"
    ),
}


class BodySystem(StrEnum):
    """What a structure belongs to, for SEGs of one system each.

    `nervous` has eyes and ears, `digestive` mouth and teeth, `other` regions, fat and implants.
    """

    SKELETAL = "skeletal"
    MUSCULAR = "muscular"
    CARDIOVASCULAR = "cardiovascular"
    RESPIRATORY = "respiratory"
    DIGESTIVE = "digestive"
    UROGENITAL = "urogenital"
    ENDOCRINE_LYMPHATIC = "endocrine_lymphatic"
    NERVOUS = "nervous"
    OTHER = "other"


# CID 7150 Segmentation Property Categories.
_CATEGORIES = {
    "anatomical structure": Code("91723000", "SCT", "Anatomical Structure"),
    "body substance": Code("91720002", "SCT", "Body Substance"),
    "morphologically abnormal structure": Code(
        "49755003", "SCT", "Morphologically Abnormal Structure"
    ),
    "physical object": Code("260787004", "SCT", "Physical object"),
    "tissue": Code("85756007", "SCT", "Tissue"),
}

# CID 244 Laterality.
_SIDES = {
    "": None,
    "left": Code("7771000", "SCT", "Left"),
    "right": Code("24028007", "SCT", "Right"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureCode:
    """How a segment is coded (PS3.3 C.8.20.4), named and coloured.

    Attributes:
        display_name: For people, in English, at most 64 characters; no two structures share it.
        modifier: Laterality of the type; None for structures that have none, and where the type
            itself says it.
        region: Where the type alone does not say it.
        region_modifier: Laterality of the region.
        rgb: Display colour, 0..255. No two structures of a task share it.
    """

    display_name: str
    system: BodySystem
    category: Code
    type: Code
    modifier: Code | None
    region: Code | None
    region_modifier: Code | None
    rgb: tuple[int, int, int]

    @property
    def is_private(self) -> bool:
        """Whether a code of our own scheme is used."""
        schemes = {one.scheme_designator for one in (self.type, self.region) if one is not None}
        return PRIVATE_SCHEME_DESIGNATOR in schemes


def structure_code(name: str) -> StructureCode:
    """Returns the codes of a structure by TotalSegmentator's name.

    Raises:
        OutputError: The table has no such structure.
    """
    code = _table().get(name)
    if code is None:
        raise OutputError(f"structure {name} has no codes in totalmap/{TABLE}")
    return code


def limitations(found: MeasuredStructure) -> tuple[Code, ...]:
    """Returns the flags of a structure as codes: one for each edge that it touches."""
    edges = tuple(_INCOMPLETE[face] for face in found.faces)
    return edges + tuple(_LIMITATIONS[flag] for flag in found.flags if flag in _LIMITATIONS)


def private_scheme() -> Dataset:
    """Returns what our own codes are (Coding Scheme Identification, PS3.3 C.12.1)."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator = PRIVATE_SCHEME_DESIGNATOR
    scheme.CodingSchemeName = PRIVATE_SCHEME_NAME
    scheme.CodingSchemeResponsibleOrganization = PRIVATE_SCHEME_ORGANIZATION
    return scheme


@cache
def _table() -> dict[str, StructureCode]:
    return {row["structure"]: _read(row) for row in csv.DictReader(table_text().splitlines())}


def _read(row: dict[str, str]) -> StructureCode:
    red, green, blue = (int(part) for part in row["rgb"].split())
    has_region = bool(row["region"])
    return StructureCode(
        display_name=row["display_name"],
        system=BodySystem(row["system"]),
        category=_CATEGORIES[row["category"]],
        type=_code(row["type"], row["type_meaning"]),
        modifier=_SIDES[row["side"]],
        region=_code(row["region"], row["region_meaning"]) if has_region else None,
        region_modifier=_SIDES[row["region_side"]],
        rgb=(red, green, blue),
    )


def _code(scheme_and_value: str, meaning: str) -> Code:
    scheme, value = scheme_and_value.split(":")
    return Code(value, scheme, meaning)
