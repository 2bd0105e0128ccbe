"""The legend of the preview: each structure with its colour, its volume and what to know of it."""

from dataclasses import dataclass

from totalmap.segmentation import Segmentation
from totalmap.structures import Flag, MeasuredStructure
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.preview.drawing import (
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

ROW = 24
GAP = 32  # between two columns
CUT_SIGN = ">"
CUT_EXPLAINED = f"{CUT_SIGN} cut by the edge of the field of view: the true volume is larger"
_HEADER = 34
_PATCH = 15
_NAME = 27  # where names begin
_VOLUME, _REMARK = 84, 72  # the width of columns


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendEntry:
    """A row of the legend.

    Attributes:
        volume: In mL, with a sign in front where the structure is cut off.
        remark: In a word or two, or empty.
    """

    name: str
    rgb: Colour
    volume: str
    is_cut: bool
    remark: str


def legend_entries(segmentation: Segmentation) -> tuple[LegendEntry, ...]:
    """Returns a row for every structure that was found, by label."""
    return tuple(_entry(found) for found in segmentation.found())


def _entry(found: MeasuredStructure) -> LegendEntry:
    code = structure_code(found.structure.name)
    is_cut = Flag.INCOMPLETE in found.flags
    volume = volume_text(found.volume_ml)
    return LegendEntry(
        name=code.display_name,
        rgb=code.rgb,
        volume=f"{CUT_SIGN} {volume}" if is_cut else volume,
        is_cut=is_cut,
        remark=_remark(found),
    )


def _remark(found: MeasuredStructure) -> str:
    if Flag.FEW_VOXELS in found.flags:
        return "tiny"
    return f"{found.components} pieces" if Flag.SEVERAL_COMPONENTS in found.flags else ""


def volume_text(volume_ml: float) -> str:
    """Returns a volume in mL as people write it."""
    return f"{volume_ml:,.1f}" if volume_ml >= 1 else f"{volume_ml:.2f}"


def rows_in(box: Box) -> int:
    """Returns how many rows a column in a box has, its header left aside."""
    return (box.height - _HEADER) // ROW


def draw_legend(page: Page, box: Box, entries: tuple[LegendEntry, ...], columns: int) -> None:
    """Draws as many entries as fit, column by column, all names in one size."""
    width = (box.width - (columns - 1) * GAP) // columns
    rows = rows_in(box)
    names = [entry.name for entry in entries]
    size = fitting_size(names, BODY_TEXT, width - _NAME - _VOLUME - _REMARK)
    for column in range(min(columns, -(-len(entries) // rows))):
        left = box.left + column * (width + GAP)
        part = entries[column * rows : (column + 1) * rows]
        _draw_column(page, Box(left, box.top, left + width, box.bottom), part, size)


def _draw_column(page: Page, box: Box, entries: tuple[LegendEntry, ...], size: int) -> None:
    volume_right = box.right - _REMARK
    page.text((box.left, box.top), "Structure", SMALL_TEXT, MUTED)
    page.text((volume_right, box.top), "mL", SMALL_TEXT, MUTED, "ra")
    page.line(box.left, box.right, box.top + 24)
    for row, entry in enumerate(entries):
        middle = box.top + _HEADER + row * ROW + ROW // 2
        top = middle - _PATCH // 2
        page.patch(Box(box.left, top, box.left + _PATCH, top + _PATCH), entry.rgb)
        page.text((box.left + _NAME, middle), entry.name, size, TEXT, "lm")
        colour = AMBER if entry.is_cut else TEXT
        page.text((volume_right, middle), entry.volume, BODY_TEXT, colour, "rm")
        page.text((volume_right + 10, middle), entry.remark, SMALL_TEXT, MUTED, "lm")
