"""Draws the legend over the first image, and over the next ones if there is not enough room."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from totalmap.segmentation import Segmentation
from totalmap.texts.catalogue import Texts
from totalmap.writers.dicom.codes import structure_code
from totalmap.writers.overlay.annotations import SMALLEST_TEXT, spaced, text_size
from totalmap.writers.overlay.painting import Planes
from totalmap.writers.presentation.fonts import font
from totalmap.writers.presentation.title_and_notices import found_words
from totalmap.writers.preview.page_drawing import MUTED, TEXT, Colour, fitting_size

_DARKER = 5  # the image below the legend is so many times darker
_EDGE = 4
_GAP = 8  # between two columns
_PATCH_GAP = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendRow:
    """A structure of the legend; without a colour, a remark."""

    name: str
    rgb: Colour | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendColumn:
    """Rows below each other; `left` is the first column of pixels."""

    left: int
    rows: tuple[LegendRow, ...]


LegendPart = tuple[LegendColumn, ...]
"""The part of the legend that is on one image."""


class Legend:
    """The structures that were found, with their colours, on as many images as needed."""

    def __init__(
        self, segmentation: Segmentation, body_top: int, images: int, texts: Texts
    ) -> None:
        """Arranges the legend.

        Args:
            segmentation: The structures.
            body_top: The first row of an image that is free.
            images: How many images there are. If they are too few, the last one says how many
                structures are left out.
            texts: The texts of the language.
        """
        self._texts = texts
        _, rows, columns = segmentation.volume.geometry.shape
        names = [found.structure.name for found in segmentation.found()]
        entries = [
            LegendRow(name=spaced(texts.structure(name)), rgb=structure_code(name).rgb)
            for name in names
        ]
        self._title = found_words(segmentation, texts)
        self._title_top = body_top + 2
        self._title_size = text_size(columns)
        self._top = self._title_top + self._title_size + 5
        self._size, parts = _arranged(entries, rows - self._top, columns - _EDGE)
        self.parts = _shortened(parts, images, texts)

    def __len__(self) -> int:
        """The number of images with a part of the legend."""
        return len(self.parts)

    def draw(self, planes: Planes, number: int) -> Planes:
        """Returns an image with a part of the legend.

        Args:
            planes: (3, rows, columns).
            number: The part, from 0.
        """
        image = Image.fromarray(np.ascontiguousarray((planes // _DARKER).transpose(1, 2, 0)))
        draw = ImageDraw.Draw(image)
        title = self._title
        if len(self) > 1:
            title = self._texts("overlay.part", title=title, part=number + 1, parts=len(self))
        size = fitting_size([spaced(title)], self._title_size, image.width - 2 * _EDGE)
        draw.text((_EDGE, self._title_top), spaced(title), TEXT, font(max(size, SMALLEST_TEXT)))
        for column in self.parts[number]:
            for row, entry in enumerate(column.rows):
                self._draw_row(draw, column.left, row, entry)
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))

    def _draw_row(self, draw: ImageDraw.ImageDraw, left: int, row: int, entry: LegendRow) -> None:
        size, height = self._size, _row_height(self._size)
        middle = self._top + row * height + height // 2
        if entry.rgb is not None:
            top = middle - size // 2
            draw.rectangle((left, top, left + size - 1, top + size - 1), entry.rgb, MUTED)
        draw.text((left + size + _PATCH_GAP, middle), entry.name, TEXT, font(size), "lm")


def _arranged(
    entries: Sequence[LegendRow], height: int, width: int
) -> tuple[int, list[LegendPart]]:
    """Returns the largest size of text that shows all entries on one image, and their columns.

    If there is none, the text has the smallest size, and there are several parts.
    """
    for size in range(text_size(width), SMALLEST_TEXT - 1, -1):
        most = max(1, height // _row_height(size))
        columns = -(-len(entries) // most)
        parts = _parts(entries, -(-len(entries) // columns), size, width)
        if len(parts) == 1:
            return size, parts
    return size, _parts(entries, most, size, width)


def _parts(entries: Sequence[LegendRow], rows: int, size: int, width: int) -> list[LegendPart]:
    """Returns columns of so many rows, as many on each image as fit beside each other."""
    parts: list[LegendPart] = [()]
    left = _EDGE
    for first in range(0, len(entries), rows):
        column = LegendColumn(left=left, rows=tuple(entries[first : first + rows]))
        widest = max(font(size).getlength(entry.name) for entry in column.rows)
        right = left + size + _PATCH_GAP + int(widest)
        if right > width and parts[-1]:
            parts.append(())
            right += _EDGE - left
            column = replace(column, left=_EDGE)
        parts[-1] += (column,)
        left = right + _GAP
    return parts


def _shortened(parts: Sequence[LegendPart], images: int, texts: Texts) -> list[LegendPart]:
    """Returns at most so many parts; the last one names the number of entries that are left out."""
    shown = list(parts[:images])
    left_out = sum(len(column.rows) for part in parts[images:] for column in part)
    if left_out:
        *others, last = shown[-1]
        remark = LegendRow(name=spaced(texts("overlay.more", count=left_out + 1)), rgb=None)
        shown[-1] = (*others, replace(last, rows=(*last.rows[:-1], remark)))
    return shown


def _row_height(size: int) -> int:
    return size + 3 if size > SMALLEST_TEXT + 1 else size + 2
