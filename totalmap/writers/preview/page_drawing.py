"""Draws texts, pictures and notices on a page of the preview."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from totalmap.finding import Verdict
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.texts.catalogue import Texts
from totalmap.writers.dicom import identifiers
from totalmap.writers.presentation.fonts import drawable, font
from totalmap.writers.presentation.patient_identification import identity_of
from totalmap.writers.presentation.title_and_notices import (
    ai_notice,
    demo_notice,
    quality_notice,
    title_of,
)

Colour = tuple[int, int, int]

WIDTH, HEIGHT = 1600, 1200
EDGE = 36  # empty on all sides

BACKGROUND: Colour = (18, 21, 26)
TEXT: Colour = (230, 234, 239)
MUTED: Colour = (158, 166, 177)
LINE: Colour = (52, 58, 67)
AMBER: Colour = (247, 184, 48)
INK: Colour = (24, 20, 8)
# Bands that lie below each other differ in lightness, so that everybody can tell them apart.
PALE: Colour = (226, 232, 240)
RED: Colour = (178, 24, 32)
PURPLE: Colour = (112, 48, 160)
_BLACK: Colour = (0, 0, 0)

BAND = 46
_BAND_GAP = 4
_BAND_TEXT, _TITLE, BODY_TEXT, SMALL_TEXT = 25, 30, 16, 14
_LEAST_BAND_TEXT = 19  # a longer notice has two lines
_HEADING_HEIGHT = 92
_FOOT = 48
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
class Notice:
    """A warning across the page, with the colours of its text and background."""

    words: str
    colour: Colour
    background: Colour


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The heading that all pages of a preview share.

    Attributes:
        title: What the result is.
        notices: Warnings, the one about AI first.
        identity: The series and the date, and the patient as far as the settings allow.
        made_by: Version, engine and weights, for the foot of the page.
    """

    title: str
    notices: tuple[Notice, ...]
    identity: str
    made_by: str

    @property
    def bottom(self) -> int:
        """The row below the notices."""
        return len(self.notices) * (BAND + _BAND_GAP) - _BAND_GAP

    @property
    def body(self) -> Box:
        """The part of a page that is left for its content."""
        return Box(EDGE, self.bottom + _HEADING_HEIGHT, WIDTH - EDGE, HEIGHT - _FOOT)


def heading(segmentation: Segmentation, settings: Settings, texts: Texts) -> Heading:
    """Returns the heading of a result."""
    rejected = segmentation.verdict is Verdict.REJECT
    quality = Notice(
        words=quality_notice(segmentation, texts),
        colour=TEXT if rejected else INK,
        background=RED if rejected else PALE,
    )
    notices = (
        Notice(words=ai_notice(segmentation, texts), colour=INK, background=AMBER),
        quality,
        Notice(words=demo_notice(segmentation, texts), colour=TEXT, background=PURPLE),
    )
    identity = identity_of(segmentation, settings.report, texts).line
    return Heading(
        title=title_of(segmentation, texts),
        notices=tuple(notice for notice in notices if notice.words),
        identity=" · ".join(
            part if drawable(part) else texts("identity.in_header")
            for part in identity.split(" · ")
        ),
        made_by=texts(
            "page.made_by",
            version=identifiers.software_versions(),
            engine=str(segmentation.engine),
            arithmetic=segmentation.arithmetic,
            device=segmentation.device,
            weights=", ".join(model.sha256[:12] for model in segmentation.models),
        ),
    )


def fitting_size(texts: Sequence[str], size: int, width: int, *, bold: bool = False) -> int:
    """Returns the largest size, at most `size`, at which all texts fit into a width."""
    widest = max((font(size, bold=bold).getlength(text) for text in texts), default=0.0)
    return size if widest <= width else int(size * width / widest)


def text_width(text: str, size: int, *, bold: bool = False) -> float:
    """Returns the width of a line of text in pixels."""
    return font(size, bold=bold).getlength(text)


def wrapped(text: str, size: int, width: int, indent: int = 0, *, bold: bool = False) -> list[str]:
    """Returns a text as lines that fit into a width; a longer word has a line of its own.

    Args:
        text: The text.
        size: The size of the text.
        width: The width in pixels.
        indent: Pixels that are taken on the first line.
        bold: Whether the text is bold.
    """
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        room = width - indent if len(lines) <= 1 else width
        if lines and text_width(longer, size, bold=bold) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


class Canvas:
    """A picture to draw on; it keeps the words that were drawn.

    Attributes:
        words: All texts on it, in the order in which they were drawn.
    """

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width, height), BACKGROUND)
        self._draw = ImageDraw.Draw(self._image)
        self.words: list[str] = []

    def text(
        self,
        place: tuple[float, float],
        words: str,
        size: int,
        colour: Colour = TEXT,
        anchor: str = "la",
        *,
        bold: bool = False,
    ) -> None:
        """Draws a line of text; `anchor` is Pillow's."""
        self.words.append(words)
        self._draw.text(place, words, colour, font(size, bold=bold), anchor)

    def rectangle(self, box: Box, colour: Colour) -> None:
        """Fills a box."""
        self._draw.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), colour)

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

    def scale_bar(self, box: Box, pixels_per_mm: float) -> None:
        """Draws a scale bar with its length into the lower left corner of a picture."""
        fitting = [cm for cm in _BAR_LENGTHS_CM if cm * 10 * pixels_per_mm < box.width / 4]
        if not fitting:
            return
        length = round(fitting[-1] * 10 * pixels_per_mm)
        left, bottom = box.left + 14, box.bottom - 14
        self._draw.line((left, bottom, left + length, bottom), _BLACK, 6)
        self._draw.line((left, bottom, left + length, bottom), TEXT, 2)
        words = f"{fitting[-1]:g} cm"
        self.words.append(words)
        place = (left + length + 8, bottom)
        self._draw.text(
            place, words, TEXT, font(BODY_TEXT), "lm", stroke_width=2, stroke_fill=_BLACK
        )

    def pixels(self) -> NDArray[np.uint8]:
        """Returns the picture as (rows, columns, 3)."""
        return np.asarray(self._image)

    def cropped(self, edge: int) -> NDArray[np.uint8]:
        """Returns what was drawn, (rows, columns, 3), with an empty edge of so many pixels."""
        empty = Image.new("RGB", self._image.size, BACKGROUND)
        drawn = ImageChops.difference(self._image, empty).getbbox() or (0, 0, 1, 1)
        left, top, right, bottom = drawn
        width, height = self._image.size
        part = (
            max(left - edge, 0),
            max(top - edge, 0),
            min(right + edge, width),
            min(bottom + edge, height),
        )
        return np.asarray(self._image.crop(part))


class Page(Canvas):
    """One page, which starts with its notices and its heading."""

    def __init__(self, heading: Heading, texts: Texts, number: int, of: int) -> None:
        super().__init__(WIDTH, HEIGHT)
        self._notices(heading)
        top = heading.bottom
        right = fitting_size([heading.identity], BODY_TEXT + 2, WIDTH // 2)
        baseline = top + 42
        self.text((WIDTH - EDGE, baseline), heading.identity, right, TEXT, "rs", bold=True)
        width = WIDTH - 3 * EDGE - round(text_width(heading.identity, right, bold=True))
        size = fitting_size([heading.title], _TITLE, width, bold=True)
        self.text((EDGE, baseline), heading.title, size, TEXT, "ls", bold=True)
        self._subtitle_top = top + 56
        words = texts("page.of", number=number, all=of)
        self.text((WIDTH - EDGE, HEIGHT - 28), words, SMALL_TEXT, MUTED, "ra")
        size = fitting_size([heading.made_by], SMALL_TEXT - 2, WIDTH // 2)
        self.text((WIDTH // 2 + WIDTH // 2 - 180, HEIGHT - 27), heading.made_by, size, MUTED, "ra")

    def _notices(self, heading: Heading) -> None:
        """Draws the notices across the page, one below the other."""
        for row, notice in enumerate(heading.notices):
            top = row * (BAND + _BAND_GAP)
            self.rectangle(Box(0, top, WIDTH, top + BAND), notice.background)
            lines, size = [notice.words], _BAND_TEXT
            width = WIDTH - 2 * EDGE
            if fitting_size(lines, size, width, bold=True) < _LEAST_BAND_TEXT:
                size = _LEAST_BAND_TEXT
                lines = wrapped(notice.words, size, width, bold=True)
            pitch = min(size + 2, BAND // len(lines))
            size = min(size, pitch, fitting_size(lines, size, width, bold=True))
            first = top + (BAND - (len(lines) - 1) * pitch) // 2
            for number, line in enumerate(lines):
                place = (WIDTH // 2, first + number * pitch)
                self.text(place, line, size, notice.colour, "mm", bold=True)

    def subtitle(self, words: str) -> None:
        """Draws a line below the title."""
        self.text((EDGE, self._subtitle_top), words, BODY_TEXT, MUTED)

    def footnote(self, words: str, colour: Colour) -> None:
        """Draws a line at the lower left."""
        size = fitting_size([words], BODY_TEXT, WIDTH // 2 - 2 * EDGE)
        self.text((EDGE, HEIGHT - 30), words, size, colour)
