"""Paints slices: grey values of the source, tinted structures, and opaque contours around them."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.pixels import Voxels
from totalmap.segmentation import Segmentation
from totalmap.writers.dicom.run_lengths import run_length_frame
from totalmap.writers.overlay.windows import Window
from totalmap.writers.preview.painting import contour_pixels, palette

# (3, rows, columns): red, green and blue, as RLE stores them.
Planes = NDArray[np.uint8]

_GREYS = 256
_OPACITY = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class GreyScale:
    """How finely grey values are shown.

    RLE stores repetitions of a value briefly, and in noise there are none. Smoothed values in
    larger steps repeat more often.

    Attributes:
        step: Distance of two neighbouring levels; black is 0, white 255.
        smoothings: How often each pixel is averaged with its neighbours.
    """

    step: int
    smoothings: int


# The finest first.
GREY_SCALES = (
    GreyScale(step=1, smoothings=0),
    GreyScale(step=4, smoothings=1),
    GreyScale(step=8, smoothings=1),
    GreyScale(step=8, smoothings=2),
    GreyScale(step=12, smoothings=2),
    GreyScale(step=16, smoothings=3),
    GreyScale(step=24, smoothings=3),
)
# 55 MB for 300 images of 512 x 512 pixels, which have 236 MB without compression. Images with
# fewer pixels may have as many bytes.
_MOST_BYTES_PER_PIXEL = 0.7
_USUAL_PIXELS = 512 * 512
# The number of slices by which the grey scale of a series is chosen.
_SAMPLED_SLICES = 12


class SlicePainter:
    """Paints the slices of a segmentation, from several threads at once."""

    def __init__(
        self, segmentation: Segmentation, windows: Sequence[Window], scale: GreyScale
    ) -> None:
        """Prepares the colours.

        Args:
            windows: The window of each slice.
            scale: How finely grey values are shown.

        Raises:
            OutputError: A structure has no colour.
        """
        self._voxels, self._labels = segmentation.volume.voxels, segmentation.labels
        self._windows, self._scale = windows, scale
        colours = palette(segmentation)
        self._contour_offset = len(colours)
        self._tables = _tables(colours, scale.step)

    def planes(self, k: int) -> Planes:
        """Returns slice k, (3, rows, columns)."""
        window, labels = self._windows[k], self._labels[k]
        grey = _grey(self._voxels[k], window)
        for _ in range(self._scale.smoothings):
            grey = _smoothed(grey)
        index = labels.astype(np.intp)
        index[contour_pixels(labels)] += self._contour_offset
        index *= _GREYS
        index += grey
        return np.stack([table.take(index) for table in self._tables])


def suitable_painter(
    segmentation: Segmentation, windows: Sequence[Window], slices: Sequence[int]
) -> SlicePainter:
    """Returns a painter with the finest grey scale that keeps the images small enough.

    Args:
        windows: The window of each slice.
        slices: Indices of the slices that will be painted.
    """
    count = min(len(slices), _SAMPLED_SLICES)
    sampled = [slices[int(n)] for n in np.linspace(0, len(slices) - 1, count)]
    most = _MOST_BYTES_PER_PIXEL * max(segmentation.labels[0].size, _USUAL_PIXELS) * count

    def is_small(painter: SlicePainter) -> bool:
        size = sum(len(run_length_frame(painter.planes(k))) for k in sampled)
        return bool(size <= most)

    painters = [SlicePainter(segmentation, windows, scale) for scale in GREY_SCALES]
    finest = bisect_left(painters, True, key=is_small)
    return painters[min(finest, len(painters) - 1)]


def _tables(colours: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Returns (3, values): for each label its tints of all grey values, then its contour."""
    grey = np.arange(_GREYS)[:, None]
    tints = _OPACITY * colours[:, None] + _in_steps((1 - _OPACITY) * grey, step)
    tints[0] = _in_steps(grey, step)  # the background
    contours = np.repeat(colours[:, None], _GREYS, axis=1)
    tables: NDArray[np.uint8] = np.concatenate([np.rint(tints), contours]).astype(np.uint8)
    return np.ascontiguousarray(tables.reshape(-1, 3).T)


def _in_steps(grey: NDArray[np.number], step: int) -> NDArray[np.float64]:
    levels: NDArray[np.float64] = np.minimum(np.rint(grey / step) * step, _GREYS - 1)
    return levels


def _grey(values: Voxels, window: Window) -> NDArray[np.uint8]:
    scaled = values.astype(np.float32)
    scaled -= window.low
    scaled *= (_GREYS - 1) / (window.high - window.low)
    grey: NDArray[np.uint8] = np.clip(scaled, 0, _GREYS - 1, out=scaled).astype(np.uint8)
    return grey


def _smoothed(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the average with the neighbours, with the weights 1, 2, 1 in both directions."""
    padded = np.pad(grey.astype(np.uint16), 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    both = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    smoothed: NDArray[np.uint8] = ((both + 8) >> 4).astype(np.uint8)
    return smoothed
