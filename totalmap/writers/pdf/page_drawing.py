"""Draws texts, bands and pictures on sheets of A4; places are points from the upper left corner."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from totalmap.writers.presentation.fonts import font_path

Colour = tuple[int, int, int]

WIDTH, HEIGHT = A4
MARGIN = 36.0  # half an inch, which every printer leaves free

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)
GREY: Colour = (85, 85, 85)
LINE: Colour = (200, 204, 210)
AMBER: Colour = (247, 184, 48)
BROWN: Colour = (107, 64, 0)
PALE: Colour = (226, 232, 240)
RED: Colour = (178, 24, 32)
PURPLE: Colour = (112, 48, 160)

_PLAIN, _BOLD = "TotalMAP-Vera", "TotalMAP-VeraBold"
_JPEG_QUALITY = 88
_MONOSPACED = "Courier"  # for UIDs and hashes, which are ASCII


class Sheets:
    """A document of A4 sheets; it keeps the words that were drawn.

    Attributes:
        words: All texts, in the order in which they were drawn.
        pages: Number of sheets so far, the current one included.
    """

    def __init__(self, title: str, language: str) -> None:
        _register_fonts()
        self._buffer = BytesIO()
        # Without `invariant` the file has the time and a random identifier.
        self._canvas = Canvas(
            self._buffer, pagesize=A4, invariant=1, pageCompression=1, lang=language
        )
        self._canvas.setTitle(title)
        self._canvas.setAuthor("TotalMAP")
        self._canvas.setCreator("TotalMAP")
        self.words: list[str] = []
        self.pages = 1

    def text(
        self,
        left: float,
        baseline: float,
        words: str,
        size: float,
        colour: Colour = BLACK,
        *,
        bold: bool = False,
        code: bool = False,
    ) -> None:
        """Draws a line of text that begins at a place; `code` is for UIDs and hashes."""
        self.words.append(words)
        self._canvas.setFont(_MONOSPACED if code else _name(bold), size)
        self._canvas.setFillColorRGB(*_shares(colour))
        self._canvas.drawString(left, HEIGHT - baseline, words)

    def text_to(
        self,
        right: float,
        baseline: float,
        words: str,
        size: float,
        colour: Colour = BLACK,
        *,
        bold: bool = False,
    ) -> None:
        """Draws a line of text that ends at a place."""
        self.text(
            right - width_of(words, size, bold=bold), baseline, words, size, colour, bold=bold
        )

    def band(self, top: float, height: float, words: str, colour: Colour, ink: Colour) -> None:
        """Draws a warning across the sheet; a long one is made smaller to fit."""
        self.rectangle(MARGIN, top, WIDTH - 2 * MARGIN, height, colour)
        width = WIDTH - 2 * MARGIN - 12
        size = fitting(words, height * 0.55, width, bold=True)
        left = (WIDTH - width_of(words, size, bold=True)) / 2
        self.text(left, top + height / 2 + size * 0.36, words, size, ink, bold=True)

    def rectangle(
        self, left: float, top: float, width: float, height: float, colour: Colour
    ) -> None:
        """Fills a rectangle."""
        self._canvas.setFillColorRGB(*_shares(colour))
        self._canvas.rect(left, HEIGHT - top - height, width, height, stroke=0, fill=1)

    def patch(self, left: float, top: float, size: float, colour: Colour) -> None:
        """Fills a square; a thin frame makes light colours visible."""
        self._canvas.setFillColorRGB(*_shares(colour))
        self._canvas.setStrokeColorRGB(*_shares(GREY))
        self._canvas.setLineWidth(0.3)
        self._canvas.rect(left, HEIGHT - top - size, size, size, stroke=1, fill=1)

    def line(self, left: float, right: float, y: float) -> None:
        """Draws a thin line from left to right."""
        self._canvas.setStrokeColorRGB(*_shares(LINE))
        self._canvas.setLineWidth(0.5)
        self._canvas.line(left, HEIGHT - y, right, HEIGHT - y)

    def picture(self, top: float, pixels: NDArray[np.uint8], width: float, height: float) -> float:
        """Draws a picture, (rows, columns, 3), in the middle; returns the place below it.

        Args:
            top: The upper edge.
            pixels: The picture.
            width: The largest width.
            height: The largest height.
        """
        rows, columns = pixels.shape[:2]
        scale = min(width / columns, height / rows)
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        buffer.seek(0)
        left, bottom = (WIDTH - columns * scale) / 2, HEIGHT - top - rows * scale
        self._canvas.drawImage(ImageReader(buffer), left, bottom, columns * scale, rows * scale)
        return float(top + rows * scale)

    def next_sheet(self) -> None:
        """Begins another sheet."""
        self._canvas.showPage()
        self.pages += 1

    def content(self) -> bytes:
        """Returns the document; nothing can be drawn any more."""
        self._canvas.save()
        return self._buffer.getvalue()


def width_of(words: str, size: float, *, bold: bool = False) -> float:
    """Returns the width of a line of text in points."""
    _register_fonts()
    return float(pdfmetrics.stringWidth(words, _name(bold), size))


def fitting(words: str, size: float, width: float, *, bold: bool = False) -> float:
    """Returns the largest size, at most `size`, at which a line fits into a width."""
    needed = width_of(words, size, bold=bold)
    return size if needed <= width else size * width / needed


def wrapped(words: str, size: float, width: float, indent: float = 0.0) -> Sequence[str]:
    """Returns a text as lines that fit into a width; a longer word has a line of its own.

    Args:
        words: The text.
        size: The size of the text.
        width: The width in points.
        indent: Points that are taken on the first line.
    """
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        room = width - indent if len(lines) <= 1 else width
        if lines and width_of(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _name(bold: bool) -> str:
    return _BOLD if bold else _PLAIN


def _shares(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255


def _register_fonts() -> None:
    """Makes the fonts known to reportlab, which embeds their letters that are used."""
    for name, bold in ((_PLAIN, False), (_BOLD, True)):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, font_path(bold=bold)))
