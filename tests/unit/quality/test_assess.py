"""Errors of one network are reported, and differences of two good results are not."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from totalmap.engine.confidence import opinions
from totalmap.finding import Finding, Severity
from totalmap.quality.assess import LOWEST_DICE, assess, box_edges, disagreements
from totalmap.segmentation import Confidence, InferenceLabels, Opinion, Segmentation
from totalmap.structures import BoxContact, Face, Structure

LIVER, KIDNEY, SPLEEN, GLAND = (
    Structure(label=label, name=name)
    for label, name in (
        (5, "liver"),
        (2, "kidney_right"),
        (1, "spleen"),
        (8, "adrenal_gland_right"),
    )
)
STRUCTURES = (SPLEEN, KIDNEY, LIVER, GLAND)
# Of a body of 180 x 150 x 120 mm: centre and half axes in mm.
ELLIPSOIDS = {
    LIVER: ((50.0, 70.0, 60.0), (40.0, 45.0, 35.0)),
    KIDNEY: ((110.0, 40.0, 40.0), (14.0, 15.0, 27.0)),
    SPLEEN: ((140.0, 90.0, 60.0), (20.0, 26.0, 28.0)),
    GLAND: ((110.0, 80.0, 90.0), (7.0, 7.0, 7.0)),
}
SIZE_MM = (180.0, 150.0, 120.0)
Labels = NDArray[np.uint8]
Corruption = Callable[[Labels], Labels]


def body_at(spacing_mm: float) -> Labels:
    """Returns the true body at a resolution, (x, y, z)."""
    axes = [np.arange(0, size, spacing_mm) for size in SIZE_MM]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    labels = np.zeros(places.shape[:3], dtype=np.uint8)
    for structure, (centre, half) in ELLIPSOIDS.items():
        inside = (((places - centre) / half) ** 2).sum(axis=-1) <= 1
        labels[inside] = structure.label
    return labels


def seen(labels: Labels, spacing_mm: float) -> InferenceLabels:
    return InferenceLabels(labels=labels, affine_lps=np.diag([spacing_mm] * 3 + [1.0]))


def found(corruption: Corruption, *, spoilt: float) -> tuple[Finding, ...]:
    """Returns the findings if the labels of one resolution are corrupted."""
    one, other = (
        seen(corruption(body_at(mm)) if mm == spoilt else body_at(mm), mm) for mm in (1.5, 3.0)
    )
    return disagreements(Confidence(margins=(), opinions=opinions(one, other, STRUCTURES)))


def missing(structure: Structure) -> Corruption:
    return lambda labels: np.where(labels == structure.label, 0, labels).astype(np.uint8)


def renamed(labels: Labels) -> Labels:
    labels[labels == KIDNEY.label] = GLAND.label
    return labels


def mirrored(labels: Labels) -> Labels:
    return labels[::-1].copy()


def half_lost(labels: Labels) -> Labels:
    labels[(labels == LIVER.label) & (np.arange(labels.shape[2]) < labels.shape[2] // 2)] = 0
    return labels


def hollow(labels: Labels) -> Labels:
    z, y, x = (np.asarray(size) for size in np.nonzero(labels == LIVER.label))
    middle = [(axis.min() + axis.max()) / 2 for axis in (z, y, x)]
    reach = [(axis.max() - axis.min()) / 2 for axis in (z, y, x)]
    away = sum(
        ((axis - at) / half) ** 2 for axis, at, half in zip((z, y, x), middle, reach, strict=True)
    )
    core = away < 0.75
    labels[z[core], y[core], x[core]] = 0
    return labels


def moved(labels: Labels) -> Labels:
    """Moves the spleen by 30 mm."""
    mask = labels == SPLEEN.label
    labels[mask] = 0
    labels[np.roll(mask, -(labels.shape[2] // 4), axis=2)] = SPLEEN.label
    return labels


def everything_lost(labels: Labels) -> Labels:
    return np.zeros_like(labels)


@pytest.mark.parametrize("spoilt", [1.5, 3.0])
@pytest.mark.parametrize(
    ("corruption", "names"),
    [
        (missing(GLAND), {"adrenal_gland_right"}),
        (renamed, {"kidney_right", "adrenal_gland_right"}),
        (mirrored, {"liver", "kidney_right", "spleen", "adrenal_gland_right"}),
        (half_lost, {"liver"}),
        (hollow, {"liver"}),
        (moved, {"spleen"}),
        (everything_lost, {"liver", "kidney_right", "spleen", "adrenal_gland_right"}),
    ],
)
def test_an_error_of_one_network_is_reported_as_disagreement_of_the_second_opinion(
    corruption: Corruption, names: set[str], spoilt: float
) -> None:
    findings = found(corruption, spoilt=spoilt)
    assert {one.structure for one in findings} == names
    for one in findings:
        assert (one.code, one.severity, one.limit) == ("DISAGREEMENT", Severity.REVIEW, LOWEST_DICE)
        assert one.value is not None
        assert one.value < LOWEST_DICE


def test_correct_labels_at_two_resolutions_give_no_finding() -> None:
    assert found(lambda labels: labels, spoilt=1.5) == ()


def test_an_error_that_both_networks_make_gives_no_finding_of_the_second_opinion() -> None:
    one, other = (seen(half_lost(body_at(mm)), mm) for mm in (1.5, 3.0))
    agreement = opinions(one, other, STRUCTURES)
    assert disagreements(Confidence(margins=(), opinions=agreement)) == ()


@pytest.mark.parametrize(
    ("volumes_ml", "incomplete", "count"),
    [
        ((0.4, 0.9), (), 0),
        ((0.4, 1.1), (), 1),
        ((1.1, 0.0), (), 1),
        ((1.1, 4.0), ("liver",), 0),
        ((5.1, 0.0), ("liver",), 1),
        ((1.1, 4.0), ("spleen",), 1),
    ],
)
def test_disagreement_of_two_networks_on_tiny_structures_is_not_reported(
    volumes_ml: tuple[float, float], incomplete: tuple[str, ...], count: int
) -> None:
    own, other = volumes_ml
    opinion = Opinion(structure=LIVER, dice=0.3, volume_ml=own, other_volume_ml=other)
    assert len(disagreements(Confidence(margins=(), opinions=(opinion,)), incomplete)) == count


def test_the_sentence_on_a_disagreement_of_two_networks_has_the_dice_and_both_volumes() -> None:
    opinion = Opinion(structure=KIDNEY, dice=0.4321, volume_ml=150.4, other_volume_ml=51.2)
    (finding,) = disagreements(Confidence(margins=(), opinions=(opinion,)))
    assert finding.sentence == (
        "Two networks disagree about the right kidney: Dice 0.43 (expected at least 0.7), 150 mL "
        "in this result and 51 mL in the other one."
    )


def test_a_result_without_second_opinion_has_no_disagreement_finding() -> None:
    assert disagreements(None) == disagreements(Confidence(margins=())) == ()


def test_a_structure_that_reaches_the_edge_of_its_box_needs_a_review(
    true_segmentation: Segmentation,
) -> None:
    contact = BoxContact(structure=KIDNEY, faces=(Face.LEFT, Face.SUPERIOR))
    (finding,) = box_edges([contact])
    assert (finding.code, finding.structure) == ("BOX_EDGE", "kidney_right")
    assert finding.severity is Severity.REVIEW
    assert "right kidney" in finding.sentence
    assert "left and superior edges of the box" in finding.sentence
    assert finding in assess(replace(true_segmentation, box_contacts=(contact,))).findings
    assert finding not in assess(true_segmentation).findings
