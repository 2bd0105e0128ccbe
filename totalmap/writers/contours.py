"""Contours of structures: closed lines in the plane of a slice, half way between pixels.

A line runs where the mask of a structure would be one half if it were interpolated, so it passes
between the centres of two pixels wherever one belongs to the structure and the other does not.
Filled, contours give back the mask, pixel by pixel.

A hole is joined to the contour around it by a channel of no width, there and back: the "keyhole"
of PS3.3 C.8.8.6.3, the only way to show a hole that every planning system reads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from contourpy import FillType, LineType, SerialContourGenerator, ZInterp
from numpy.typing import NDArray

from totalmap.dicom.geometry import Plane
from totalmap.writers.seg_frames import Labels, SegFrame

Points = NDArray[np.float64]
"""(n, 2): column i and row j, multiples of one half."""

_Filled = tuple[list[Points], list[NDArray[np.uint32]]]

# Masks are 0 and 1: the line is where they change, and nothing lies above the upper level.
_LOWER, _UPPER = 0.5, 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contours:
    """All contours of a slice.

    Attributes:
        labels: That of the structure that each contour belongs to.
        points: (n, 2) column i and row j of all corners, contour after contour. The last corner
            of a contour is connected with its first.
        ends: Where in `points` each contour ends.
    """

    labels: tuple[int, ...]
    points: Points
    ends: NDArray[np.intp]


def slice_contours(labels: Labels, frames: Sequence[SegFrame]) -> Contours:
    """Returns the contours around structures in a slice.

    Args:
        labels: (j, i).
        frames: The structures, and the rows and columns around them.
    """
    rings = [(frame.label, ring) for frame in frames for ring in _rings(labels, frame)]
    points = np.concatenate([ring for _, ring in rings])
    ends = np.cumsum([len(ring) for _, ring in rings])
    is_corner = _corners(points, ends)
    return Contours(
        labels=tuple(label for label, _ in rings),
        points=points[is_corner],
        ends=np.cumsum(is_corner)[ends - 1],
    )


def positions_lps(plane: Plane, points: Points) -> NDArray[np.float64]:
    """Returns where points of a slice lie, (n, 3) mm in LPS (PS3.3 C.7.6.2.1.1, equation 1)."""
    rows_mm, columns_mm = plane.pixel_spacing_mm
    along_row = np.multiply(plane.cosines[:3], columns_mm)
    along_column = np.multiply(plane.cosines[3:], rows_mm)
    positions: NDArray[np.float64] = points @ np.stack([along_row, along_column])
    return positions + plane.position_mm


def _rings(labels: Labels, frame: SegFrame) -> Iterator[Points]:
    """Yields the contours of one structure, each without a repeated last point."""
    rows, columns = frame.box
    # With a pixel more on each side, all lines are closed, also at the edge of the image.
    i = np.arange(columns.start - 1, columns.stop + 1, dtype=np.float64)
    j = np.arange(rows.start - 1, rows.stop + 1, dtype=np.float64)
    mask = np.zeros((len(j), len(i)))
    mask[1:-1, 1:-1] = labels[frame.box] == frame.label
    for points, offsets in zip(*_filled(i, j, mask), strict=True):
        if len(offsets) == 2:
            yield points[:-1]
        else:
            outer, *holes = np.split(points, offsets[1:-1])
            yield _joined(outer, holes)[:-1]


def _filled(i: NDArray[np.float64], j: NDArray[np.float64], mask: NDArray[np.float64]) -> _Filled:
    """Returns points and, for each outer line and its holes, where in them each of these begins.

    All lines are closed: the last point is the first. contourpy.contour_generator would first look
    for masked values, which takes longer than to find the lines.
    """
    generator = SerialContourGenerator(
        np.broadcast_to(i, mask.shape),
        np.broadcast_to(j[:, None], mask.shape),
        mask,
        None,  # type: ignore[arg-type]  # None: no point is masked
        corner_mask=False,
        line_type=LineType.Separate,
        fill_type=FillType.OuterOffset,
        quad_as_tri=False,
        z_interp=ZInterp.Linear,
    )
    return cast(_Filled, generator.filled(_LOWER, _UPPER))


def _joined(outer: Points, holes: Sequence[Points]) -> Points:
    """Returns a closed line with its holes joined to it.

    The channel leaves a hole at its leftmost point, which lies between two pixels of a row, and
    goes to the left through pixels of the structure, up to the next point between two pixels:
    one of the line or of a hole further to the left, which was joined before. So channels lie
    within the structure and never cross.
    """
    for hole in sorted(holes, key=lambda ring: float(ring[:, 0].min())):
        first = int(hole[:, 0].argmin())
        i, j = hole[first]
        reached = np.where((outer[:, 1] == j) & (outer[:, 0] < i), outer[:, 0], -np.inf)
        at = int(reached.argmax())
        there_and_back = [hole[first:-1], hole[: first + 1]]
        outer = np.concatenate([outer[: at + 1], *there_and_back, outer[at:]])
    return outer


def _corners(points: Points, ends: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Returns which points of closed lines are no points within a straight piece of them.

    Steps of one direction are of one length, so a line goes straight on where its step is the
    one before.
    """
    starts = np.concatenate([[0], ends[:-1]])
    steps = np.empty_like(points)
    steps[:-1] = points[1:] - points[:-1]
    steps[ends - 1] = points[starts] - points[ends - 1]
    before = np.empty_like(steps)
    before[1:] = steps[:-1]
    before[starts] = steps[ends - 1]
    turns: NDArray[np.bool_] = (steps != before).any(axis=1)
    return turns
