"""Tests that label errors are detected on few bodies.

benchmarks/quality_rule_detection.py measures it on more.
"""

from collections import Counter
from functools import cache

import pytest

from tests.corruptions import (
    KINDS,
    VARIANTS,
    Kind,
    Need,
    Scan,
    View,
    disagreements_of,
    drawn_anew,
    findings_of,
    phantom_scan,
    real_scans,
    valid_variant,
)
from tests.corruptions.label_errors import flipped
from tests.corruptions.labelled_scans import REAL
from tests.corruptions.unusual_scans import Vary, real_turned
from tests.phantom.drawing import LABELS
from tests.unit.quality.plausibility.tables import Placed, height, spine, table_of
from totalmap.finding import Finding, Severity, Verdict, verdict
from totalmap.quality.plausibility.assess_plausibility import assess_plausibility
from totalmap.structures import Structure

SEED, SPACING_MM = 3, 5.0
VARIANT_SEEDS = range(2)
KINDS_BY_NAME = {kind.name: kind for kind in KINDS}
TOTAL = tuple(Structure(label=label, name=name) for name, label in LABELS.items())


@cache
def findings_with(name: str, scan: Scan) -> tuple[Finding, ...]:
    """Returns the findings on labels with an error."""
    return findings_of(KINDS_BY_NAME[name].corrupt(scan))


@pytest.fixture(scope="module")
def scans() -> list[Scan]:
    """The trunk and the chest of a body, and the real CTs."""
    phantom = [phantom_scan(SEED, view, spacing_mm=SPACING_MM) for view in (View.TRUNK, View.CHEST)]
    return phantom + (list(real_scans()) if REAL.is_dir() else [])


def test_correct_labels_get_the_verdict_ok(scans: list[Scan]) -> None:
    assert {verdict(findings_of(scan)) for scan in scans} == {Verdict.OK}


@pytest.mark.parametrize("name", [k.name for k in KINDS if k.need is not Need.UNSEEN])
def test_a_label_error_is_detected_where_the_structures_that_show_it_are_in_view(
    scans: list[Scan], name: str
) -> None:
    kind: Kind = KINDS_BY_NAME[name]
    where = [scan for scan in scans if kind.applies_to(scan)]
    assert where
    missed = [scan.view for scan in where if not kind.is_detected(findings_with(name, scan))]
    assert missed == []


@pytest.mark.parametrize("name", [k.name for k in KINDS if k.need is Need.UNSEEN])
def test_a_second_opinion_detects_errors_that_the_rules_can_not_detect(name: str) -> None:
    kind, scan = KINDS_BY_NAME[name], phantom_scan(SEED)
    assert kind.applies_to(scan)
    corrupted = kind.corrupt(scan)
    findings = findings_of(corrupted)
    assert disagreements_of(corrupted, drawn_anew(scan, SEED), findings)


def test_a_second_opinion_with_slightly_moved_borders_gives_no_quality_finding(
    scans: list[Scan],
) -> None:
    for scan in scans:
        assert disagreements_of(scan, drawn_anew(scan, SEED), findings_of(scan)) == ()


@pytest.mark.parametrize("vary", VARIANTS, ids=lambda vary: vary.__name__)
def test_correct_labels_in_unusual_scans_get_the_verdict_ok(vary: Vary) -> None:
    if vary is real_turned and not REAL.is_dir():
        pytest.skip("needs shared/data")
    verdicts = Counter(
        verdict(findings_of(valid_variant(vary, seed, SPACING_MM))) for seed in VARIANT_SEEDS
    )
    assert verdicts == {Verdict.OK: len(VARIANT_SEEDS)}


def test_every_label_error_of_the_test_suite_changes_labels(scans: list[Scan]) -> None:
    for kind in KINDS:
        for scan in (one for one in scans if kind.applies_to(one)):
            assert (kind.corrupt(scan).labels != scan.labels).any(), kind.name


def test_the_plausibility_of_a_short_scan_is_judged_by_sides_and_order_only(
    scans: list[Scan],
) -> None:
    trunk = scans[0]
    slices = round(90.0 / SPACING_MM)
    middle = len(trunk.labels) // 2
    low = flipped(trunk, 0)  # labels that are wrong in many ways
    short = Scan(
        labels=low.labels[middle : middle + slices],
        values=low.values[middle : middle + slices],
        geometry=type(low.geometry).regular(
            low.geometry.affine_lps, (slices, *low.geometry.shape[1:])
        ),
        view=low.view,
        looked_for=low.looked_for,
    )
    codes = {one.code for one in findings_of(short)}
    assert codes & {"ORIENTATION", "VERTEBRA_ORDER"}
    assert not codes & {"LEVEL", "ABSENT", "FRAGMENT", "HOLE", "VOLUME", "HU"}


def test_quality_findings_are_sorted_from_the_highest_severity(scans: list[Scan]) -> None:
    findings = findings_with("ribs and vertebrae +1", scans[0])
    severities = [tuple(Severity).index(one.severity) for one in findings]
    assert severities == sorted(severities, reverse=True)
    assert len(set(severities)) > 1


def test_the_density_of_structures_is_judged_in_ct_only() -> None:
    table = table_of(spine() | {"liver": Placed(x=-60, y=-50, z=140, ml=1500, hu=(900, 950, 999))})
    in_ct = assess_plausibility(table, TOTAL, is_hu=True)
    in_mr = assess_plausibility(table, TOTAL, is_hu=False)
    assert ("HU" in {one.code for one in in_ct}, "HU" in {one.code for one in in_mr}) == (
        True,
        False,
    )


def test_empty_labels_a_single_label_and_unknown_structures_give_no_finding() -> None:
    nothing = table_of({})
    assert {one.code for one in assess_plausibility(nothing, TOTAL, is_hu=True)} == set()
    one = table_of({"liver": Placed(ml=1500.0)})
    assert assess_plausibility(one, TOTAL, is_hu=True) == ()
    lesions = [Structure(label=LABELS["liver"], name="lesion"), Structure(label=200, name="more")]
    assert assess_plausibility(one, lesions, is_hu=True) == ()


def test_only_plausibility_rules_that_are_almost_never_wrong_reject_a_result(
    scans: list[Scan],
) -> None:
    """Findings that operations, fractures or disease can cause never reject (quality.md)."""
    may_reject = {
        "MIRRORED",
        "SITUS",
        "ORIENTATION",
        "VERTEBRA_ORDER",
        "VERTEBRA_MISSING",
        "RIB_VERTEBRA",
        "SACRUM",
        "LEVEL",
    }
    trunk = scans[0]
    kinds = (kind for kind in KINDS if kind.applies_to(trunk))
    findings = [one for kind in kinds for one in findings_with(kind.name, trunk)]
    assert {one.code for one in findings if one.severity is Severity.REJECT} <= may_reject


def test_structures_that_the_network_has_not_learnt_give_no_finding() -> None:
    """Three vertebrae with others between them, one kidney of two, two ribs, and the sacrum."""
    vertebrae = {f"vertebrae_{name}": spine()[f"vertebrae_{name}"] for name in ("T9", "T12", "L3")}
    placed = vertebrae | {
        "kidney_left": Placed(x=62.0, y=25.0, z=height(20.5), ml=170.0),
        "rib_left_9": Placed(x=110.0, y=0.0, z=height(17.0), ml=20.0, hu=(150, 250, 350)),
        "rib_right_9": Placed(x=-110.0, y=0.0, z=height(17.0), ml=20.0, hu=(150, 250, 350)),
        "sacrum": Placed(y=40.0, z=height(25.5), ml=250.0, hu=(150, 250, 350)),
    }
    learnt = tuple(one for one in TOTAL if one.name in placed)
    assert verdict(assess_plausibility(table_of(placed), TOTAL, is_hu=True)) is Verdict.REJECT
    assert verdict(assess_plausibility(table_of(placed), learnt, is_hu=True)) is Verdict.OK
