from dataclasses import replace

import numpy as np
import pytest

from totalmap.finding import Assessment, Finding, Severity
from totalmap.segmentation import Segmentation
from totalmap.texts.catalogue import Language, texts_in
from totalmap.writers.overlay.annotations import annotations, direction, opposite
from totalmap.writers.overlay.legend import Legend

SIDE = 480

ENGLISH = texts_in(Language.ENGLISH)


def magnified(segmentation: Segmentation, factor: int = 5) -> Segmentation:
    """Returns a segmentation with each of the 96 x 96 pixels repeated."""
    labels = segmentation.labels.repeat(factor, axis=1).repeat(factor, axis=2)
    voxels = segmentation.volume.voxels.repeat(factor, axis=1).repeat(factor, axis=2)
    geometry = replace(segmentation.volume.geometry, shape=labels.shape)
    volume = replace(segmentation.volume, voxels=voxels, geometry=geometry)
    return replace(segmentation, volume=volume, labels=labels)


@pytest.mark.parametrize(
    ("cosines", "letter"),
    [
        ((1, 0, 0), "L"),
        ((-1, 0, 0), "R"),
        ((0, 0.9, 0.3), "P"),
        ((0, -1, 0), "A"),
        ((0.1, 0.2, 0.9), "H"),
        ((0, 0, -1), "F"),
    ],
)
def test_a_direction_letter_of_the_overlay_is_the_side_of_the_patient_it_points_to(
    cosines: tuple[float, float, float], letter: str
) -> None:
    assert direction(cosines) == letter
    assert direction([-n for n in cosines]) == opposite(letter)


def test_an_overlay_of_a_result_that_needs_review_has_a_second_notice(
    true_segmentation: Segmentation,
) -> None:
    finding = Finding(code="LEVEL", severity=Severity.REVIEW, sentence="A rib is missing.")
    reviewed = replace(true_segmentation, assessment=Assessment(findings=(finding,)))
    plain, marked = (
        annotations(magnified(one), [], ENGLISH) for one in (true_segmentation, reviewed)
    )
    assert len(plain.notices) == 1
    assert len(marked.notices) == 2
    assert marked.body_top > plain.body_top


@pytest.mark.parametrize(("factor", "lines"), [(5, 1), (3, 1), (1, 3)])
def test_the_overlay_notice_has_as_many_lines_as_a_narrow_image_needs(
    true_segmentation: Segmentation, factor: int, lines: int
) -> None:
    notices = annotations(magnified(true_segmentation, factor), [], ENGLISH).notices
    assert len(notices) == lines
    for notice in notices:
        rows, columns = notice.halo.shape
        assert rows > 6  # readable
        assert columns <= 96 * factor - notice.left <= 96 * factor


def test_texts_of_the_overlay_change_only_the_pixels_around_them(
    true_segmentation: Segmentation,
) -> None:
    texts = annotations(magnified(true_segmentation), ["overlay.lung_window"], ENGLISH)
    planes = np.full((3, SIDE, SIDE), 100, dtype=np.uint8)
    texts.draw(planes, "overlay.lung_window")
    is_changed = (planes != 100).any(axis=0)
    assert 0.002 < is_changed.mean() < 0.02
    assert is_changed[-20:, :100].any()  # the window
    assert is_changed[:20].any()  # the notice
    assert is_changed[SIDE // 3 - 10 : SIDE // 3 + 10, :20].any()  # R
    assert not is_changed[200:400].any()


def test_the_overlay_legend_of_one_image_has_all_structures(
    true_segmentation: Segmentation,
) -> None:
    legend = Legend(magnified(true_segmentation), 20, images=40, texts=ENGLISH)
    (part,) = legend.parts
    names = [row.name for column in part for row in column.rows]
    assert len(names) == len(true_segmentation.found())
    assert names[0].replace("  ", " ") == "Spleen"


def test_an_overlay_legend_without_enough_images_says_how_many_structures_are_left_out(
    true_segmentation: Segmentation,
) -> None:
    legend = Legend(true_segmentation, 40, images=2, texts=ENGLISH)
    assert len(legend) == 2
    rows = [row for part in legend.parts for column in part for row in column.rows]
    left_out = len(true_segmentation.found()) - len(rows) + 1
    assert rows[-1].name.replace("  ", " ") == f"and {left_out} more"
