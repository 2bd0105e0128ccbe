"""The pages of the preview, for a viewer that shows neither SEG nor RTSTRUCT.

First a summary, then axial cuts from the head to the feet, then the legend where it is long.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from totalmap.segmentation import Segmentation
from totalmap.writers.preview.cuts import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    Millimetres,
    Overview,
    View,
    cut,
    evenly_chosen,
    overview,
    place_name,
)
from totalmap.writers.preview.drawing import (
    AMBER,
    BODY_TEXT,
    EDGE,
    MUTED,
    SMALL_TEXT,
    Box,
    Heading,
    Page,
    heading,
)
from totalmap.writers.preview.legend import (
    CUT_EXPLAINED,
    LegendEntry,
    draw_legend,
    legend_entries,
    rows_in,
)
from totalmap.writers.preview.overlay import Rgb, grey_window, painted, palette

# How the three views can stand beside and below each other; the largest way is taken.
_ARRANGEMENTS = (
    ((CORONAL, SAGITTAL), (AXIAL,)),
    ((CORONAL,), (SAGITTAL,), (AXIAL,)),
    ((CORONAL, SAGITTAL, AXIAL),),
)
_SUMMARY_LEGEND = 520
_CAPTION = 26
_GAP = 20
_MOST_CUTS = 20
_LEGEND_COLUMNS = 3
_NOTHING_FOUND = 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Scene:
    """What all pages are drawn from."""

    segmentation: Segmentation
    heading: Heading
    overview: Overview
    window: tuple[float, float]
    colours: Rgb
    entries: tuple[LegendEntry, ...]

    @property
    def summary_legend(self) -> Box:
        """Where the legend stands on the first page."""
        return self.heading.body._replace(left=self.heading.body.right - _SUMMARY_LEGEND)

    def picture(self, view: View, place_mm: float, pixels_per_mm: float) -> NDArray[np.uint8]:
        """Returns a painted cut, (rows, columns, 3)."""
        region = self.overview.region
        sampled = cut(self.segmentation, view, place_mm, region, pixels_per_mm)
        return painted(sampled, self.window, self.colours)


def render_pages(segmentation: Segmentation) -> list[NDArray[np.uint8]]:
    """Returns the pages, (1200, 1600, 3) RGB each.

    Raises:
        OutputError: A structure has no name and colour.
    """
    scene = _Scene(
        segmentation=segmentation,
        heading=heading(segmentation),
        overview=overview(segmentation),
        window=grey_window(segmentation.volume),
        colours=palette(segmentation),
        entries=legend_entries(segmentation),
    )
    painters = _painters(scene)
    pages = []
    for number, painter in enumerate(painters, start=1):
        page = Page(scene.heading, number, len(painters))
        painter(page)
        pages.append(page.pixels())
    return pages


def _painters(scene: _Scene) -> list[Callable[[Page], None]]:
    """Returns what paints each page."""
    if not scene.entries:
        return [partial(_paint_nothing_found, scene)]
    painters: list[Callable[[Page], None]] = [
        partial(_paint_summary, scene),
        partial(_paint_mosaic, scene),
    ]
    if len(scene.entries) > rows_in(scene.summary_legend):
        a_page = _LEGEND_COLUMNS * rows_in(scene.heading.body)
        parts = [scene.entries[n : n + a_page] for n in range(0, len(scene.entries), a_page)]
        painters += [partial(_paint_legend, scene, part) for part in parts]
    return painters


def _paint_summary(scene: _Scene, page: Page) -> None:
    """Paints the three views beside the legend, or beside as much of it as fits."""
    number = "1 structure" if len(scene.entries) == 1 else f"{len(scene.entries)} structures"
    page.subtitle(f"{number} · {_source(scene.segmentation)}")
    body, legend = scene.heading.body, scene.summary_legend
    _paint_views(scene, page, Box(body.left, body.top, legend.left - EDGE, body.bottom))
    rows, entries = rows_in(legend), scene.entries
    is_all = len(entries) <= rows
    shown = entries if is_all else entries[: rows - 1]
    draw_legend(page, legend, shown, columns=1)
    if not is_all:
        words = f"and {len(entries) - len(shown)} more: see page 3"
        page.text((legend.left + 27, legend.bottom - 20), words, BODY_TEXT, MUTED)
    _explain_cuts(page, shown)


def _paint_views(scene: _Scene, page: Page, box: Box) -> None:
    """Paints a coronal, a sagittal and an axial view, all at one scale."""
    size_mm = scene.overview.region.size_mm
    pixels_per_mm, arrangement = max(
        ((_fitting_scale(rows, size_mm, box), rows) for rows in _ARRANGEMENTS),
        key=lambda pair: pair[0],
    )
    top = box.top
    for row in arrangement:
        left, below = box.left, top
        for view in row:
            place_mm = scene.overview.places_mm[view.through]
            caption = f"{view.name}  {place_name(view.through, place_mm)}"
            page.text((left, top), caption, SMALL_TEXT, MUTED)
            pixels = scene.picture(view, place_mm, pixels_per_mm)
            picture = page.picture((left, top + _CAPTION), pixels)
            page.edges(picture, view)
            page.scale_bar(picture, pixels_per_mm)
            left, below = picture.right + _GAP, picture.bottom + _GAP
        top = below


def _fitting_scale(
    rows: Sequence[Sequence[View]], size_mm: Millimetres, box: Box, caption: int = _CAPTION
) -> float:
    """Returns how many pixels a millimetre can have where views stand in rows."""
    widths = [
        (box.width - (len(row) - 1) * _GAP) / sum(size_mm[view.across] for view in row)
        for row in rows
    ]
    height = box.height - len(rows) * caption - (len(rows) - 1) * _GAP
    return float(min(*widths, height / sum(size_mm[row[0].down] for row in rows)))


def _paint_mosaic(scene: _Scene, page: Page) -> None:
    """Paints axial cuts from the head to the feet, at one scale."""
    page.subtitle("Axial, from head to feet, through all that was found")
    places = evenly_chosen(scene.overview.heights_mm, _MOST_CUTS)[::-1]
    size_mm, body = scene.overview.region.size_mm, scene.heading.body
    pixels_per_mm, columns = max(
        (_fitting_scale(_grid(len(places), columns), size_mm, body, caption=0), columns)
        for columns in range(1, len(places) + 1)
    )
    for number, place_mm in enumerate(places):
        pixels = scene.picture(AXIAL, place_mm, pixels_per_mm)
        row, column = divmod(number, columns)
        left = body.left + column * (pixels.shape[1] + _GAP)
        top = body.top + row * (pixels.shape[0] + _GAP)
        picture = page.picture((left, top), pixels)
        page.edges(picture, AXIAL)
        page.place(picture, place_name(AXIAL.through, place_mm))
        if number == 0:
            page.scale_bar(picture, pixels_per_mm)


def _grid(number: int, columns: int) -> list[list[View]]:
    """Returns axial views in rows, the last of which may be shorter."""
    return [[AXIAL] * min(columns, number - first) for first in range(0, number, columns)]


def _paint_legend(scene: _Scene, entries: tuple[LegendEntry, ...], page: Page) -> None:
    """Paints a page of the legend."""
    page.subtitle("All structures that were found")
    draw_legend(page, scene.heading.body, entries, _LEGEND_COLUMNS)
    _explain_cuts(page, entries)


def _paint_nothing_found(scene: _Scene, page: Page) -> None:
    """Paints the views of a volume in which there is nothing to show, and says so."""
    page.subtitle(_source(scene.segmentation))
    body, legend = scene.heading.body, scene.summary_legend
    _paint_views(scene, page, Box(body.left, body.top, legend.left - EDGE, body.bottom))
    looked_for = f"{len(scene.segmentation.structures)} were looked for"
    page.text((legend.left, legend.top), "No structure was found", _NOTHING_FOUND)
    page.text((legend.left, legend.top + 46), looked_for, BODY_TEXT, MUTED)


def _explain_cuts(page: Page, entries: Sequence[LegendEntry]) -> None:
    if any(entry.is_cut for entry in entries):
        page.footnote(CUT_EXPLAINED, AMBER)


def _source(segmentation: Segmentation) -> str:
    """Returns what was segmented."""
    volume = segmentation.volume
    i, j, step = volume.geometry.spacing_mm
    slices, rows, columns = volume.geometry.shape
    return (
        f"{volume.modality}, {slices} slices of {rows} x {columns} pixels, "
        f"{j:.2f} x {i:.2f} x {step:.2f} mm"
    )
