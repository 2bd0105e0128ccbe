"""Lays out and draws the words beside the three views: what matters, and the volumes.

The text is as large as the box allows, so that it can be read at arm's length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from totalmap.texts.catalogue import Texts
from totalmap.writers.presentation.finding_summary import SummaryLine, Weight
from totalmap.writers.presentation.structure_tables import Row
from totalmap.writers.preview.legend import ROW, LegendLine, draw_column
from totalmap.writers.preview.page_drawing import (
    AMBER,
    BODY_TEXT,
    MUTED,
    TEXT,
    Box,
    Canvas,
    Colour,
    text_width,
    wrapped,
)

_SIZES = (20, 18, BODY_TEXT)  # of text, in pixels; the largest one that fits is used
_ROW_OF_TEXT, _LINE_OF_TEXT = 1.3, 1.375  # heights of a legend row and of a line, for a text size
_LOWEST_ROW = 17  # of the whole legend, in pixels
_MOST_LINES = 5  # of a finding
_ELLIPSIS = " ..."
_BELOW_TITLE, _BELOW_FINDINGS, _BETWEEN_FINDINGS = 6, 12, 4
_WEIGHT_COLOURS: dict[Weight, Colour] = {
    Weight.REJECT: AMBER,
    Weight.REVIEW: AMBER,
    Weight.WARNING: TEXT,
    Weight.INFORMATION: MUTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Style:
    """Sizes in pixels: of the text, and of a row of the legend."""

    text: int
    row: int
    has_whole_legend: bool = False

    @property
    def line(self) -> int:
        return round(self.text * _LINE_OF_TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryPanel:
    """The words beside the views.

    Attributes:
        findings: The findings and warnings, the gravest first.
        legend: All lines of the legend.
        key_volumes: The volumes that are shown if there is no room for the whole legend.
        box: The place of the words.
    """

    findings: tuple[SummaryLine, ...]
    legend: tuple[LegendLine, ...]
    key_volumes: tuple[Row, ...]
    box: Box
    texts: Texts

    @property
    def has_whole_legend(self) -> bool:
        """Whether the whole legend fits below the findings."""
        return self._style().has_whole_legend

    def draw(self, canvas: Canvas) -> None:
        """Draws what matters, and below it the whole legend or the key volumes."""
        style, texts = self._style(), self.texts
        box = self.box._replace(top=self._draw_findings(canvas, style))
        if style.has_whole_legend:
            draw_column(canvas, box, self.legend, texts, style.row)
            return
        lines = [LegendLine(heading=texts("summary.volumes"))]
        rows = max(box.height // style.row - 3, 0)
        lines += [LegendLine(row=row) for row in self.key_volumes[:rows]]
        draw_column(canvas, box, lines, texts, style.row)
        top = box.top + (len(lines) + 1) * style.row
        canvas.text((box.left, top), texts("legend.see_page", page=3), style.text, MUTED)

    def draw_findings(self, canvas: Canvas) -> int:
        """Draws what matters alone; returns the row below."""
        return self._draw_findings(canvas, _style_of(_SIZES[0]))

    def _style(self) -> _Style:
        """Returns the largest sizes at which everything fits; a legend on this page saves one."""
        large = [_style_of(size) for size in _SIZES]
        small = [_Style(text=BODY_TEXT, row=row) for row in range(ROW, _LOWEST_ROW - 1, -1)]
        for style in (*large, *small):
            if self._fits(style, len(self.legend)):
                return _Style(text=style.text, row=style.row, has_whole_legend=True)
        volumes = len(self.key_volumes) + 3
        return next((style for style in large if self._fits(style, volumes)), large[-1])

    def _fits(self, style: _Style, rows: int) -> bool:
        shown = self._lines(style)
        is_complete = len(shown) == len(self.findings) or not self.findings
        is_complete &= not any(lines[-1].endswith(_ELLIPSIS) for lines in shown)
        return is_complete and self._height(shown, style) + rows * style.row <= self.box.height

    def _height(self, shown: Sequence[Sequence[str]], style: _Style) -> int:
        """Returns the height of the findings with their title."""
        lines = sum(map(len, shown)) + 1
        gaps = _BELOW_TITLE + _BELOW_FINDINGS + len(shown) * _BETWEEN_FINDINGS
        return lines * style.line + gaps

    def _lines(self, style: _Style) -> list[list[str]]:
        """Returns the lines of each finding that there is room for, without their labels."""
        if not self.findings:
            return [wrapped(self.texts("summary.nothing"), style.text, self.box.width)]
        room = self.box.height // style.line // 2
        shown: list[list[str]] = []
        for finding in self.findings:
            indent = _label_width(finding, style)
            lines = wrapped(finding.text, style.text, self.box.width, indent)
            if len(lines) > _MOST_LINES:
                last = _shortened(lines[_MOST_LINES - 1], style.text, self.box.width)
                lines = [*lines[: _MOST_LINES - 1], last]
            if sum(map(len, shown)) + len(lines) > room:
                break
            shown.append(lines)
        return shown

    def _draw_findings(self, canvas: Canvas, style: _Style) -> int:
        left, top = self.box.left, self.box.top
        title = self.texts("summary.title")
        canvas.text((left, top), title, style.text + 2, TEXT, bold=True)
        top += style.line + _BELOW_TITLE
        shown = self._lines(style)
        for number, lines in enumerate(shown):
            finding = self.findings[number] if self.findings else None
            colour = _WEIGHT_COLOURS[finding.weight] if finding else MUTED
            indent = _label_width(finding, style) if finding else 0
            if finding:
                canvas.text((left, top), f"{finding.label}:", style.text, colour, bold=True)
            for line in lines:
                canvas.text((left + indent, top), line, style.text, colour)
                indent = 0
                top += style.line
            top += _BETWEEN_FINDINGS
        left_out = len(self.findings) - len(shown)
        if left_out > 0:
            words = self.texts("summary.more", count=left_out)
            canvas.text((left, top), words, style.text, MUTED)
            top += style.line
        return top + _BELOW_FINDINGS


def _style_of(text: int) -> _Style:
    return _Style(text=text, row=round(text * _ROW_OF_TEXT))


def _shortened(line: str, size: int, width: int) -> str:
    """Returns the words of a line that fit into a width before an ellipsis."""
    while " " in line and text_width(line + _ELLIPSIS, size) > width:
        line = line.rpartition(" ")[0]
    return line + _ELLIPSIS


def _label_width(finding: SummaryLine, style: _Style) -> int:
    """Returns the width of the label in bold with the space behind it."""
    label = text_width(f"{finding.label}:", style.text, bold=True)
    return round(label + text_width(" ", style.text))
