"""Draws the pages of the preview, for viewers that show neither SEG nor RTSTRUCT.

The first page is a summary, the second page shows axial views from head to feet, and a long legend
follows on further pages.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.volume import Volume
from totalmap.limitation_words import INCOMPLETE_EXPLAINED
from totalmap.measure.label_statistics import Labels
from totalmap.segmentation import Segmentation
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.preview.legend import LegendEntry, draw_legend, legend_entries, rows_in
from totalmap.writers.preview.page_drawing import (
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
from totalmap.writers.preview.view_sampling import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    Millimetres,
    SampledView,
    View,
    ViewPositions,
    evenly_spaced,
    position_name,
    sampled_view,
    view_positions,
)

Rgb = NDArray[np.uint8]

# The soft tissue window of a CT: centre 40 HU, width 400 HU.
CT_WINDOW_HU = (-160.0, 240.0)
# The units of an MR are the scanner's own: the window runs from nearly the darkest to nearly the
# brightest value.
MR_PERCENTILES = (1.0, 99.0)
_MR_SAMPLES = 64
_OPACITY = 0.4

# Possible arrangements of the three views in rows; the one that makes them largest is used.
_ARRANGEMENTS = (
    ((CORONAL, SAGITTAL), (AXIAL,)),
    ((CORONAL,), (SAGITTAL,), (AXIAL,)),
    ((CORONAL, SAGITTAL, AXIAL),),
)
_SUMMARY_LEGEND_WIDTH = 520
_CAPTION_HEIGHT = 26
_GAP = 20
_MOST_AXIAL_VIEWS = 20
_LEGEND_COLUMNS = 3
_NOTHING_FOUND_TEXT = 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Scene:
    """The content of all pages."""

    segmentation: Segmentation
    heading: Heading
    positions: ViewPositions
    window: tuple[float, float]
    colours: Rgb
    entries: tuple[LegendEntry, ...]

    @property
    def summary_legend(self) -> Box:
        """The place of the legend on the first page."""
        return self.heading.body._replace(left=self.heading.body.right - _SUMMARY_LEGEND_WIDTH)

    def picture(self, view: View, position_mm: float, pixels_per_mm: float) -> Rgb:
        """Returns a painted view, (rows, columns, 3)."""
        region = self.positions.region
        sampled = sampled_view(self.segmentation, view, position_mm, region, pixels_per_mm)
        return painted(sampled, self.window, self.colours)


def render_pages(segmentation: Segmentation) -> list[NDArray[np.uint8]]:
    """Returns the pages, (1200, 1600, 3) RGB each.

    Raises:
        OutputError: A structure has no name and colour.
    """
    scene = _Scene(
        segmentation=segmentation,
        heading=heading(segmentation),
        positions=view_positions(segmentation),
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
    """Returns the function that paints each page."""
    if not scene.entries:
        return [partial(_paint_nothing_found, scene)]
    painters: list[Callable[[Page], None]] = [
        partial(_paint_summary, scene),
        partial(_paint_axial_views, scene),
    ]
    if len(scene.entries) > rows_in(scene.summary_legend):
        a_page = _LEGEND_COLUMNS * rows_in(scene.heading.body)
        parts = [scene.entries[n : n + a_page] for n in range(0, len(scene.entries), a_page)]
        painters += [partial(_paint_legend, scene, part) for part in parts]
    return painters


def _paint_summary(scene: _Scene, page: Page) -> None:
    """Paints the three views, and as much of the legend as fits beside them."""
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
    _explain_incomplete(page, shown)


def _paint_views(scene: _Scene, page: Page, box: Box) -> None:
    """Paints a coronal, a sagittal and an axial view, all at one scale."""
    size_mm = scene.positions.region.size_mm
    pixels_per_mm, arrangement = max(
        ((_fitting_scale(rows, size_mm, box), rows) for rows in _ARRANGEMENTS),
        key=lambda pair: pair[0],
    )
    top = box.top
    for row in arrangement:
        left, below = box.left, top
        for view in row:
            position_mm = scene.positions.positions_mm[view.through]
            caption = f"{view.name}  {position_name(view.through, position_mm)}"
            page.text((left, top), caption, SMALL_TEXT, MUTED)
            pixels = scene.picture(view, position_mm, pixels_per_mm)
            picture = page.picture((left, top + _CAPTION_HEIGHT), pixels)
            page.edges(picture, view)
            page.scale_bar(picture, pixels_per_mm)
            left, below = picture.right + _GAP, picture.bottom + _GAP
        top = below


def _fitting_scale(
    rows: Sequence[Sequence[View]], size_mm: Millimetres, box: Box, caption: int = _CAPTION_HEIGHT
) -> float:
    """Returns the largest scale, in pixels per mm, at which rows of views fit into a box."""
    widths = [
        (box.width - (len(row) - 1) * _GAP) / sum(size_mm[view.across] for view in row)
        for row in rows
    ]
    height = box.height - len(rows) * caption - (len(rows) - 1) * _GAP
    return float(min(*widths, height / sum(size_mm[row[0].down] for row in rows)))


def _paint_axial_views(scene: _Scene, page: Page) -> None:
    """Paints axial views from head to feet, all at one scale."""
    page.subtitle("Axial views from head to feet, through all structures that were found")
    positions_mm = evenly_spaced(scene.positions.heights_mm, _MOST_AXIAL_VIEWS)[::-1]
    size_mm, body = scene.positions.region.size_mm, scene.heading.body
    pixels_per_mm, columns = max(
        (_fitting_scale(_grid(len(positions_mm), columns), size_mm, body, caption=0), columns)
        for columns in range(1, len(positions_mm) + 1)
    )
    for number, position_mm in enumerate(positions_mm):
        pixels = scene.picture(AXIAL, position_mm, pixels_per_mm)
        row, column = divmod(number, columns)
        left = body.left + column * (pixels.shape[1] + _GAP)
        top = body.top + row * (pixels.shape[0] + _GAP)
        picture = page.picture((left, top), pixels)
        page.edges(picture, AXIAL)
        page.position(picture, position_name(AXIAL.through, position_mm))
        if number == 0:
            page.scale_bar(picture, pixels_per_mm)


def _grid(number: int, columns: int) -> list[list[View]]:
    """Returns rows of axial views; the last row may be shorter."""
    return [[AXIAL] * min(columns, number - first) for first in range(0, number, columns)]


def _paint_legend(scene: _Scene, entries: tuple[LegendEntry, ...], page: Page) -> None:
    """Paints one page of the legend."""
    page.subtitle("All structures that were found")
    draw_legend(page, scene.heading.body, entries, _LEGEND_COLUMNS)
    _explain_incomplete(page, entries)


def _paint_nothing_found(scene: _Scene, page: Page) -> None:
    """Paints the views of a volume without any structure, and says that none was found."""
    page.subtitle(_source(scene.segmentation))
    body, legend = scene.heading.body, scene.summary_legend
    _paint_views(scene, page, Box(body.left, body.top, legend.left - EDGE, body.bottom))
    looked_for = f"{len(scene.segmentation.structures)} were looked for"
    page.text((legend.left, legend.top), "No structure was found", _NOTHING_FOUND_TEXT)
    page.text((legend.left, legend.top + 46), looked_for, BODY_TEXT, MUTED)


def _explain_incomplete(page: Page, entries: Sequence[LegendEntry]) -> None:
    if any(entry.is_incomplete for entry in entries):
        page.footnote(INCOMPLETE_EXPLAINED, AMBER)


def _source(segmentation: Segmentation) -> str:
    """Returns modality and size of the source in words."""
    volume = segmentation.volume
    i, j, step = volume.geometry.spacing_mm
    slices, rows, columns = volume.geometry.shape
    return (
        f"{volume.modality}, {slices} slices of {rows} x {columns} pixels, "
        f"{j:.2f} x {i:.2f} x {step:.2f} mm"
    )


def grey_window(volume: Volume) -> tuple[float, float]:
    """Returns the values that are shown in black and in white."""
    if volume.modality == "CT":
        return CT_WINDOW_HU
    steps = [-(-length // _MR_SAMPLES) for length in volume.voxels.shape]
    low, high = np.percentile(
        volume.voxels[tuple(slice(None, None, n) for n in steps)], MR_PERCENTILES
    )
    return float(low), float(max(high, low + 1))


def palette(segmentation: Segmentation) -> Rgb:
    """Returns the colour of each label, (label, 3); black for unused numbers.

    Raises:
        OutputError: A structure has no colour.
    """
    highest = max(structure.label for structure in segmentation.structures)
    colours = np.zeros((highest + 1, 3), dtype=np.uint8)
    for structure in segmentation.structures:
        colours[structure.label] = structure_code(structure.name).rgb
    return colours


def painted(view: SampledView, window: tuple[float, float], colours: Rgb) -> Rgb:
    """Returns a view in colour, (rows, columns, 3): tinted structures with opaque contours."""
    low, high = window
    grey = (np.clip((view.values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    image = np.repeat(grey[:, :, None], 3, axis=2)
    labelled = view.labels > 0
    colour = colours[view.labels[labelled]]
    image[labelled] = ((1 - _OPACITY) * image[labelled] + _OPACITY * colour).astype(np.uint8)
    contours = contour_pixels(view.labels)
    image[contours] = colours[view.labels[contours]]
    return image


def contour_pixels(labels: Labels) -> NDArray[np.bool_]:
    """Returns a mask of the pixels of structures that touch another structure or none."""
    contours = np.zeros(labels.shape, dtype=bool)
    beside, below = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    contours[:, 1:] |= beside
    contours[:, :-1] |= beside
    contours[1:] |= below
    contours[:-1] |= below
    contours &= labels > 0
    return contours
