"""Draws the texts on the images: the notices, the directions and the window.

No patient data are drawn: this module receives none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from totalmap.finding import Verdict
from totalmap.segmentation import Segmentation
from totalmap.texts.catalogue import Texts
from totalmap.writers.overlay.painting import Planes
from totalmap.writers.presentation.fonts import font
from totalmap.writers.presentation.title_and_notices import ai_notice, demo_notice, verdict_words
from totalmap.writers.preview.page_drawing import (
    AMBER,
    TEXT,
    Colour,
    fitting_size,
)

ALARM: Colour = (255, 96, 88)  # readable on black
# Smaller letters can't be read.
SMALLEST_TEXT = 9
_WIDTH_PER_SIZE = 36  # a text size of 14 for 512 columns
_EDGE = 3
_OUTLINE = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stamp:
    """A text that is drawn on many images.

    Attributes:
        top: Its first row.
        left: Its first column.
        halo: (rows, columns) opacity of the text with its black outline, 0..255.
        ink: (rows, columns) opacity of the text alone.
    """

    top: int
    left: int
    halo: NDArray[np.uint16]
    ink: NDArray[np.uint16]
    colour: Colour

    def draw(self, planes: Planes) -> None:
        """Draws the text on an image, (3, rows, columns)."""
        rows, columns = self.halo.shape
        part = planes[:, self.top : self.top + rows, self.left : self.left + columns]
        halo, ink = (mask[: part.shape[1], : part.shape[2]] for mask in (self.halo, self.ink))
        inked = np.asarray(self.colour, np.uint16)[:, None, None] * ink
        part[:] = (part * (255 - halo) + inked) // 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """The texts on all images of a series.

    Attributes:
        notices: The notices, at the top.
        directions: The sides of the patient, at three edges.
        windows: The names of the windows.
        body_top: The row below the notices.
    """

    notices: tuple[Stamp, ...]
    directions: tuple[Stamp, ...]
    windows: Mapping[str, Stamp]
    body_top: int

    def draw(self, planes: Planes, window: str) -> None:
        """Draws all texts on an image with a window."""
        self.draw_notices(planes)
        for stamp in self.directions:
            stamp.draw(planes)
        if window in self.windows:
            self.windows[window].draw(planes)

    def draw_notices(self, planes: Planes) -> None:
        """Draws the notices alone."""
        for stamp in self.notices:
            stamp.draw(planes)


def annotations(segmentation: Segmentation, windows: Sequence[str], texts: Texts) -> Annotations:
    """Returns the texts on the images of a segmentation.

    Args:
        windows: The names of the windows; an empty name is not drawn.
    """
    _, rows, columns = segmentation.volume.geometry.shape
    size = text_size(columns)
    notices, top = [], _EDGE
    for words, colour in _notices(segmentation, texts):
        lines, line_size = _wrapped(words, size, columns - 2 * _EDGE)
        for line in lines:
            notices.append(_stamp(line, line_size, colour, (columns // 2, top), "ma"))
            top += line_size + 3
    cosines = segmentation.volume.slices[0].plane.cosines
    right, below = (direction(cosines[n : n + 3]) for n in (0, 3))
    # Viewers draw their own letters at the middle of the sides.
    middle, centre = rows // 3, columns // 2
    places = (
        (opposite(right), (_EDGE, middle), "lm"),
        (right, (columns - _EDGE, middle), "rm"),
        (below, (centre, rows - _EDGE), "md"),
    )
    corner = (_EDGE, rows - _EDGE)
    return Annotations(
        notices=tuple(notices),
        directions=tuple(_stamp(letter, size, TEXT, *place) for letter, *place in places),
        windows={
            name: _stamp(spaced(texts(name)), max(SMALLEST_TEXT, size - 3), TEXT, corner, "ld")
            for name in dict.fromkeys(windows)
            if name
        },
        body_top=top,
    )


def _notices(segmentation: Segmentation, texts: Texts) -> list[tuple[str, Colour]]:
    notices = [(ai_notice(segmentation, texts), AMBER)]
    if segmentation.verdict is not Verdict.OK:
        notices.append((verdict_words(segmentation, texts).upper(), ALARM))
    if demo := demo_notice(segmentation, texts):
        notices.append((demo, ALARM))
    return notices


def text_size(columns: int) -> int:
    """Returns the size of texts on an image with so many columns."""
    return max(SMALLEST_TEXT, columns // _WIDTH_PER_SIZE)


def spaced(words: str) -> str:
    """Returns a text with wider spaces: in small letters those of the font have two pixels."""
    return words.replace(" ", "  ")


def _wrapped(words: str, size: int, width: int) -> tuple[list[str], int]:
    """Returns a notice in as few lines as can be read, and the size of its text."""
    parts = words.split(", ")
    for count in range(1, len(parts) + 1):
        lines = [spaced(", ".join(part)) for part in np.array_split(parts, count)]
        fitting = fitting_size(lines, size, width)
        if fitting >= SMALLEST_TEXT:
            break
    return lines, max(1, fitting)


_DIRECTIONS = (("R", "L"), ("A", "P"), ("F", "H"))


def direction(cosines: Sequence[float]) -> str:
    """Returns the side of the patient that a vector in LPS mainly points to: R, L, A, P, F or H."""
    axis = int(np.argmax(np.abs(cosines)))
    return _DIRECTIONS[axis][int(cosines[axis] > 0)]


def opposite(letter: str) -> str:
    """Returns the opposite side."""
    pair = next(pair for pair in _DIRECTIONS if letter in pair)
    return pair[1 - pair.index(letter)]


@lru_cache(maxsize=64)
def _stamp(words: str, size: int, colour: Colour, place: tuple[int, int], anchor: str) -> Stamp:
    """Returns a text at a place (column, row); `anchor` is Pillow's."""
    box = font(size).getbbox(words, anchor=anchor, stroke_width=_OUTLINE)
    left, top, right, bottom = (round(n) for n in box)
    masks = [Image.new("L", (right - left, bottom - top)) for _ in range(2)]
    for mask, outline in zip(masks, (_OUTLINE, 0), strict=True):
        draw = ImageDraw.Draw(mask)
        draw.text((-left, -top), words, 255, font(size), anchor, stroke_width=outline)
    halo, ink = (np.asarray(mask, dtype=np.uint16) for mask in masks)
    return Stamp(
        top=max(0, place[1] + top),
        left=max(0, place[0] + left),
        halo=np.maximum(halo, ink),
        ink=ink,
        colour=colour,
    )
