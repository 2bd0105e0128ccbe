"""Tests that structures beside each other have colours that people tell apart."""

import nibabel
import numpy as np
import pytest

from tests.conftest import REAL_DATA
from tests.structure_colours import (
    LEAST_CHROMA_OF_A_VERTEBRA,
    LEAST_DISTANCES,
    LEAST_LIGHTNESS,
    VERTEBRAE,
    VISIONS,
    Vision,
    chroma,
    distance,
    lab,
    neighbours,
    read_pairs,
    touching_pairs,
)
from totalmap.display_names import known_names
from totalmap.writers.dicom.codes import structure_code

REFERENCE_LABELS = ("ct_3mm_small_reference_labels.nii.gz", "ct_dicom_reference_labels.nii.gz")


@pytest.mark.parametrize("vision", VISIONS)
def test_neighbouring_structures_have_clearly_different_colours_for_colour_blind_people(
    vision: Vision,
) -> None:
    """By CIEDE2000: neighbours in spine and ribs, mirrored ribs, and structures that touch."""
    pairs = neighbours()
    assert len(pairs) > 150
    close = {
        (first, second): between
        for first, second in pairs
        if (between := distance(structure_code(first).rgb, structure_code(second).rgb, vision))
        <= LEAST_DISTANCES[vision]
    }
    assert close == {}


def test_no_vertebra_has_a_colour_nearly_as_grey_as_bone() -> None:
    saturation = chroma(lab(structure_code(name).rgb for name in VERTEBRAE))
    assert {
        name: value
        for name, value in zip(VERTEBRAE, saturation, strict=True)
        if value < LEAST_CHROMA_OF_A_VERTEBRA
    } == {}


def test_no_structure_colour_is_nearly_black() -> None:
    names = known_names()
    lightness = lab(structure_code(name).rgb for name in names)[:, 0]
    assert {
        name: value for name, value in zip(names, lightness, strict=True) if value < LEAST_LIGHTNESS
    } == {}


def test_pairs_of_structures_on_record_are_those_that_touch_in_the_reference_labels() -> None:
    if not REAL_DATA.exists():
        pytest.skip("the reference labels are not here")
    images = (nibabel.load(REAL_DATA / name) for name in REFERENCE_LABELS)
    pairs = set[tuple[str, str]]()
    for image in images:
        pairs |= touching_pairs(np.asarray(image.dataobj).astype(np.int64))
    assert read_pairs() == pairs
