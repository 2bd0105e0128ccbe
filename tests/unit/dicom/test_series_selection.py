from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import SecondaryCaptureImageStorage

from tests.phantom.study import CORONAL, SeriesSpec, WrittenStudy, write_series, write_study
from totalmap.dicom.series_selection import Judgement, SeriesDecision, judge, selected
from totalmap.dicom.study import Study, read_study
from totalmap.errors import NoSuitableSeries
from totalmap.selection_settings import (
    Contrast,
    Criterion,
    Orientation,
    SelectionRule,
    SelectionSection,
)
from totalmap.settings import GapPolicy, GeometrySection

SMALL = SeriesSpec(rows=16, columns=16, n_slices=12)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    return write_study(tmp_path_factory.mktemp("study"), 3, size=48, n_slices=24)


@pytest.fixture(scope="module")
def study(written: WrittenStudy) -> Study:
    return read_study(written.folder)


def judged(study: Study, *rules: SelectionRule, gaps: GapPolicy = GapPolicy.REJECT) -> Judgement:
    section = SelectionSection(rules=rules or (SelectionRule(),))
    return judge(study, section, GeometrySection(gaps=gaps))


def change(path: Path, **values: Any) -> None:
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


def only_decision(folder: Path, rule: SelectionRule | None = None) -> SeriesDecision:
    (decision,) = judged(read_study(folder), rule or SelectionRule()).decisions
    return decision


def reason_of(study: Study, uid: str) -> str:
    return next(v.reason for v in judged(study).decisions if v.series.uid == uid)


def test_the_thin_series_with_a_soft_kernel_is_chosen_for_segmentation(
    study: Study, written: WrittenStudy
) -> None:
    judgement = judged(study)
    (selection,) = selected(judgement)
    assert selection.stack.series.uid == written.thin_soft.series_uid
    assert selection.folder == ""
    assert [v.chosen_by for v in judgement.decisions] == [("ct",)] + [()] * 4


def test_the_selection_has_a_reason_for_its_decision_about_every_series(
    study: Study, written: WrittenStudy
) -> None:
    assert reason_of(study, written.thin_soft.series_uid) == (
        "chosen: 24 slices every 3 mm, soft kernel; best of 3 suitable series"
    )
    assert "ranked 2 of 3" in reason_of(study, written.thick.series_uid)
    assert "sharp kernel" in reason_of(study, written.thin_sharp.series_uid)
    assert "a localizer (scout view)" in reason_of(study, written.localizer.series_uid)
    assert "no images" in {decision.reason for decision in judged(study).decisions}


@given(st.randoms(use_true_random=False))
def test_the_order_of_series_and_files_does_not_change_the_selection_of_series(
    study: Study, random: Any
) -> None:
    def shuffled(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(random.sample(items, len(items)))

    series = shuffled(
        tuple(replace(series, instances=shuffled(series.instances)) for series in study.series)
    )
    other = judged(replace(study, series=series))
    expected = judged(study)
    assert [v.reason for v in other.decisions] == [v.reason for v in expected.decisions]
    assert [v.series.uid for v in other.decisions] == [v.series.uid for v in expected.decisions]


def test_the_rank_setting_of_a_selection_rule_decides_which_series_comes_first(
    study: Study, written: WrittenStudy
) -> None:
    sharp = judged(study, SelectionRule(rank=(Criterion.SHARP_KERNEL,)))
    assert selected(sharp)[0].stack.series.uid == written.thin_sharp.series_uid
    many = judged(study, SelectionRule(rank=(Criterion.MANY_SLICES,)))
    assert [v.series.uid for v in many.decisions[:3]] == [
        written.thin_soft.series_uid,
        written.thin_sharp.series_uid,
        written.thick.series_uid,
    ]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (SelectionRule(min_slices=25), "24 slices, at least 25 are needed"),
        (SelectionRule(max_slices=11), "24 slices, at most 11 are allowed"),
        (SelectionRule(max_slice_spacing_mm=2.0), "slices are 3 mm apart, at most 2 mm"),
        (SelectionRule(max_slice_thickness_mm=2.0), "slices are 3 mm thick, at most 2 mm"),
        (SelectionRule(min_coverage_mm=80.0), "covers 69 mm, at least 80 mm are needed"),
        (SelectionRule(modalities=("MR",)), "modality is CT, not MR"),
        (SelectionRule(body_parts=("CHEST", "head")), "body part does not match CHEST or head"),
        (SelectionRule(descriptions=("^thorax",)), "series description does not match ^thorax"),
        (SelectionRule(descriptions_excluded=("trunk",)), "series description matches trunk"),
        (SelectionRule(kernels=("^B[1-4]",)), "kernel does not match"),
        (SelectionRule(contrast=Contrast.WITH), "the header names no contrast agent"),
        (SelectionRule(orientations=(Orientation.CORONAL,)), "slices are axial, not coronal"),
        (SelectionRule(image_types=("HELIX",)), "image type is not HELIX"),
        (SelectionRule(image_types_excluded=("AXIAL",)), "not original slices (image type AXIAL"),
    ],
)
def test_the_reason_of_a_series_filter_states_value_and_limit(
    study: Study, rule: SelectionRule, reason: str
) -> None:
    with pytest.raises(NoSuitableSeries) as caught:
        selected(judged(study, rule))
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "rule",
    [
        SelectionRule(body_parts=("abdo",)),
        SelectionRule(descriptions=("3.0 standard",)),
        SelectionRule(kernels=("^stand",)),
        SelectionRule(image_types=("axial",)),
        SelectionRule(orientations=(Orientation.AXIAL,)),
        SelectionRule(contrast=Contrast.WITHOUT),
        SelectionRule(max_slices=24, max_slice_thickness_mm=3.0),
    ],
)
def test_series_filters_accept_a_series_that_matches_them(
    study: Study, written: WrittenStudy, rule: SelectionRule
) -> None:
    assert selected(judged(study, rule))[0].stack.series.uid == written.thin_soft.series_uid


def test_the_contrast_filter_of_series_uses_the_contrast_agent_in_the_header(
    tmp_path: Path,
) -> None:
    for path in write_series(tmp_path, 3, SMALL).paths:
        change(path, ContrastBolusAgent="Iohexol")
    assert only_decision(tmp_path, SelectionRule(contrast=Contrast.WITH)).chosen_by
    decision = only_decision(tmp_path, SelectionRule(contrast=Contrast.WITHOUT))
    assert decision.reason == "the header names a contrast agent"


@pytest.mark.parametrize(
    ("image_type", "words"),
    [
        ("ORIGINAL\\PRIMARY\\LOCALIZER", "a localizer (scout view)"),
        ("DERIVED\\SECONDARY\\MIP", "a maximum intensity projection"),
        ("DERIVED\\SECONDARY\\MPR", "a reformat of another series"),
        ("DERIVED\\PRIMARY\\AXIAL\\CBF", "not original slices (image type CBF)"),
        ("DERIVED\\PRIMARY\\AXIAL\\IODINE", "not original slices (image type IODINE)"),
    ],
)
def test_series_whose_image_type_is_not_original_slices_are_excluded(
    tmp_path: Path, image_type: str, words: str
) -> None:
    """They are excluded even if the study has no other series: no result beats a wrong one."""
    for path in write_series(tmp_path, 3, SMALL).paths:
        change(path, ImageType=image_type.split("\\"))
    decision = only_decision(tmp_path)
    assert not decision.chosen_by
    assert words in decision.reason
    assert only_decision(tmp_path, SelectionRule(image_types_excluded=())).chosen_by


def test_series_of_maps_whose_values_are_not_hu_are_excluded(tmp_path: Path) -> None:
    for path in write_series(tmp_path, 3, SMALL).paths:
        change(path, RescaleType="MGML")
    decision = only_decision(tmp_path, SelectionRule(image_types_excluded=()))
    assert decision.reason == "values are mg/mL, not HU (rescale type MGML)"


def test_derived_and_coronal_slices_rank_below_axial_originals_in_the_series_selection(
    tmp_path: Path,
) -> None:
    for path in write_series(tmp_path / "1", 3, replace(SMALL, number=1)).paths:
        change(path, ImageType=["DERIVED", "PRIMARY", "AXIAL"])
    write_series(
        tmp_path / "2",
        3,
        replace(SMALL, number=2, orientation=CORONAL, slice_spacing_mm=2.0, n_slices=30),
    )
    write_series(tmp_path / "3", 3, replace(SMALL, number=3, slice_spacing_mm=4.0))
    judgement = judged(read_study(tmp_path))
    assert [v.series.number for v in judgement.decisions] == [3, 2, 1]
    assert "coronal" in judgement.decisions[1].reason
    assert "derived" in judgement.decisions[2].reason


def test_a_short_thin_series_ranks_below_a_long_one(tmp_path: Path) -> None:
    write_series(tmp_path / "1", 3, replace(SMALL, number=1, n_slices=25, slice_spacing_mm=1.0))
    write_series(tmp_path / "2", 3, replace(SMALL, number=2, n_slices=30, slice_spacing_mm=3.0))
    assert selected(judged(read_study(tmp_path)))[0].stack.series.number == 2


def test_a_secondary_capture_series_is_excluded(tmp_path: Path) -> None:
    for path in write_series(tmp_path, 3, SMALL).paths:
        change(path, SOPClassUID=SecondaryCaptureImageStorage)
    reason = only_decision(tmp_path).reason
    assert reason == "SOP class is Secondary Capture Image Storage, which holds no slices"


def test_a_series_with_a_gap_ranks_below_a_complete_one(tmp_path: Path) -> None:
    steps = tuple(float(k) for k in range(30) if k != 7)
    write_series(
        tmp_path / "1",
        3,
        replace(SMALL, number=1, n_slices=29, slice_spacing_mm=1.0, slice_steps=steps),
    )
    write_series(tmp_path / "2", 3, replace(SMALL, number=2, n_slices=12, slice_spacing_mm=3.0))
    study = read_study(tmp_path)
    reject = judged(study)
    assert selected(reject)[0].stack.series.number == 2
    assert "1 slices are missing" in reject.decisions[1].reason
    fill = judged(study, gaps=GapPolicy.FILL)
    assert selected(fill)[0].stack.series.number == 2
    assert "suitable, ranked 2 of 2" in fill.decisions[1].reason
    assert "1 slices are missing" in fill.decisions[1].reason


def test_several_selection_rules_choose_several_series(study: Study, written: WrittenStudy) -> None:
    judgement = judged(
        study,
        SelectionRule(name="soft"),
        SelectionRule(name="lung", kernels=("lung",), rank=()),
        SelectionRule(name="mr", modalities=("MR",)),
    )
    chosen = {selection.folder: selection.stack.series.uid for selection in selected(judgement)}
    assert chosen == {"soft": written.thin_soft.series_uid, "lung": written.thin_sharp.series_uid}
    by_uid = {v.series.uid: v for v in judgement.decisions}
    assert by_uid[written.thin_sharp.series_uid].chosen_by == ("lung",)
    reason = by_uid[written.thin_soft.series_uid].reason
    assert "soft: chosen" in reason
    assert "lung: kernel does not match" in reason
    assert "mr: modality is CT, not MR" in reason


def test_a_series_that_two_selection_rules_choose_is_segmented_once(study: Study) -> None:
    judgement = judged(study, SelectionRule(name="a"), SelectionRule(name="b"))
    (selection,) = selected(judgement)
    assert selection.folder == "a"
    assert judgement.decisions[0].chosen_by == ("a", "b")
    assert judgement.decisions[0].reason.startswith("chosen: ")


def test_only_one_volume_of_a_series_is_chosen(tmp_path: Path) -> None:
    write_series(tmp_path, 3, SMALL)
    for k, path in enumerate(write_series(tmp_path / "b", 3, replace(SMALL, n_slices=16)).paths):
        series = pydicom.dcmread(min(tmp_path.glob("*.dcm"))).SeriesInstanceUID
        change(path, SeriesInstanceUID=series, AcquisitionNumber=2, InstanceNumber=100 + k)
    judgement = judged(read_study(tmp_path))
    assert [v.reason for v in judgement.decisions] == [
        "volume 1 of 2 in this series (acquisition 2): chosen: 16 slices every 3 mm, soft kernel; "
        "best of 2 suitable series",
        "volume 2 of 2 in this series (acquisition 1): suitable, ranked 2 of 2: "
        "12 slices every 3 mm, soft kernel",
    ]
