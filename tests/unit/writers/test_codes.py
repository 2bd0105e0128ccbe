import pytest
from pydicom.sr.codedict import codes
from totalsegmentator.map_to_binary import class_map

from totalmap.engine.tasks import SUPPORTED_TASKS
from totalmap.errors import OutputError
from totalmap.writers.codes import structure_code

NAMES = list(class_map["total"].values())


@pytest.mark.parametrize("name", NAMES)
def test_every_structure_has_a_snomed_code(name: str) -> None:
    code = structure_code(name)
    assert code.type.scheme_designator == "SCT"
    assert code.category.scheme_designator == "SCT"


@pytest.mark.parametrize("name", [n for n in NAMES if {"left", "right"} & set(n.split("_"))])
def test_sides_are_coded(name: str) -> None:
    code = structure_code(name)
    side = code.region_modifier if name.startswith("kidney_cyst") else code.modifier
    if name == "lung_middle_lobe_right":  # its type says so: Middle lobe of right lung
        assert side is None
    else:
        assert side is not None
        assert side.meaning.lower() in name.split("_")


def test_no_two_structures_share_their_codes() -> None:
    seen = [
        (code.type.value, code.modifier, code.region, code.region_modifier)
        for code in map(structure_code, NAMES)
    ]
    assert len(set(seen)) == len(NAMES)


def test_colours_differ() -> None:
    assert len({structure_code(name).rgb for name in NAMES}) == len(NAMES)


def test_the_left_subclavian_artery_is_not_called_the_right_one() -> None:
    assert structure_code("subclavian_artery_left").type == codes.SCT.SubclavianArtery


@pytest.mark.parametrize("task", SUPPORTED_TASKS)
def test_structures_of_all_tasks_have_codes(task: str) -> None:
    names = class_map[task].values()
    assert len({structure_code(name).rgb for name in names}) > len(names) * 0.8


def test_an_unknown_structure_is_refused() -> None:
    with pytest.raises(OutputError, match="tail"):
        structure_code("tail")
