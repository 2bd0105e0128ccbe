"""Draws the legend of the preview: the structures of each body system with colour and volume."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from totalmap.texts.catalogue import Texts
from totalmap.writers.presentation.structure_tables import Row, SystemTable
from totalmap.writers.preview.page_drawing import (
    AMBER,
    BODY_TEXT,
    MUTED,
    SMALL_TEXT,
    TEXT,
    Box,
    Canvas,
    fitting_size,
)

ROW = 21  # in pixels
_HIGHEST_ROW, _LOWEST_ROW = 26, 18
GAP = 32  # between two columns, in pixels
_ROW_OF_TEXT = 1.3
_PATCH = 13
_NAME = 22  # distance of the names from the left
_VOLUME, _NOTE = 84, 76  # width of the columns
_MOST_COLUMNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendLine:
    """A line of the legend: the name of a body system, a structure, or space between systems.

    Attributes:
        heading: The name of a system.
        row: A structure, or a total.
        is_continued: Whether the name stands above the rest of its structures.
    """

    heading: str = ""
    row: Row | None = None
    is_continued: bool = False


Column = Sequence[LegendLine]


def legend_lines(tables: Iterable[SystemTable]) -> tuple[LegendLine, ...]:
    """Returns all lines of the legend."""
    lines: list[LegendLine] = []
    for table in tables:
        lines += [LegendLine()] if lines else []
        lines.append(LegendLine(heading=table.name))
        lines += [LegendLine(row=row) for row in table.rows]
    return tuple(lines)


def legend_columns(lines: Sequence[LegendLine], rows: int) -> list[Column]:
    """Returns the lines as columns of a number of rows; none ends with the name of a system.

    A system that goes on in the next column has its name there, too.
    """
    longest = max(rows, 2)
    columns: list[list[LegendLine]] = [[]]
    system = ""
    for line in lines:
        system = line.heading or system
        if len(columns[-1]) == longest:
            moved = [columns[-1].pop()] if columns[-1][-1].heading else []
            if line.row and not moved:
                moved = [LegendLine(heading=system, is_continued=True)]
            columns.append(moved)
        if columns[-1] or line.heading or line.row:
            columns[-1].append(line)
    return [column for column in columns if column]


def legend_pages(lines: Sequence[LegendLine], height: int) -> tuple[list[list[Column]], int]:
    """Returns the columns of each page, and the greatest height of a row at which one is enough.

    If no height is enough, it is the lowest.
    """
    row = _HIGHEST_ROW
    columns = legend_columns(lines, height // row)
    while len(columns) > _MOST_COLUMNS and row > _LOWEST_ROW:
        row -= 1
        columns = legend_columns(lines, height // row)
    pages = [columns[n : n + _MOST_COLUMNS] for n in range(0, len(columns), _MOST_COLUMNS)]
    return pages, row


def draw_legend(
    canvas: Canvas, box: Box, columns: Sequence[Column], row: int, texts: Texts
) -> None:
    """Draws the columns of a page side by side; a row is `row` pixels high."""
    width = (box.width - (_MOST_COLUMNS - 1) * GAP) // _MOST_COLUMNS
    for number, column in enumerate(columns):
        left = box.left + number * (width + GAP)
        part = Box(left, box.top, left + width, box.bottom)
        draw_column(canvas, part, column, texts, row)


def text_of(row: int) -> int:
    """Returns the size of the text in a row of the legend."""
    return min(row - 4, round(row / _ROW_OF_TEXT))


def draw_column(canvas: Canvas, box: Box, column: Column, texts: Texts, row: int = ROW) -> None:
    """Draws a column of the legend; the height of a row decides the size of the text."""
    size = text_of(row)
    heading = max(size, BODY_TEXT)
    for number, line in enumerate(column):
        top = box.top + number * row
        if line.row:
            _draw_row(canvas, box, top + row // 2 + 1, line.row, size)
        elif line.heading:
            bottom = top + row - 4
            words = line.heading
            if line.is_continued:
                words = texts("legend.continued", system=words)
            canvas.text((box.left, bottom), words, heading, TEXT, "ls", bold=True)
            unit = texts("legend.volume")
            canvas.text((box.right - _NOTE, bottom), unit, SMALL_TEXT, MUTED, "rs")
            canvas.line(box.left, box.right, top + row)


def _draw_row(canvas: Canvas, box: Box, middle: int, row: Row, size: int) -> None:
    volume_right = box.right - _NOTE
    if row.colour:
        upper = middle - _PATCH // 2
        canvas.patch(Box(box.left, upper, box.left + _PATCH, upper + _PATCH), row.colour)
    bold = row.is_total
    width = box.width - _NAME - _VOLUME - _NOTE
    name_size = fitting_size([row.name], size, width, bold=bold)
    canvas.text((box.left + _NAME, middle), row.name, name_size, TEXT, "lm", bold=bold)
    colour = AMBER if row.is_incomplete else TEXT
    canvas.text((volume_right, middle), row.volume, size, colour, "rm", bold=bold)
    note = fitting_size([row.note], SMALL_TEXT, _NOTE - 8)
    canvas.text((volume_right + 8, middle), row.note, note, MUTED, "lm")
