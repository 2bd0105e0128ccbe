from dataclasses import replace
from typing import Any

import pytest

from gateway.config import RuleSection
from gateway.rule_matching import ComparedWithRules, SeriesHeader, UnmetCondition, match

CHEST = SeriesHeader(modality="CT", body_part="CHEST", descriptions=("Thorax nativ", "1.0 B30f"))
HEAD = SeriesHeader(modality="MR", body_part="HEAD", descriptions=("Neuro", "t1 mprage"))


def study(*series: SeriesHeader, sender: str = "CT1", n_images: int = 40) -> ComparedWithRules:
    return ComparedWithRules(sender=sender, n_images=n_images, series=series)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, True),
        ({"modalities": ["MR"]}, False),
        ({"modalities": ["PT", "CT"]}, True),
        ({"modalities": []}, True),
        ({"senders": ["CT2"]}, False),
        ({"senders": ["CT2", "CT1"]}, True),
        ({"body_parts": ["abdomen"]}, False),
        ({"body_parts": ["abdomen", "^chest$"]}, True),
        ({"descriptions": ["thorax"]}, True),
        ({"descriptions": ["b30"]}, True),
        ({"descriptions": ["^b30"]}, False),
        ({"body_parts": ["head"], "descriptions": ["thorax"]}, False),
    ],
)
def test_a_gateway_rule_matches_by_sender_modality_body_part_and_description(
    wanted: dict[str, Any], expected: bool
) -> None:
    assert match(RuleSection.model_validate(wanted), study(CHEST)).fits is expected


def test_one_series_has_to_meet_all_conditions_of_a_gateway_rule() -> None:
    rule = RuleSection(modalities=("CT",), body_parts=("HEAD",))
    assert not match(rule, study(CHEST, HEAD)).fits
    assert match(rule, study(HEAD, replace(CHEST, body_part="HEAD"))).fits
    assert not match(RuleSection(), study()).fits


def test_each_condition_of_a_gateway_rule_that_a_study_does_not_meet_is_named_with_limit() -> None:
    rule = RuleSection(
        senders=("CT2", "CT3"),
        modalities=("MR",),
        body_parts=("abdomen", "^pelvis$"),
        descriptions=("leber",),
        min_instances=50,
    )
    found = match(rule, study(CHEST, HEAD))
    assert not found.fits
    assert found.unmet == (
        UnmetCondition(name="sender", value="CT1", wanted="CT2 or CT3"),
        UnmetCondition(name="number of images", value="40", wanted="at least 50"),
    )
    description, patterns = "description of the study or series", "“abdomen” or “^pelvis$”"
    assert [one.unmet for one in found.series] == [
        (
            UnmetCondition(name="modality", value="CT", wanted="MR"),
            UnmetCondition(name="body part examined", value="“CHEST”", wanted=patterns),
            UnmetCondition(
                name=description, value="“Thorax nativ” and “1.0 B30f”", wanted="“leber”"
            ),
        ),
        (
            UnmetCondition(name="body part examined", value="“HEAD”", wanted=patterns),
            UnmetCondition(name=description, value="“Neuro” and “t1 mprage”", wanted="“leber”"),
        ),
    ]
