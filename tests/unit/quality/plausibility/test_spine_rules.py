from dataclasses import replace

from tests.phantom.drawing import LABELS
from tests.unit.quality.plausibility.tables import STEP_MM, Placed, body, found, height, spine
from totalmap.quality.plausibility import spine_rules as rules
from totalmap.quality.plausibility.anatomy_table import vertebra_name
from totalmap.structures import Face

T10, T11, T12, L5 = 17, 18, 19, 24


def ribs(off: float = 0.0, numbers: range = range(5, 11)) -> dict[str, Placed]:
    """Returns ribs whose heads lie a quarter of a vertebra above the centre of their vertebra."""
    placed = {}
    for side, inner, sign in (("left", Face.RIGHT, 1), ("right", Face.LEFT, -1)):
        for n in numbers:
            head = (sign * 25.0, 10.0, height(7 + n - 0.25 + off))
            placed[f"rib_{side}_{n}"] = Placed(x=sign * 100.0, z=head[2] - 40.0, ends={inner: head})
    return placed


def sacrum(top_levels: float = 0.5) -> dict[str, Placed]:
    top = height(L5 + top_levels)
    return {"sacrum": Placed(z=top - 50.0, ends={Face.SUPERIOR: (0.0, 0.0, top)})}


def test_a_correct_spine_gives_no_finding() -> None:
    whole = spine() | ribs() | sacrum()
    for rule in (
        rules.vertebra_order,
        rules.vertebra_missing,
        rules.vertebra_step,
        rules.rib_vertebra,
        rules.sacrum,
    ):
        assert found(rule, whole) == []


def test_two_swapped_vertebrae_are_rejected() -> None:
    one, other = vertebra_name(T11), vertebra_name(T12)
    swapped = spine() | {one: spine()[other], other: spine()[one]}
    assert found(rules.vertebra_order, swapped) == ["VERTEBRA_ORDER vertebrae_T12 reject"]


def test_the_order_of_a_cut_vertebra_follows_from_the_edge_that_cuts_it() -> None:
    whole = spine(T11, L5)
    process = replace(whole[vertebra_name(T11)], z=height(T12) - 1.0, faces=(Face.SUPERIOR,))
    assert found(rules.vertebra_order, whole | {vertebra_name(T11): process}) == []
    swapped = {
        vertebra_name(T11): whole[vertebra_name(T12)],
        vertebra_name(T12): replace(whole[vertebra_name(T11)], faces=(Face.SUPERIOR,)),
    }
    expected = ["VERTEBRA_ORDER vertebrae_T12 reject"]
    assert found(rules.vertebra_order, whole | swapped) == expected


def test_a_vertebra_missing_between_others_is_rejected() -> None:
    placed = spine(T10, L5)
    assert found(rules.vertebra_missing, placed) == []
    del placed[vertebra_name(T12)]
    assert found(rules.vertebra_missing, placed) == ["VERTEBRA_MISSING vertebrae_T12 reject"]


def test_a_vertebra_missing_beside_cut_vertebrae_gives_no_finding() -> None:
    aside = {name: replace(one, faces=(Face.LEFT,)) for name, one in spine(T10, L5).items()}
    del aside[vertebra_name(T12)]
    assert found(rules.vertebra_missing, aside) == []
    del aside[vertebra_name(L5)]
    assert found(rules.sacrum, aside | sacrum()) == []


def test_a_vertebra_that_was_not_looked_for_is_not_reported_as_missing() -> None:
    placed = spine(T10, L5)
    del placed[vertebra_name(T12)]
    looked_for = [name for name in LABELS if name != vertebra_name(T12)]
    assert list(rules.vertebra_missing(body(placed, looked_for))) == []


def test_an_unusual_distance_of_two_vertebrae_is_reported() -> None:
    wide = {
        name: replace(one, z=one.z + (20.0 if one.z >= height(T11) else 0.0))
        for name, one in spine(T10 - 4, L5).items()
    }
    (finding,) = rules.vertebra_step(body(wide))
    assert (finding.code, finding.structure) == ("VERTEBRA_STEP", "vertebrae_T11")
    assert finding.value == round((STEP_MM + 20.0) / STEP_MM, 2)


def test_ribs_one_vertebra_above_or_below_their_level_are_reported() -> None:
    for off in (-1.0, 1.0):
        (finding,) = rules.rib_vertebra(body(spine() | ribs(off)))
        assert finding.value == off
        assert ("below" if off > 0 else "above") in finding.sentence
    assert found(rules.rib_vertebra, spine() | ribs(0.4)) == []


def test_several_ribs_at_a_wrong_level_are_rejected_and_a_single_one_is_not() -> None:
    some = ribs() | ribs(1.0, range(8, 11))
    assert found(rules.rib_vertebra, spine() | some) == ["RIB_VERTEBRA None reject"]
    one = ribs() | {"rib_left_7": ribs(1.0)["rib_left_7"]}
    assert found(rules.rib_vertebra, spine() | one) == []


def test_ribs_without_a_head_in_view_are_not_judged() -> None:
    cut = {name: replace(one, ends=None) for name, one in ribs(1.0).items()}
    assert found(rules.rib_vertebra, spine() | cut) == []


def test_a_vertebra_other_than_l5_above_the_sacrum_is_rejected() -> None:
    assert found(rules.sacrum, spine(T10, L5 - 1) | sacrum()) == ["SACRUM vertebrae_L5 reject"]
    assert found(rules.sacrum, spine() | sacrum(1.5)) == ["SACRUM vertebrae_L5 reject"]
    cut = {"sacrum": replace(sacrum()["sacrum"], faces=(Face.SUPERIOR,))}
    assert found(rules.sacrum, spine(T10, L5 - 1) | cut) == []
    looked_for = ["sacrum", "vertebrae_L4"]  # segmentation.structures
    assert list(rules.sacrum(body(spine(T10, L5 - 1) | sacrum(), looked_for))) == []
