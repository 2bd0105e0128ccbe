import pytest

from tests.unit.quality.plausibility.tables import Placed, body, found, height, spine
from totalmap.quality.plausibility import sides
from totalmap.structures import Face

KIDNEYS = {"kidney_left": Placed(x=60.0, z=100.0), "kidney_right": Placed(x=-60.0, z=100.0)}
ORGANS = {
    "liver": Placed(x=-60.0, y=-50.0, z=130.0),
    "spleen": Placed(x=90.0, z=150.0),
    "stomach": Placed(x=45.0, y=-70.0, z=120.0),
    "heart": Placed(x=20.0, y=-80.0, z=220.0),
}


def on_the_other_side(placed: dict[str, Placed], *names: str) -> dict[str, Placed]:
    return placed | {
        name: Placed(x=-placed[name].x, y=placed[name].y, z=placed[name].z) for name in names
    }


def test_sides_as_they_are() -> None:
    for rule in (sides.mirrored, sides.situs, sides.wrong_side, sides.orientation):
        assert found(rule, spine() | KIDNEYS | ORGANS) == []


def test_a_swapped_pair_is_named_and_several_are_counted() -> None:
    swapped = on_the_other_side(KIDNEYS, *KIDNEYS)
    assert found(sides.mirrored, swapped) == ["MIRRORED kidney_left reject"]
    lungs = {"hip_left": Placed(x=-80.0), "hip_right": Placed(x=80.0)}
    (finding,) = sides.mirrored(body(swapped | lungs))
    assert (finding.structure, finding.value) == (None, 2.0)
    assert "2 of 2 pairs" in finding.sentence


def test_a_pair_that_is_hardly_apart_is_not_swapped() -> None:
    near = {"iliac_vena_left": Placed(x=-4.0), "iliac_vena_right": Placed(x=4.0)}
    assert found(sides.mirrored, near) == []


def test_crumbs_that_are_swapped_are_no_reason_to_reject() -> None:
    crumbs = {
        "lung_upper_lobe_left": Placed(x=-50.0, second=0.2),
        "lung_upper_lobe_right": Placed(x=50.0),
    }
    assert found(sides.mirrored, KIDNEYS | crumbs) == ["MIRRORED lung_upper_lobe_left review"]
    swapped = on_the_other_side(KIDNEYS, *KIDNEYS)
    assert found(sides.mirrored, swapped | crumbs) == ["MIRRORED None reject"]
    assert found(sides.mirrored, crumbs) == ["MIRRORED lung_upper_lobe_left reject"]


def test_organs_on_the_wrong_side_are_a_situs_one_alone_is_not() -> None:
    wrong = on_the_other_side(ORGANS, "liver", "spleen", "stomach")
    assert found(sides.situs, spine() | wrong) == ["SITUS None reject"]
    one = on_the_other_side(ORGANS, "stomach")
    assert found(sides.situs, spine() | one) == ["SIDE stomach review"]
    assert found(sides.situs, wrong) == []  # without a spine there is no middle


def test_a_kidney_alone_on_the_other_side() -> None:
    crossed = {"kidney_left": Placed(x=-40.0, z=100.0)}
    assert found(sides.wrong_side, spine() | crossed) == ["SIDE kidney_left review"]
    cut = {"kidney_left": Placed(x=-40.0, z=100.0, faces=(Face.LEFT,))}
    assert found(sides.wrong_side, spine() | cut) == []


def test_upside_down() -> None:
    levels = {"heart": 16, "liver": 18.5, "kidney_left": 21, "urinary_bladder": 27}
    upright = {name: Placed(z=height(level)) for name, level in levels.items()}
    inverted = {name: Placed(z=-height(level)) for name, level in levels.items()}
    assert found(sides.orientation, upright) == []
    assert found(sides.orientation, inverted) == ["ORIENTATION None reject"]


def test_what_is_cut_does_not_tell_the_orientation() -> None:
    levels = {"heart": 16, "liver": 18.5, "kidney_left": 21, "urinary_bladder": 27}
    cut = {name: Placed(z=-height(n), faces=(Face.RIGHT,)) for name, n in levels.items()}
    assert found(sides.orientation, cut) == []
    names = ("liver", "stomach", "pancreas", "sternum")
    behind = {name: Placed(y=60.0, z=150.0, faces=(Face.ANTERIOR,)) for name in names}
    assert found(sides.orientation, spine() | behind) == []


@pytest.mark.parametrize(("y", "codes"), [(-60.0, []), (60.0, ["ORIENTATION None reject"])])
def test_front_and_back(y: float, codes: list[str]) -> None:
    placed = {name: Placed(y=y, z=150.0) for name in ("liver", "stomach", "pancreas", "sternum")}
    assert found(sides.orientation, spine() | placed) == codes
