"""Draws the pages of the preview, for viewers that show neither SEG nor RTSTRUCT.

The first page is a summary: three views, what matters, and the key volumes or the whole legend. The
second page shows axial views from head to feet. A long legend follows on further pages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.texts.catalogue import Texts, texts_in
from totalmap.writers.presentation.finding_summary import SummaryLine, Weight, finding_summary
from totalmap.writers.presentation.structure_tables import Row, key_volumes, system_tables
from totalmap.writers.presentation.title_and_notices import found_words, source_words
from totalmap.writers.preview.legend import (
    ROW,
    Column,
    LegendLine,
    draw_column,
    draw_legend,
    legend_lines,
    legend_pages,
)
from totalmap.writers.preview.page_drawing import (
    AMBER,
    BODY_TEXT,
    EDGE,
    MUTED,
    TEXT,
    Box,
    Colour,
    Heading,
    Page,
    heading,
    wrapped,
)
from totalmap.writers.preview.views import (
    Scene,
    axial_words,
    draw_axial_views,
    draw_three_views,
    scene_of,
)

_SUMMARY_WIDTH = 520
_LINE = 22  # height of a line of text in pixels
_LOWEST_ROW = 17  # of the legend beside the views, in pixels
_MOST_LINES = 5  # of a finding in the summary
_NOTHING_FOUND_TEXT = 28
_WEIGHT_COLOURS: dict[Weight, Colour] = {
    Weight.REJECT: AMBER,
    Weight.REVIEW: AMBER,
    Weight.WARNING: TEXT,
    Weight.INFORMATION: MUTED,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Content:
    """The content of all pages."""

    scene: Scene
    heading: Heading
    texts: Texts
    legend: tuple[LegendLine, ...]
    key_volumes: tuple[Row, ...]
    findings: tuple[SummaryLine, ...]

    @property
    def segmentation(self) -> Segmentation:
        return self.scene.segmentation

    @property
    def summary(self) -> Box:
        """The place of the words on the first page."""
        return self.heading.body._replace(left=self.heading.body.right - _SUMMARY_WIDTH)

    @property
    def has_incomplete(self) -> bool:
        return any(line.row and line.row.is_incomplete for line in self.legend)

    @property
    def row_beside_the_views(self) -> int | None:
        """Height of a row at which the whole legend fits below the findings; None: none does."""
        words = sum(map(len, _summary_lines(self))) + 2
        room = self.summary.height - words * _LINE
        rows = range(ROW, _LOWEST_ROW - 1, -1)
        return next((row for row in rows if row * len(self.legend) <= room), None)


def render_pages(
    segmentation: Segmentation, settings: Settings, texts: Texts | None = None
) -> list[NDArray[np.uint8]]:
    """Returns the pages, (1200, 1600, 3) RGB each.

    Args:
        segmentation: The result.
        settings: The settings with language and identity.
        texts: The texts; None: those of the language of the settings.

    Raises:
        OutputError: A structure has no name and colour.
    """
    return [page.pixels() for page in drawn_pages(segmentation, settings, texts)]


def drawn_pages(
    segmentation: Segmentation, settings: Settings, texts: Texts | None = None
) -> list[Page]:
    """Returns the pages with the words on them; arguments and errors as `render_pages`."""
    told = texts or texts_in(settings.report.language)
    content = _Content(
        scene=scene_of(segmentation, told),
        heading=heading(segmentation, settings, told),
        texts=told,
        legend=legend_lines(system_tables(segmentation, told)),
        key_volumes=key_volumes(segmentation, told),
        findings=finding_summary(segmentation, told),
    )
    painters = _painters(content)
    pages = []
    for number, painter in enumerate(painters, start=1):
        page = Page(content.heading, told, number, len(painters))
        painter(page)
        pages.append(page)
    return pages


def _painters(content: _Content) -> list[Callable[[Page], None]]:
    """Returns the function that paints each page."""
    if not content.legend:
        return [partial(_paint_nothing_found, content)]
    painters: list[Callable[[Page], None]] = [
        partial(_paint_summary, content),
        partial(_paint_axial_views, content),
    ]
    if content.row_beside_the_views is None:
        pages, row = legend_pages(content.legend, content.heading.body.height)
        painters += [partial(_paint_legend, content, columns, row) for columns in pages]
    return painters


def _paint_summary(content: _Content, page: Page) -> None:
    """Paints the three views, and beside them what matters and the volumes."""
    _paint_subtitle(content, page)
    _paint_views(content, page)
    box, texts = content.summary, content.texts
    top = _paint_findings(content, page)
    row = content.row_beside_the_views
    if row is not None:
        draw_column(page, box._replace(top=top), content.legend, texts, row)
    else:
        rows = (box.bottom - top) // ROW - 3
        lines = [LegendLine(heading=texts("summary.volumes"))]
        lines += [LegendLine(row=row) for row in content.key_volumes[: max(rows, 0)]]
        draw_column(page, box._replace(top=top), lines, texts)
        words = texts("legend.see_page", page=3)
        page.text((box.left, top + (len(lines) + 1) * ROW), words, BODY_TEXT, MUTED)
    _explain_incomplete(content, page)


def _paint_subtitle(content: _Content, page: Page) -> None:
    segmentation, texts = content.segmentation, content.texts
    parts = [found_words(segmentation, texts), source_words(segmentation, texts)]
    if content.scene.shows_lungs:
        parts.append(texts("view.lung_window"))
    page.subtitle(" · ".join(parts))


def _paint_views(content: _Content, page: Page) -> None:
    body = content.heading.body
    box = Box(body.left, body.top, content.summary.left - EDGE // 2, body.bottom)
    draw_three_views(page, box, content.scene)


def _summary_lines(content: _Content) -> list[list[str]]:
    """Returns the lines of each finding that the first page has room for."""
    texts = content.texts
    if not content.findings:
        return [wrapped(texts("summary.nothing"), BODY_TEXT, _SUMMARY_WIDTH)]
    room = content.summary.height // _LINE // 2
    shown: list[list[str]] = []
    for finding in content.findings:
        lines = wrapped(f"{finding.label}: {finding.text}", BODY_TEXT, _SUMMARY_WIDTH)
        if len(lines) > _MOST_LINES:
            lines = [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1]} ..."]
        if sum(map(len, shown)) + len(lines) > room:
            break
        shown.append(lines)
    return shown


def _paint_findings(content: _Content, page: Page) -> int:
    """Paints what matters, the gravest first; returns the row below."""
    box, texts, top = content.summary, content.texts, content.summary.top
    page.text((box.left, top), texts("summary.title"), BODY_TEXT + 2, TEXT, bold=True)
    top += _LINE + 6
    shown = _summary_lines(content)
    for number, lines in enumerate(shown):
        weight = content.findings[number].weight if content.findings else Weight.INFORMATION
        for line in lines:
            page.text((box.left, top), line, BODY_TEXT, _WEIGHT_COLOURS[weight])
            top += _LINE
    left_out = len(content.findings) - len(shown)
    if left_out > 0:
        page.text((box.left, top), texts("summary.more", count=left_out), BODY_TEXT, MUTED)
        top += _LINE
    return top + 12


def _paint_axial_views(content: _Content, page: Page) -> None:
    """Paints axial views from head to feet."""
    page.subtitle(axial_words(content.scene))
    draw_axial_views(page, content.heading.body, content.scene)


def _paint_legend(content: _Content, columns: Sequence[Column], row: int, page: Page) -> None:
    """Paints one page of the legend."""
    page.subtitle(content.texts("legend.all"))
    draw_legend(page, content.heading.body, columns, row, content.texts)
    _explain_incomplete(content, page)


def _paint_nothing_found(content: _Content, page: Page) -> None:
    """Paints the views of a volume without any structure, and says that none was found."""
    texts, box = content.texts, content.summary
    page.subtitle(source_words(content.segmentation, texts))
    _paint_views(content, page)
    looked_for = texts("found.looked_for", count=len(content.segmentation.structures))
    top = _paint_findings(content, page)
    page.text((box.left, top), texts("found.none"), _NOTHING_FOUND_TEXT)
    page.text((box.left, top + 42), looked_for, BODY_TEXT, MUTED)


def _explain_incomplete(content: _Content, page: Page) -> None:
    if content.has_incomplete:
        page.footnote(content.texts("legend.incomplete"), AMBER)
