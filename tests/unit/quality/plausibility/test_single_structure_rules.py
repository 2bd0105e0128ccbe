import pytest

from tests.unit.quality.plausibility.tables import Placed, found
from totalmap.quality.plausibility import single_structure_rules
from totalmap.structures import Face


def test_a_structure_that_the_field_of_view_cuts_is_reported_as_incomplete() -> None:
    placed = {"liver": Placed(faces=(Face.RIGHT, Face.INFERIOR)), "spleen": Placed()}
    assert found(single_structure_rules.incomplete, placed) == ["INCOMPLETE liver information"]


@pytest.mark.parametrize(
    ("name", "ml", "second", "is_found"),
    [
        ("liver", 1500.0, 0.02, True),
        ("liver", 1500.0, 0.005, False),  # 7.5 mL, but a small part of it
        ("adrenal_gland_left", 5.0, 0.3, False),  # 1.5 mL
        ("colon", 800.0, 0.4, False),  # often is in pieces
    ],
)
def test_a_large_second_piece_is_reported_as_a_fragment(
    name: str, ml: float, second: float, is_found: bool
) -> None:
    codes = found(single_structure_rules.fragment, {name: Placed(ml=ml, second=second)})
    assert codes == ([f"FRAGMENT {name} review"] if is_found else [])


def test_pieces_of_a_cut_structure_are_not_reported() -> None:
    cut = Placed(ml=1500.0, second=0.3, faces=(Face.SUPERIOR,))
    assert found(single_structure_rules.fragment, {"liver": cut}) == []


def test_a_structure_with_large_holes_is_reported() -> None:
    assert found(single_structure_rules.hole, {"liver": Placed(holes=0.04)}) == []
    assert found(single_structure_rules.hole, {"liver": Placed(holes=0.10)}) == [
        "HOLE liver review"
    ]


@pytest.mark.parametrize(
    ("ml", "codes"),
    [
        (1500.0, []),
        (700.0, ["VOLUME liver information"]),
        (2700.0, ["VOLUME liver information"]),
        (200.0, ["VOLUME liver review"]),
        (9000.0, ["VOLUME liver review"]),
    ],
)
def test_an_unusual_volume_is_noted_and_an_implausible_one_is_reviewed(
    ml: float, codes: list[str]
) -> None:
    assert found(single_structure_rules.volume, {"liver": Placed(ml=ml)}) == codes
    assert found(single_structure_rules.volume, {"liver": Placed(ml=ml, faces=(Face.LEFT,))}) == []


def test_a_pair_of_structures_of_very_different_sizes_is_reported_unless_one_is_cut() -> None:
    kidneys = {"kidney_left": Placed(ml=200.0), "kidney_right": Placed(ml=60.0)}
    assert found(single_structure_rules.asymmetry, kidneys) == ["ASYMMETRY kidney_right review"]
    kidneys["kidney_right"] = Placed(ml=80.0)
    assert found(single_structure_rules.asymmetry, kidneys) == []
    kidneys["kidney_right"] = Placed(ml=60.0, faces=(Face.INFERIOR,))
    assert found(single_structure_rules.asymmetry, kidneys) == []


def test_a_structure_of_unexpected_density_is_reported() -> None:
    assert found(single_structure_rules.density, {"liver": Placed(hu=(40.0, 50.0, 60.0))}) == []
    assert found(single_structure_rules.density, {"liver": Placed(hu=(-90.0, 50.0, 60.0))}) == [
        "HU liver review"
    ]
    assert found(single_structure_rules.density, {"liver": Placed(hu=(40.0, 50.0, 300.0))}) == [
        "HU liver review"
    ]
