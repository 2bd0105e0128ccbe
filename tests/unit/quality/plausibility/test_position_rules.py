from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.phantom.drawing import LABELS
from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import segmentation_of
from tests.unit.quality.plausibility.tables import STEP_MM, Placed, body, found, height, spine
from totalmap.quality.assess import assess
from totalmap.quality.plausibility import position_rules
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


def test_correct_positions_of_structures_give_no_finding() -> None:
    for rule in (
        position_rules.mirrored,
        position_rules.situs,
        position_rules.wrong_side,
        position_rules.orientation,
    ):
        assert found(rule, spine() | KIDNEYS | ORGANS) == []


def test_a_swapped_pair_of_structures_is_named_and_several_are_counted() -> None:
    swapped = on_the_other_side(KIDNEYS, *KIDNEYS)
    assert found(position_rules.mirrored, swapped) == ["MIRRORED kidney_left reject"]
    lungs = {"hip_left": Placed(x=-80.0), "hip_right": Placed(x=80.0)}
    (finding,) = position_rules.mirrored(body(swapped | lungs))
    assert (finding.structure, finding.value) == (None, 2.0)
    assert "2 of 2 pairs" in finding.sentence


def test_a_pair_of_structures_that_is_close_together_is_not_reported_as_swapped() -> None:
    near = {"iliac_vena_left": Placed(x=-4.0), "iliac_vena_right": Placed(x=4.0)}
    assert found(position_rules.mirrored, near) == []


def test_swapped_pairs_in_pieces_are_rejected_only_if_most_pairs_are_swapped() -> None:
    pieces = {
        "lung_upper_lobe_left": Placed(x=-50.0, second=0.2),
        "lung_upper_lobe_right": Placed(x=50.0),
    }
    assert found(position_rules.mirrored, KIDNEYS | pieces) == [
        "MIRRORED lung_upper_lobe_left review"
    ]
    swapped = on_the_other_side(KIDNEYS, *KIDNEYS)
    assert found(position_rules.mirrored, swapped | pieces) == ["MIRRORED None reject"]
    assert found(position_rules.mirrored, pieces) == ["MIRRORED lung_upper_lobe_left reject"]


def test_several_organs_on_the_wrong_side_are_rejected_and_one_is_reviewed() -> None:
    wrong = on_the_other_side(ORGANS, "liver", "spleen", "stomach")
    assert found(position_rules.situs, spine() | wrong) == ["SITUS None reject"]
    one = on_the_other_side(ORGANS, "stomach")
    assert found(position_rules.situs, spine() | one) == ["SIDE stomach review"]
    assert found(position_rules.situs, wrong) == []  # without a spine there is no middle


def test_a_single_kidney_on_the_wrong_side_is_reviewed_unless_it_is_cut() -> None:
    crossed = {"kidney_left": Placed(x=-40.0, z=100.0)}
    assert found(position_rules.wrong_side, spine() | crossed) == ["SIDE kidney_left review"]
    cut = {"kidney_left": Placed(x=-40.0, z=100.0, faces=(Face.LEFT,))}
    assert found(position_rules.wrong_side, spine() | cut) == []


def test_a_body_that_is_upside_down_is_rejected() -> None:
    levels = {"heart": 16, "liver": 18.5, "kidney_left": 21, "urinary_bladder": 27}
    upright = {name: Placed(z=height(level)) for name, level in levels.items()}
    inverted = {name: Placed(z=-height(level)) for name, level in levels.items()}
    assert found(position_rules.orientation, upright) == []
    assert found(position_rules.orientation, inverted) == ["ORIENTATION None reject"]


def test_cut_structures_are_not_used_to_judge_the_orientation() -> None:
    levels = {"heart": 16, "liver": 18.5, "kidney_left": 21, "urinary_bladder": 27}
    cut = {name: Placed(z=-height(n), faces=(Face.RIGHT,)) for name, n in levels.items()}
    assert found(position_rules.orientation, cut) == []
    names = ("liver", "stomach", "pancreas", "sternum")
    behind = {name: Placed(y=60.0, z=150.0, faces=(Face.ANTERIOR,)) for name in names}
    assert found(position_rules.orientation, spine() | behind) == []


@pytest.mark.parametrize(("y", "codes"), [(-60.0, []), (60.0, ["ORIENTATION None reject"])])
def test_a_body_with_front_and_back_swapped_is_rejected(y: float, codes: list[str]) -> None:
    placed = {name: Placed(y=y, z=150.0) for name in ("liver", "stomach", "pancreas", "sternum")}
    assert found(position_rules.orientation, spine() | placed) == codes


T9, L2 = 16, 21  # of the liver
LIVER = Placed(x=-65.0, y=-55.0, z=height(18))


def test_a_structure_far_from_its_usual_levels_is_reviewed_or_rejected() -> None:
    assert found(position_rules.level, spine() | {"liver": LIVER}) == []
    at = {
        T9 - 0.9: [],
        T9 - 1.5: ["LEVEL liver review"],
        T9 - 3.5: ["LEVEL liver reject"],
        L2 + 1.5: ["LEVEL liver review"],
        L2 + 3.5: ["LEVEL liver reject"],
    }
    for level, codes in at.items():
        placed = spine() | {"liver": replace(LIVER, z=height(level))}
        assert found(position_rules.level, placed) == codes


def test_the_sentence_on_a_wrong_level_names_found_and_expected_levels() -> None:
    (finding,) = position_rules.level(body(spine() | {"liver": replace(LIVER, z=height(12))}))
    assert finding.sentence == (
        "The liver lies at the level of T5, 4.0 vertebrae outside its expected levels (T9 to L2)."
    )
    assert (finding.value, finding.limit) == (4.0, 3.0)


def test_the_level_of_a_structure_that_is_cut_or_in_pieces_is_not_judged() -> None:
    cut = replace(LIVER, z=height(10), faces=(Face.SUPERIOR,))
    assert found(position_rules.level, spine() | {"liver": cut}) == []
    assert found(position_rules.level, spine() | {"colon": replace(LIVER, z=height(10))}) == []


def test_levels_are_not_judged_with_too_few_vertebrae() -> None:
    assert found(position_rules.level, spine(18, 19) | {"liver": replace(LIVER, z=height(8))}) == []


def test_the_scale_of_vertebrae_is_extrapolated_by_a_few_levels_only() -> None:
    scale = body(spine(10, 20)).scale
    assert scale is not None
    assert scale.z_at(22.0) == height(20) - 2 * STEP_MM
    assert scale.z_at(25.0) is None
    assert scale.level_at(height(22)) == 22.0
    assert scale.level_at(height(30)) is None


def test_a_missing_structure_whose_place_is_in_view_is_reported_as_absent() -> None:
    assert "ABSENT liver review" in found(position_rules.absent, spine())
    assert "ABSENT liver review" not in found(position_rules.absent, spine() | {"liver": LIVER})
    assert "ABSENT gallbladder review" not in found(
        position_rules.absent, spine()
    )  # may be removed
    assert "ABSENT liver review" not in found(position_rules.absent, spine(1, 10))  # too far above


def test_a_structure_that_was_not_looked_for_is_not_reported_as_absent() -> None:
    looked_for = [name for name in LABELS if name != "liver"]
    structures = {one.structure for one in position_rules.absent(body(spine(), looked_for))}
    assert "liver" not in structures
    assert "spleen" in structures


def test_a_structure_outside_a_narrow_field_of_view_is_not_reported_as_absent() -> None:
    """The field of view of the tests reaches 200 mm to each side."""
    aside = {name: replace(one, x=160.0) for name, one in spine().items()}
    structures = {one.structure for one in position_rules.absent(body(aside))}
    assert "spleen" not in structures  # would lie at 255 mm
    assert "liver" in structures  # at 95 mm


def test_a_missing_structure_with_the_highest_label_is_reported_as_absent(tmp_path: Path) -> None:
    spec = SeriesSpec(n_slices=60, slice_spacing_mm=6.0, slice_thickness_mm=6.0)
    whole = segmentation_of(write_series(tmp_path, 1, spec))
    first = min(one.label for one in whole.structures if one.name.startswith("rib_"))
    without = replace(whole, labels=np.where(whole.labels >= first, 0, whole.labels))
    seen = np.where(whole.inference.labels >= first, 0, whole.inference.labels)
    without = replace(without, inference=replace(whole.inference, labels=seen))
    absent = {one.structure for one in assess(without).findings if one.code == "ABSENT"}
    assert {"rib_left_9", "rib_right_9"} <= absent
