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
from totalmap.writers.presentation.finding_summary import SummaryLine, finding_summary
from totalmap.writers.presentation.structure_tables import Row, key_volumes, system_tables
from totalmap.writers.presentation.title_and_notices import found_words, source_words
from totalmap.writers.preview.legend import (
    Column,
    LegendLine,
    draw_legend,
    legend_lines,
    legend_pages,
)
from totalmap.writers.preview.page_drawing import (
    AMBER,
    BODY_TEXT,
    EDGE,
    MUTED,
    Box,
    Heading,
    Page,
    heading,
)
from totalmap.writers.preview.summary_panel import SummaryPanel
from totalmap.writers.preview.views import (
    Scene,
    axial_words,
    draw_axial_views,
    draw_three_views,
    scene_of,
)

_SUMMARY_WIDTH = 520
_NOTHING_FOUND_TEXT = 28


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
    def panel(self) -> SummaryPanel:
        """The words on the first page."""
        return SummaryPanel(
            findings=self.findings,
            legend=self.legend,
            key_volumes=self.key_volumes,
            box=self.summary,
            texts=self.texts,
        )


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
    if not content.panel.has_whole_legend:
        pages, row = legend_pages(content.legend, content.heading.body.height)
        painters += [partial(_paint_legend, content, columns, row) for columns in pages]
    return painters


def _paint_summary(content: _Content, page: Page) -> None:
    """Paints the three views, and beside them what matters and the volumes."""
    _paint_subtitle(content, page)
    _paint_views(content, page)
    content.panel.draw(page)
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
    top = content.panel.draw_findings(page)
    page.text((box.left, top), texts("found.none"), _NOTHING_FOUND_TEXT)
    page.text((box.left, top + 42), looked_for, BODY_TEXT, MUTED)


def _explain_incomplete(content: _Content, page: Page) -> None:
    if content.has_incomplete:
        page.footnote(content.texts("legend.incomplete"), AMBER)
