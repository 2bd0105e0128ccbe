"""Reads the codes, names and colours of structures, and gives the codes of their measurements.

codes.csv has one row for every structure of every task of TotalSegmentator that we offer. A
structure that several tasks know, CT or MR, has one row.

The codes are those of PS3.16, as pydicom knows them. If PS3.16 has none, they are SNOMED CT codes
with the same meaning from a published table: the body sites of the European eHDSI, HL7's map of
TG-263 (mCODE) and approach sites (FHIR), the Philippine road safety guide, or the tables of
TotalSegmentator and 3D Slicer.

For some structures these sources have only a broader code. We invent no SNOMED codes: the broader
code is the type, and a private code names the structure. PS3.3 8.2 reserves coding scheme
designators that begin with 99 for private schemes. The private code is the anatomic region (PS3.3
C.8.20.4, for anatomy that the type does not imply) and not the type, so that a receiver that does
not know our scheme still knows the type, and can show our meaning. A physical object needs its
region for its location, so its private code is the type.
"""

import csv
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.tag import Tag

from totalmap.dicom.volume import Volume
from totalmap.display_names import TABLE, table_text
from totalmap.errors import OutputError
from totalmap.limitation_words import LIMITATION_WORDS, edge_meaning
from totalmap.structures import Limitation, MeasuredStructure

# Our private scheme in Coding Scheme Identification Sequence (0008,0110; PS3.3 C.12.1). It has no
# UID and isn't registered.
PRIVATE_SCHEME_DESIGNATOR = "99TOTALMAP"
PRIVATE_SCHEME_NAME = "TotalMAP codes for structures of TotalSegmentator and their measurements"
PRIVATE_SCHEME_ORGANIZATION = "TotalMAP"

# The limitation of a measurement: the question, and the answers. No standard has codes for these.
LIMITATION = Code("limitation", PRIVATE_SCHEME_DESIGNATOR, "Limitation of measurement")
_CODE_VALUES = {
    Limitation.FEW_VOXELS: "few_voxels",
    Limitation.SEVERAL_COMPONENTS: "several_pieces",
}


class BodySystem(StrEnum):
    """The system that a structure belongs to, for SEGs of one system each.

    `nervous` includes eyes and ears, `digestive` mouth and teeth, `other` regions, fat and
    implants.
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

# Value, scheme and meaning of a code, with their VRs.
_CODE_ELEMENTS = (
    (Tag("CodeValue"), "SH"),
    (Tag("CodingSchemeDesignator"), "SH"),
    (Tag("CodeMeaning"), "LO"),
)

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
        modifier: Laterality of the type; None if the structure has none or the type includes it.
        region: Anatomic region; None if the type implies it.
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
        schemes = {code.scheme_designator for code in (self.type, self.region) if code is not None}
        return PRIVATE_SCHEME_DESIGNATOR in schemes


@dataclass(frozen=True, slots=True, kw_only=True)
class Intensity:
    """The quantity that voxels measure: attenuation in CT, signal intensity in MR.

    Attributes:
        name: Code of CID 7469 Generic Intensity and Size Measurements.
        unit: Code of the unit in UCUM.
        symbol: The unit for people; empty if there is none.
    """

    name: Code
    unit: Code
    symbol: str


_INTENSITIES = {
    "CT": Intensity(
        name=Code("112031", "DCM", "Attenuation Coefficient"),
        unit=Code("[hnsf'U]", "UCUM", "Hounsfield unit"),
        symbol="HU",
    ),
    "MR": Intensity(
        name=Code("110852", "DCM", "MR signal intensity"),
        unit=Code("1", "UCUM", "no units"),
        symbol="",
    ),
}


def structure_code(name: str) -> StructureCode:
    """Returns the codes of a structure by TotalSegmentator's name.

    Raises:
        OutputError: The table has no such structure.
    """
    code = _table().get(name)
    if code is None:
        raise OutputError(f"structure {name} has no codes in totalmap/{TABLE}")
    return code


def limitation_codes(found: MeasuredStructure) -> tuple[Code, ...]:
    """Returns the limitations of a measurement as codes; each edge that is touched has its own."""
    edges = tuple(_private(f"edge_{face}", edge_meaning(face)) for face in found.faces)
    return edges + tuple(
        _private(_CODE_VALUES[limitation], LIMITATION_WORDS[limitation].code_meaning)
        for limitation in found.limitations
        if limitation in _CODE_VALUES
    )


def intensity_of(volume: Volume) -> Intensity | None:
    """Returns the quantity that the voxels of a volume measure; None for neither CT nor MR."""
    return _INTENSITIES.get(volume.modality)


def code_item(code: Code) -> Dataset:
    """Returns the item of a code sequence (PS3.3 8.8).

    Results have thousands of codes, and setting attributes of a dataset takes twice as long.
    """
    texts = (code.value, code.scheme_designator, code.meaning)
    elements = (
        DataElement(tag, vr, text) for (tag, vr), text in zip(_CODE_ELEMENTS, texts, strict=True)
    )
    return Dataset({element.tag: element for element in elements})


def modified_code_item(code: Code, modifier: Code | None, keyword: str) -> Dataset:
    """Returns the item of a code with its modifier inside, where PS3.3 C.8.20.4 places it.

    Args:
        code: The code.
        modifier: Its modifier, if it has one.
        keyword: Keyword of the sequence of the modifier.
    """
    item = code_item(code)
    if modifier is not None:
        setattr(item, keyword, [code_item(modifier)])
    return item


def private_scheme() -> Dataset:
    """Returns the item of Coding Scheme Identification (PS3.3 C.12.1) of our own scheme."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator = PRIVATE_SCHEME_DESIGNATOR
    scheme.CodingSchemeName = PRIVATE_SCHEME_NAME
    scheme.CodingSchemeResponsibleOrganization = PRIVATE_SCHEME_ORGANIZATION
    return scheme


def _private(value: str, meaning: str) -> Code:
    return Code(value, PRIVATE_SCHEME_DESIGNATOR, meaning)


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
