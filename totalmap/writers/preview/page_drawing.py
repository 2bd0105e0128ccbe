"""Draws texts, pictures and notices on a page of the preview.

The pages show no patient data: this module receives none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from totalmap.finding import VERDICT_WORDS, Severity, Verdict
from totalmap.segmentation import Segmentation
from totalmap.writers.dicom import identifiers
from totalmap.writers.preview.view_sampling import View

Colour = tuple[int, int, int]

WIDTH, HEIGHT = 1600, 1200
EDGE = 36  # empty on all sides

AI_NOTICE = "AI result, not verified, not for diagnosis"
DEMO_NOTICE = "DEMO MODEL, not for patients"

BACKGROUND: Colour = (18, 21, 26)
TEXT: Colour = (230, 234, 239)
MUTED: Colour = (146, 154, 165)
LINE: Colour = (52, 58, 67)
AMBER: Colour = (247, 184, 48)
_INK: Colour = (24, 20, 8)
_RED: Colour = (196, 32, 38)
_BLACK: Colour = (0, 0, 0)

_BAND = 46
_BAND_TEXT, _TITLE, BODY_TEXT, SMALL_TEXT = 27, 34, 17, 15
_BAR_LENGTHS_CM = (0.5, 1, 2, 5, 10, 20)


class Box(NamedTuple):
    """A part of a page, in pixels; `right` and `bottom` are just outside of it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The heading that all pages of a preview share.

    Attributes:
        title: Task and variant.
        notices: Warnings, each with the colours of its text and background.
        identity: Version, engine and weights, line by line.
    """

    title: str
    notices: tuple[tuple[str, Colour, Colour], ...]
    identity: tuple[str, ...]

    @property
    def bottom(self) -> int:
        """The row below the notices."""
        return len(self.notices) * _BAND

    @property
    def body(self) -> Box:
        """The part of a page that is left for its content."""
        return Box(EDGE, self.bottom + 100, WIDTH - EDGE, HEIGHT - 48)


def heading(segmentation: Segmentation) -> Heading:
    """Returns the heading of a result."""
    is_demo = identifiers.is_demo(segmentation)
    demo = ((DEMO_NOTICE, TEXT, _RED),) if is_demo else ()
    words = quality_notice(segmentation)
    quality = ((words, TEXT, _RED),) if words else ()
    weights = ", ".join(model.sha256[:12] for model in segmentation.models)
    return Heading(
        title=f"TotalMAP {segmentation.task} {segmentation.variant}",
        notices=((AI_NOTICE, _INK, AMBER), *quality, *demo),
        identity=(
            f"TotalMAP {identifiers.software_versions()} · engine {segmentation.engine} · "
            f"{segmentation.arithmetic} arithmetic on {segmentation.device}",
            f"weights {weights}",
        ),
    )


def quality_notice(segmentation: Segmentation) -> str:
    """Returns the verdict with its first reason; empty where quality control has no objection."""
    if segmentation.verdict is Verdict.OK:
        return ""
    reasons = [
        finding.sentence
        for finding in segmentation.quality_findings
        if finding.severity is not Severity.INFORMATION
    ]
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{VERDICT_WORDS[segmentation.verdict].upper()}: {reasons[0]}{more}"


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Returns the font that Pillow brings, so that no font of the system is needed."""
    return ImageFont.load_default(size=size)


def fitting_size(texts: Sequence[str], size: int, width: int) -> int:
    """Returns the largest size, at most `size`, at which all texts fit into a width."""
    widest = max((font(size).getlength(text) for text in texts), default=0.0)
    return size if widest <= width else int(size * width / widest)


class Page:
    """One page, which starts with its notices and its heading."""

    def __init__(self, heading: Heading, number: int, of: int) -> None:
        self._image = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
        self._draw = ImageDraw.Draw(self._image)
        self._notices(heading)
        top = heading.bottom
        self.text((EDGE, top + 16), heading.title, _TITLE)
        self._subtitle_top = top + 60
        for line, words in enumerate(heading.identity):
            size = fitting_size([words], SMALL_TEXT, WIDTH // 2)
            self.text((WIDTH - EDGE, top + 24 + 22 * line), words, size, MUTED, anchor="ra")
        self.text((WIDTH - EDGE, HEIGHT - 32), f"page {number} of {of}", SMALL_TEXT, MUTED, "ra")

    def _notices(self, heading: Heading) -> None:
        """Draws the notices across the page, one below the other."""
        for row, (words, colour, background) in enumerate(heading.notices):
            top = row * _BAND
            self._draw.rectangle((0, top, WIDTH - 1, top + _BAND - 1), background)
            middle = (WIDTH // 2, top + _BAND // 2)
            size = fitting_size([words], _BAND_TEXT, WIDTH - 2 * EDGE)
            self.text(middle, words, size, colour, anchor="mm")

    def subtitle(self, words: str) -> None:
        """Draws a line below the title."""
        self.text((EDGE, self._subtitle_top), words, BODY_TEXT, MUTED)

    def footnote(self, words: str, colour: Colour) -> None:
        """Draws a line at the lower left."""
        self.text((EDGE, HEIGHT - 32), words, SMALL_TEXT, colour)

    def text(
        self,
        place: tuple[float, float],
        words: str,
        size: int,
        colour: Colour = TEXT,
        anchor: str = "la",
    ) -> None:
        """Draws a line of text; `anchor` is Pillow's."""
        self._draw.text(place, words, colour, font(size), anchor)

    def patch(self, box: Box, colour: Colour) -> None:
        """Fills a box; a thin frame makes dark colours visible."""
        self._draw.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), colour, MUTED)

    def line(self, left: int, right: int, y: int) -> None:
        """Draws a thin line from left to right."""
        self._draw.line((left, y, right, y), LINE)

    def picture(self, place: tuple[int, int], pixels: NDArray[np.uint8]) -> Box:
        """Pastes a picture, (rows, columns, 3), with its upper left corner at a place."""
        self._image.paste(Image.fromarray(pixels), place)
        rows, columns = pixels.shape[:2]
        return Box(*place, place[0] + columns, place[1] + rows)

    def edges(self, box: Box, view: View) -> None:
        """Draws the directions at the edges of a picture: R, L, A, P, H or F."""
        middle, centre = (box.left + box.right) // 2, (box.top + box.bottom) // 2
        left, right, top, bottom = view.edges
        self._over((box.left + 8, centre), left, "lm")
        self._over((box.right - 8, centre), right, "rm")
        self._over((middle, box.top + 6), top, "ma")
        self._over((middle, box.bottom - 6), bottom, "md")

    def position(self, box: Box, words: str) -> None:
        """Draws the position of a view into the upper left corner of its picture."""
        self._over((box.left + 8, box.top + 6), words, "la")

    def scale_bar(self, box: Box, pixels_per_mm: float) -> None:
        """Draws a scale bar with its length into the lower left corner of a picture."""
        fitting = [cm for cm in _BAR_LENGTHS_CM if cm * 10 * pixels_per_mm < box.width / 4]
        if not fitting:
            return
        length = round(fitting[-1] * 10 * pixels_per_mm)
        left, bottom = box.left + 14, box.bottom - 14
        self._draw.line((left, bottom, left + length, bottom), _BLACK, 6)
        self._draw.line((left, bottom, left + length, bottom), TEXT, 2)
        self._over((left + length + 8, bottom), f"{fitting[-1]:g} cm", "lm")

    def _over(self, place: tuple[int, int], words: str, anchor: str) -> None:
        """Draws text on a picture, with an outline to be readable on any grey."""
        self._draw.text(
            place, words, TEXT, font(BODY_TEXT), anchor, stroke_width=2, stroke_fill=_BLACK
        )

    def pixels(self) -> NDArray[np.uint8]:
        """Returns the page as (rows, columns, 3)."""
        return np.asarray(self._image)
