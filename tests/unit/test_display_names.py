import pytest

from totalmap.display_names import display_name, in_sentence, pair_in_sentence


@pytest.mark.parametrize(
    ("name", "shown", "within"),
    [
        ("kidney_left", "Left kidney", "left kidney"),
        ("vertebrae_L3", "Vertebra L3", "vertebra L3"),
        ("autochthon_left", "Left autochthonous muscle of back", None),
        ("lesion_of_another_tool", "lesion of another tool", "lesion of another tool"),
    ],
)
def test_a_structure_has_one_display_name(name: str, shown: str, within: str | None) -> None:
    assert display_name(name) == shown
    assert in_sentence(name) == (within or shown[0].lower() + shown[1:])


@pytest.mark.parametrize(
    ("left", "pair"),
    [
        ("rib_left_3", "rib 3"),
        ("kidney_left", "kidney"),
        ("lung_upper_lobe_left", "upper lobe of lung"),
        ("ventricle_body_left", "body of lateral ventricle"),
    ],
)
def test_a_pair_of_structures_is_named_without_its_side(left: str, pair: str) -> None:
    assert pair_in_sentence(left) == pair
