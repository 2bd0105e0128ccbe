from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import segmentations
from tests.phantom.study import CORONAL, SAGITTAL, SeriesSpec, write_series
from tests.segmentations import MODEL, RULE, TASK, segmentation_of, volume_of
from totalmap.finding import Assessment, Finding, Severity
from totalmap.quality.assess import assess
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.texts.catalogue import Language, texts_in
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.presentation.finding_summary import finding_summary
from totalmap.writers.presentation.structure_tables import Row, key_volumes, system_tables
from totalmap.writers.preview.page_drawing import (
    AMBER,
    BAND,
    HEIGHT,
    WIDTH,
    Box,
    Canvas,
    Page,
    heading,
)
from totalmap.writers.preview.pages import drawn_pages, render_pages
from totalmap.writers.preview.painting import grey_window
from totalmap.writers.preview.summary_panel import SummaryPanel

SETTINGS = Settings()
ENGLISH = texts_in(Language.ENGLISH)
SIZE = 40
CUBE = SeriesSpec(
    rows=SIZE,
    columns=SIZE,
    n_slices=SIZE,
    pixel_spacing_mm=(7.0, 7.0),
    slice_spacing_mm=7.0,
    slice_thickness_mm=3.0,
    scanner=None,
)
ORIENTATIONS = {
    "upside down": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "prone": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "coronal": CORONAL,
    "sagittal": SAGITTAL,
}


@pytest.fixture(scope="module")
def pages(true_segmentation: Segmentation) -> list[NDArray[np.uint8]]:
    return render_pages(true_segmentation, SETTINGS)


@pytest.fixture(scope="module")
def axial_pages(tmp_path_factory: pytest.TempPathFactory) -> list[NDArray[np.uint8]]:
    return render_pages(
        segmentation_of(write_series(tmp_path_factory.mktemp("axial"), 1, CUBE)), SETTINGS
    )


@pytest.fixture(scope="module")
def crowded(true_segmentation: Segmentation) -> Segmentation:
    return segmentations.crowded(true_segmentation)


def empty_page(segmentation: Segmentation) -> Page:
    return Page(heading(segmentation, SETTINGS, ENGLISH), ENGLISH, 1, 1)


def structure_rows(segmentation: Segmentation) -> list[Row]:
    tables = system_tables(segmentation, ENGLISH)
    return [row for table in tables for row in table.rows if row.colour]


def words_of(segmentation: Segmentation) -> list[list[str]]:
    return [page.words for page in drawn_pages(segmentation, SETTINGS)]


def colours_of(page: NDArray[np.uint8]) -> set[tuple[int, ...]]:
    red, green, blue = np.moveaxis(page.astype(np.int32), 2, 0)
    packed = np.unique(red << 16 | green << 8 | blue)
    return {(colour >> 16, colour >> 8 & 255, colour & 255) for colour in packed.tolist()}


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_same_voxels_give_the_same_preview_pages_in_any_orientation(
    tmp_path: Path,
    axial_pages: list[NDArray[np.uint8]],
    orientation: tuple[float, float, float, float, float, float],
) -> None:
    written = write_series(tmp_path, 1, replace(CUBE, orientation=orientation))
    for page, axial in zip(
        render_pages(segmentation_of(written), SETTINGS), axial_pages, strict=True
    ):
        differs = (np.abs(page.astype(int) - axial) > 16).any(axis=2)
        assert differs.mean() < 0.01


def test_the_preview_shows_the_left_of_the_patient_on_the_right(
    true_segmentation: Segmentation,
) -> None:
    """The spleen is on the patient's left, the gallbladder on the right."""
    labels = np.where(np.isin(true_segmentation.labels, (1, 4)), true_segmentation.labels, 0)
    page = render_pages(replace(true_segmentation, labels=labels.astype(np.uint8)), SETTINGS)[0]
    legend_left = 1040
    columns = [
        np.nonzero((page[:, :legend_left] == structure_code(name).rgb).all(axis=2))[1].mean()
        for name in ("gallbladder", "spleen")
    ]
    assert columns[0] + 50 < columns[1]


def test_every_preview_page_shows_the_ai_notice(crowded: Segmentation) -> None:
    expected = empty_page(crowded).pixels()[:46]
    assert (expected == AMBER).all(axis=2).mean() > 0.8
    assert not (expected == AMBER).all()
    pages = render_pages(crowded, SETTINGS)
    assert len(pages) == 3
    for page in pages:
        assert page.shape == (HEIGHT, WIDTH, 3)
        np.testing.assert_array_equal(page[:46], expected)


def test_preview_pages_of_a_demo_model_show_the_demo_notice_too(
    true_segmentation: Segmentation,
) -> None:
    demo = replace(true_segmentation, models=(replace(MODEL, notice="for trying out"),))
    lower = slice(BAND + 4, 2 * BAND + 4)
    both = empty_page(demo).pixels()[: lower.stop]
    without = empty_page(true_segmentation).pixels()[:BAND]
    np.testing.assert_array_equal(both[:BAND], without)
    assert (both[lower, :, 2] > both[lower, :, 1] + 80).mean() > 0.8, "a purple band"
    for page in render_pages(demo, SETTINGS):
        np.testing.assert_array_equal(page[: lower.stop], both)


def test_the_preview_legend_has_every_structure(
    crowded: Segmentation, true_segmentation: Segmentation, pages: list[NDArray[np.uint8]]
) -> None:
    rows = structure_rows(crowded)
    assert {row.name for row in rows} == {
        structure_code(structure.name).display_name for structure in TASK.structures
    }
    last = colours_of(render_pages(crowded, SETTINGS)[-1])
    assert {row.colour for row in rows} <= last
    assert len(pages) == 2, "a short legend needs no page of its own"
    legend = colours_of(pages[0][:, 1044:])
    assert {row.colour for row in structure_rows(true_segmentation)} <= legend


def test_the_preview_legend_marks_the_limitations_of_a_structure(
    true_segmentation: Segmentation,
) -> None:
    entries = {row.name: row for row in structure_rows(true_segmentation)}
    assert entries["Liver"].is_incomplete
    assert entries["Liver"].volume.startswith("> ")
    assert not entries["Gallbladder"].is_incomplete
    assert entries["Gallbladder"].volume == "42.8"
    assert entries["Left rib 12"].note == "very small"
    assert entries["Pancreas"].note == ""  # its second piece is a crumb


def test_a_preview_without_structures_says_so(true_segmentation: Segmentation) -> None:
    empty = np.zeros_like(true_segmentation.labels)
    inference = replace(true_segmentation.inference, labels=empty)
    (page,) = render_pages(replace(true_segmentation, labels=empty, inference=inference), SETTINGS)
    np.testing.assert_array_equal(page[:46], empty_page(true_segmentation).pixels()[:46])
    assert (page[:, 1044:] > 200).any(), "words where the legend would be"


def test_the_preview_window_of_an_mr_runs_from_nearly_its_darkest_to_its_brightest_value(
    tmp_path: Path,
) -> None:
    written = write_series(tmp_path, 1, replace(CUBE, modality="MR"))
    rule = RULE.model_copy(update={"modalities": ("MR",)})
    low, high = grey_window(volume_of(written.folder, rule=rule))
    assert written.hu.min() <= low < high <= written.hu.max()
    assert (written.hu > high).mean() < 0.02


def test_preview_views_name_series_and_image_so_that_one_can_scroll_there(
    true_segmentation: Segmentation,
) -> None:
    first, second, *_ = words_of(true_segmentation)
    numbers = {item.frame.instance_number for item in true_segmentation.volume.slices}
    series = true_segmentation.volume.slices[0].instance.series_number
    shown = [word for word in first if word.startswith(f"Axial, series {series}, image ")]
    assert len(shown) == 1
    assert int(shown[0].split()[-1]) in numbers
    images = [int(word.removeprefix("Im ")) for word in second if word.startswith("Im ")]
    assert images[0] == max(numbers)
    assert images[-1] == min(numbers)
    assert {"Coronal", "Sagittal"} <= set(first), "no image of an axial series shows these planes"


def test_every_preview_page_has_series_and_date_and_the_legend_has_totals_of_organs(
    crowded: Segmentation,
) -> None:
    pages = words_of(crowded)
    for words in pages:
        assert any("Series 2" in word and "2020-03-04" in word for word in words)
    for total in ("Lungs, total", "Right lung, total", "Kidneys, total"):
        assert total in pages[0]
        assert total in pages[-1]


def test_a_long_verdict_in_the_preview_has_two_lines_that_can_be_read(
    true_segmentation: Segmentation,
) -> None:
    reason = "The images may be mirrored, or the patient has a situs inversus. " * 3
    finding = Finding(code="SITUS", severity=Severity.REVIEW, sentence=reason)
    doubted = true_segmentation.with_assessment(Assessment(findings=(finding,)))
    page = empty_page(doubted)
    start = page.words.index("AI result, not verified, not for diagnosis") + 1
    lines = page.words[start : start + 2]
    assert " ".join(lines) == f"NEEDS REVIEW: {reason}".strip()
    both = page.pixels()[BAND + 4 : 2 * BAND + 4]
    dark = np.flatnonzero(both.max(axis=2).min(axis=1) < 100)
    assert 2 < dark[0] < dark[-1] < BAND - 2, "letters within the band"


def test_axial_preview_views_of_a_short_series_are_few_and_at_least_5_mm_apart(
    tmp_path: Path,
) -> None:
    spec = replace(CUBE, n_slices=30, slice_spacing_mm=1.0)
    views = words_of(segmentation_of(write_series(tmp_path, 1, spec)))[1]
    images = sorted(int(word.removeprefix("Im ")) for word in views if word.startswith("Im "))
    assert len(images) == 6
    assert min(np.diff(images)) >= 5


def test_the_preview_shows_short_findings_in_large_text(crowded: Segmentation) -> None:
    """Words have the largest size at which the findings and the volumes fit."""
    few, many = (
        SummaryPanel(
            findings=findings,
            legend=(),
            key_volumes=key_volumes(crowded, ENGLISH),
            box=Box(1044, 138, 1564, 1152),
            texts=ENGLISH,
        )
        for findings in ((), finding_summary(crowded.with_assessment(assess(crowded)), ENGLISH))
    )
    heights = []
    for panel in (few, many):
        canvas = Canvas(WIDTH, HEIGHT)
        panel.draw(canvas)
        title = canvas.pixels()[138:162, 1044:1300]
        heights.append(int((title.min(axis=2).max(axis=1) > 100).sum()))
    assert heights[0] > heights[1]


def test_letters_of_directions_stand_outside_of_the_views_of_the_preview(
    true_segmentation: Segmentation,
) -> None:
    page = drawn_pages(true_segmentation, SETTINGS)[0]
    for letter, count in (("R", 2), ("L", 2), ("H", 2), ("F", 2), ("A", 2), ("P", 2)):
        assert page.words.count(letter) == count


def test_the_preview_names_the_lobes_of_a_lung_of_which_a_lobe_was_not_found(
    crowded: Segmentation,
) -> None:
    (missing,) = (one.label for one in TASK.structures if one.name == "lung_upper_lobe_right")
    labels = np.where(crowded.labels == missing, 0, crowded.labels)
    names = [row.name for row in key_volumes(replace(crowded, labels=labels), ENGLISH)]
    assert names[:2] == ["Right middle lobe of lung", "Right lower lobe of lung"]
    assert names[2] == "Left lung, total"
