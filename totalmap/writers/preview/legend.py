"""Draws the legend of the preview: colour, name, volume and limitations of each structure."""

from dataclasses import dataclass

from totalmap.limitation_words import INCOMPLETE_MARK, legend_note
from totalmap.segmentation import Segmentation
from totalmap.structures import Limitation, MeasuredStructure
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.preview.page_drawing import (
    AMBER,
    BODY_TEXT,
    MUTED,
    SMALL_TEXT,
    TEXT,
    Box,
    Colour,
    Page,
    fitting_size,
)

ROW = 24  # in pixels
GAP = 32  # between two columns, in pixels
_HEADER = 34
_PATCH = 15
_NAME = 27  # distance of the names from the left
_VOLUME, _NOTE = 84, 84  # width of the columns


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendEntry:
    """A row of the legend.

    Attributes:
        volume: In mL, with a mark in front if the structure is incomplete.
        note: Further limitations in a word or two, or empty.
    """

    name: str
    rgb: Colour
    volume: str
    is_incomplete: bool
    note: str


def legend_entries(segmentation: Segmentation) -> tuple[LegendEntry, ...]:
    """Returns a row for every structure that was found, by label."""
    return tuple(_entry(found) for found in segmentation.found())


def _entry(found: MeasuredStructure) -> LegendEntry:
    code = structure_code(found.structure.name)
    return LegendEntry(
        name=code.display_name,
        rgb=code.rgb,
        volume=volume_text(found),
        is_incomplete=Limitation.INCOMPLETE in found.limitations,
        note=legend_note(found),
    )


def volume_text(found: MeasuredStructure) -> str:
    """Returns a volume in mL for people, with a mark in front if the structure is incomplete."""
    volume_ml = found.volume_ml
    text = f"{volume_ml:,.1f}" if volume_ml >= 1 else f"{volume_ml:.2f}"
    return f"{INCOMPLETE_MARK} {text}" if Limitation.INCOMPLETE in found.limitations else text


def rows_in(box: Box) -> int:
    """Returns the number of rows of a column in a box, without its header."""
    return (box.height - _HEADER) // ROW


def draw_legend(page: Page, box: Box, entries: tuple[LegendEntry, ...], columns: int) -> None:
    """Draws as many entries as fit, column by column, with all names in one size of text."""
    width = (box.width - (columns - 1) * GAP) // columns
    rows = rows_in(box)
    names = [entry.name for entry in entries]
    size = fitting_size(names, BODY_TEXT, width - _NAME - _VOLUME - _NOTE)
    for column in range(min(columns, -(-len(entries) // rows))):
        left = box.left + column * (width + GAP)
        part = entries[column * rows : (column + 1) * rows]
        _draw_column(page, Box(left, box.top, left + width, box.bottom), part, size)


def _draw_column(page: Page, box: Box, entries: tuple[LegendEntry, ...], size: int) -> None:
    volume_right = box.right - _NOTE
    page.text((box.left, box.top), "Structure", SMALL_TEXT, MUTED)
    page.text((volume_right, box.top), "mL", SMALL_TEXT, MUTED, "ra")
    page.line(box.left, box.right, box.top + 24)
    for row, entry in enumerate(entries):
        middle = box.top + _HEADER + row * ROW + ROW // 2
        top = middle - _PATCH // 2
        page.patch(Box(box.left, top, box.left + _PATCH, top + _PATCH), entry.rgb)
        page.text((box.left + _NAME, middle), entry.name, size, TEXT, "lm")
        colour = AMBER if entry.is_incomplete else TEXT
        page.text((volume_right, middle), entry.volume, BODY_TEXT, colour, "rm")
        page.text((volume_right + 10, middle), entry.note, SMALL_TEXT, MUTED, "lm")
