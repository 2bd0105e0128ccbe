import csv
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from highdicom.color import CIELabColor
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from totalsegmentator.map_to_binary import class_map

from totalmap.engine.tasks import SUPPORTED_TASKS
from totalmap.errors import OutputError
from totalmap.structures import FEW_VOXELS, Face, Limitation, MeasuredStructure, Structure
from totalmap.writers.dicom.codes import (
    LIMITATION,
    PRIVATE_SCHEME_DESIGNATOR,
    StructureCode,
    limitation_codes,
    private_scheme,
    structure_code,
)

ROOT = Path(__file__).parents[4]
TEXT = (files("totalmap") / "codes.csv").read_text(encoding="utf-8")
ROWS = list(csv.DictReader(TEXT.splitlines()))
NAMES = [row["structure"] for row in ROWS]
OFFERED = {name for task in SUPPORTED_TASKS for name in class_map[task].values()}

CODE_VALUE_LIMIT = 16  # PS3.5 6.2, SH: Code Value (0008,0100), Coding Scheme Designator
MEANING_LIMIT = 64  # PS3.5 6.2, LO: Code Meaning (0008,0104), Segment Label, Tracking ID

# Names whose side is part of what they are: their type says it, not a modifier.
SIDE_IN_TYPE = {
    "atrial_appendage_left",
    "heart_atrium_left",
    "heart_atrium_right",
    "heart_ventricle_left",
    "heart_ventricle_right",
    "left_coronary_cusp",
    "left_ventricular_outflow_tract",
    "lung_middle_lobe_right",
    "pul_left_start",
    "pul_right_start",
    "right_coronary_cusp",
}

# Verhoeff's check digit, the last one of every SNOMED CT identifier (SNOMED CT Release File
# Specification, "Check-digit"): multiplication in the dihedral group of ten elements, and powers
# of a permutation.
PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def dihedral(left: int, right: int) -> int:
    turn = (left + right if left < 5 else left - right) % 5
    return turn + 5 * ((left < 5) != (right < 5))


def has_check_digit(value: str) -> bool:
    check = 0
    for place, digit in enumerate(map(int, reversed(value))):
        for _ in range(place % 8):
            digit = PERMUTATION[digit]
        check = dihedral(check, digit)
    return check == 0


def codes_of(code: StructureCode) -> tuple[Code, ...]:
    every = (code.category, code.type, code.modifier, code.region, code.region_modifier)
    return tuple(part for part in every if part is not None)


def all_codes() -> set[Code]:
    return {code for name in NAMES for code in codes_of(structure_code(name))}


def bare(meaning: str) -> str:
    """Without SNOMED's "Bone structure of ..." and "(body structure)"."""
    kept = re.sub(r"\(.*\)|\b(bone )?structure( of)?\b", "", meaning.lower())
    return " ".join(kept.split())


# The table.


def test_the_table_of_dicom_codes_is_sorted_and_its_rows_are_complete() -> None:
    assert sorted(set(NAMES)) == NAMES
    columns = TEXT.splitlines()[0].split(",")
    for row in ROWS:
        assert list(row) == columns, row["structure"]
        assert all(value == value.strip() for value in row.values()), row["structure"]
        assert bool(row["region"]) == bool(row["region_meaning"]), row["structure"]
        assert row["region"] or not row["region_side"], row["structure"]


def test_the_table_of_dicom_codes_has_a_row_for_each_offered_structure_and_no_other() -> None:
    assert set(NAMES) == OFFERED


def test_a_structure_without_a_dicom_code_is_refused() -> None:
    with pytest.raises(OutputError, match="tail"):
        structure_code("tail")


# Within a task.


@pytest.mark.parametrize("task", SUPPORTED_TASKS)
def test_no_two_structures_of_a_task_share_their_dicom_codes(task: str) -> None:
    names = list(class_map[task].values())
    seen = {codes_of(structure_code(name))[1:] for name in names}
    assert len(seen) == len(names)


@pytest.mark.parametrize("task", SUPPORTED_TASKS)
def test_no_two_structures_of_a_task_share_their_colour(task: str) -> None:
    colours = [structure_code(name).rgb for name in class_map[task].values()]
    assert len(set(colours)) == len(colours)
    assert len({CIELabColor.from_rgb(*rgb).value for rgb in set(colours)}) == len(colours)


def test_every_structure_colour_is_visible_on_black() -> None:
    for name in NAMES:
        rgb = structure_code(name).rgb
        assert 60 <= max(rgb) <= 255, name
        assert min(rgb) >= 0, name


# Names and sides.


def test_display_names_of_structures_are_short_unique_and_say_the_side() -> None:
    shown = [structure_code(name).display_name for name in NAMES]
    assert len(set(shown)) == len(NAMES)
    for name, words in zip(NAMES, shown, strict=True):
        assert 0 < len(words) <= MEANING_LIMIT, name
        for side in {"left", "right"} & set(name.split("_")):
            assert side in words.lower().split(), name


def test_display_names_of_structures_read_like_english() -> None:
    assert structure_code("kidney_left").display_name == "Left kidney"
    assert structure_code("vertebrae_L1").display_name == "Vertebra L1"
    assert structure_code("rib_right_7").display_name == "Right rib 7"
    assert structure_code("lung_upper_lobe_right").display_name == "Right upper lobe of lung"
    assert (
        structure_code("upper_right_first_molar_pulp_fdi116").display_name
        == "Pulp of upper right first molar (FDI 16)"
    )


def test_the_laterality_code_of_a_structure_is_the_side_in_its_name() -> None:
    for name in NAMES:
        code = structure_code(name)
        coded = {part.meaning.lower() for part in (code.modifier, code.region_modifier) if part}
        expected = {"left", "right"} & set(name.split("_"))
        if not coded and (name in SIDE_IN_TYPE or "_fdi" in name):
            meanings = " ".join(part.meaning for part in (code.type, code.region) if part)
            coded = {"left", "right"} & set(meanings.lower().split())
        assert coded == expected, name


# Values and meanings.


def test_dicom_code_values_and_meanings_fit_their_vr() -> None:
    for code in all_codes():
        assert 0 < len(code.value) <= CODE_VALUE_LIMIT, code
        assert 0 < len(code.scheme_designator) <= CODE_VALUE_LIMIT, code
        assert 0 < len(code.meaning) <= MEANING_LIMIT, code


def test_each_dicom_code_value_has_one_meaning_and_each_meaning_one_value() -> None:
    every = all_codes()
    assert len({(code.scheme_designator, code.value) for code in every}) == len(every)
    assert len({code.meaning.lower() for code in every}) == len(every)


def test_snomed_codes_have_a_valid_check_digit() -> None:
    for code in all_codes():
        if code.scheme_designator == "SCT":
            assert has_check_digit(code.value), code


def test_dicom_code_meanings_are_those_of_ps3_16() -> None:
    known: dict[str, set[str]] = {}
    for concept in codes.SCT.concepts.values():
        known.setdefault(concept.value, set()).add(bare(concept.meaning))
    compared = [code for code in all_codes() if code.value in known]
    assert len(compared) > 200
    for code in compared:
        assert bare(code.meaning) in known[code.value], (code, known[code.value])


# Our own scheme.


def test_private_codes_stand_beside_a_snomed_code() -> None:
    for name in NAMES:
        code = structure_code(name)
        schemes = {part.scheme_designator for part in codes_of(code)}
        assert schemes <= {"SCT", PRIVATE_SCHEME_DESIGNATOR}, name
        if code.type.scheme_designator == PRIVATE_SCHEME_DESIGNATOR:
            assert code.category == codes.cid7150.PhysicalObject, name
            assert code.region is not None, name
            assert code.region.scheme_designator == "SCT", name


def test_the_designator_of_the_private_coding_scheme_begins_with_99() -> None:
    """PS3.16 8.2: such designators are free for private use."""
    scheme = private_scheme()
    assert scheme.CodingSchemeDesignator.startswith("99")
    assert scheme.CodingSchemeName
    assert scheme.CodingSchemeResponsibleOrganization


def test_docs_state_the_number_of_structures_with_private_dicom_codes() -> None:
    needing = [
        name
        for name in NAMES
        if any(
            code.scheme_designator == PRIVATE_SCHEME_DESIGNATOR
            for code in codes_of(structure_code(name))
        )
    ]
    docs = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert f"{len(needing)} of {len(NAMES)} structures" in docs


# What is wrong in TotalSegmentator 2.18's table, and right in ours.


@pytest.mark.parametrize(
    ("names", "wrong", "right"),
    [
        # The right one's code on both sides.
        (
            "subclavian_artery_left subclavian_artery_right",
            "29700009",
            codes.SCT.SubclavianArtery,
        ),
        # "Entire gluteus maximus", which is no structure.
        (
            "gluteus_maximus_left gluteus_maximus_right",
            "181674001",
            Code("206007", "SCT", "Gluteus maximus muscle"),
        ),
        # The region around the joint; the class is the bone. See also the region.
        ("hip_left hip_right", "29836001", Code("118645006", "SCT", "Bone structure of pelvis")),
        # One code for fingers and toes, in one task.
        ("phalanges_feet", "28641004", Code("89534004", "SCT", "Phalanx of foot")),
        ("phalanges_hand", "28641004", Code("73696005", "SCT", "Phalanx of hand")),
        # PS3.16 has a code for the left one.
        ("atrial_appendage_left", "68786006", codes.SCT.LeftAuricularAppendage),
    ],
)
def test_wrong_type_codes_of_totalsegmentator_are_corrected(
    names: str, wrong: str, right: Code
) -> None:
    for name in names.split():
        code = structure_code(name)
        assert code.type == right
        assert code.type.value != wrong


def test_gluteus_minimus_is_spelt_correctly() -> None:
    for side in ("left", "right"):
        code = structure_code(f"gluteus_minimus_{side}").type
        assert (code.value, code.meaning) == ("75297007", "Gluteus minimus muscle")


def test_anatomical_structure_category_has_the_code_of_cid_7150() -> None:
    # 123037004 is SNOMED's "Body structure".
    assert structure_code("liver").category == codes.cid7150.AnatomicalStructure
    assert structure_code("liver").category.value == "91723000"


def test_dicom_codes_of_limitations_are_short_and_distinct() -> None:
    everything = MeasuredStructure(
        structure=Structure(label=1, name="liver"),
        voxels=FEW_VOXELS - 1,
        volume_ml=1.0,
        mean=0.0,
        sd=0.0,
        faces=tuple(Face),
        components=2,
        largest_share=0.5,
    )
    said = limitation_codes(everything)
    assert len(said) == len(Face) + len(Limitation) - 1
    assert len({code.value for code in said}) == len({code.meaning for code in said}) == len(said)
    for code in (LIMITATION, *said):
        assert code.scheme_designator == PRIVATE_SCHEME_DESIGNATOR
        assert len(code.value) <= CODE_VALUE_LIMIT
        assert len(code.meaning) <= MEANING_LIMIT
    assert limitation_codes(replace(everything, voxels=FEW_VOXELS, faces=(), components=1)) == ()
