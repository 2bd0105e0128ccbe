from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.phantom.drawing import LABELS
from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import segmentation_of
from tests.unit.quality.plausibility.tables import STEP_MM, Placed, body, found, height, spine
from totalmap.quality.assess import assess
from totalmap.quality.plausibility import levels
from totalmap.structures import Face

T9, L2 = 16, 21  # of the liver
LIVER = Placed(x=-65.0, y=-55.0, z=height(18))


def test_levels() -> None:
    assert found(levels.level, spine() | {"liver": LIVER}) == []
    at = {
        T9 - 0.9: [],
        T9 - 1.5: ["LEVEL liver review"],
        T9 - 3.5: ["LEVEL liver reject"],
        L2 + 1.5: ["LEVEL liver review"],
        L2 + 3.5: ["LEVEL liver reject"],
    }
    for level, codes in at.items():
        placed = spine() | {"liver": replace(LIVER, z=height(level))}
        assert found(levels.level, placed) == codes


def test_a_sentence_names_levels() -> None:
    (finding,) = levels.level(body(spine() | {"liver": replace(LIVER, z=height(12))}))
    assert finding.sentence == (
        "The liver lies at the level of T5, 4.0 vertebrae outside its expected levels (T9 to L2)."
    )
    assert (finding.value, finding.limit) == (4.0, 3.0)


def test_the_centre_of_what_is_cut_or_in_pieces_says_nothing() -> None:
    cut = replace(LIVER, z=height(10), faces=(Face.SUPERIOR,))
    assert found(levels.level, spine() | {"liver": cut}) == []
    assert found(levels.level, spine() | {"colon": replace(LIVER, z=height(10))}) == []


def test_too_few_vertebrae_are_no_scale() -> None:
    assert found(levels.level, spine(18, 19) | {"liver": replace(LIVER, z=height(8))}) == []


def test_the_scale_goes_on_below_the_last_vertebra_but_not_for_ever() -> None:
    scale = body(spine(10, 20)).scale
    assert scale is not None
    assert scale.z_at(22.0) == height(20) - 2 * STEP_MM
    assert scale.z_at(25.0) is None
    assert scale.level_at(height(22)) == 22.0
    assert scale.level_at(height(30)) is None


def test_what_is_missing_though_its_place_is_in_view() -> None:
    assert "ABSENT liver review" in found(levels.absent, spine())
    assert "ABSENT liver review" not in found(levels.absent, spine() | {"liver": LIVER})
    assert "ABSENT gallbladder review" not in found(levels.absent, spine())  # may be removed
    assert "ABSENT liver review" not in found(levels.absent, spine(1, 10))  # too far above


def test_what_was_not_looked_for_is_not_absent() -> None:
    looked_for = [name for name in LABELS if name != "liver"]
    structures = {one.structure for one in levels.absent(body(spine(), looked_for))}
    assert "liver" not in structures
    assert "spleen" in structures


def test_what_lies_outside_a_narrow_field_of_view_is_not_absent() -> None:
    """The field of view of the tests reaches 200 mm to each side."""
    aside = {name: replace(one, x=160.0) for name, one in spine().items()}
    structures = {one.structure for one in levels.absent(body(aside))}
    assert "spleen" not in structures  # would lie at 255 mm
    assert "liver" in structures  # at 95 mm


def test_structures_with_a_label_above_all_that_were_found_are_absent_too(tmp_path: Path) -> None:
    spec = SeriesSpec(n_slices=60, slice_spacing_mm=6.0, slice_thickness_mm=6.0)
    whole = segmentation_of(write_series(tmp_path, 1, spec))
    first = min(one.label for one in whole.structures if one.name.startswith("rib_"))
    without = replace(whole, labels=np.where(whole.labels >= first, 0, whole.labels))
    seen = np.where(whole.inference.labels >= first, 0, whole.inference.labels)
    without = replace(without, inference=replace(whole.inference, labels=seen))
    absent = {one.structure for one in assess(without).findings if one.code == "ABSENT"}
    assert {"rib_left_9", "rib_right_9"} <= absent
