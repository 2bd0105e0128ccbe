"""Computes contours of structures: closed lines in the plane of a slice, half way between pixels.

A contour passes between the centres of two pixels wherever one belongs to the structure and the
other does not. Contours that are filled give the same mask, pixel by pixel.

A hole is joined to the contour around it by a channel without width, there and back: the "keyhole"
of PS3.3 C.8.8.6.3, the only form of a hole that every planning system reads.

A contour with too many points is cut along lines half way between two rows. The pieces share the
cut and fill the same area, and no centre of a pixel lies on a cut.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import cast

import numpy as np
from contourpy import FillType, LineType, SerialContourGenerator, ZInterp
from numpy.typing import NDArray

from totalmap.dicom.geometry import Plane
from totalmap.measure.label_statistics import Labels
from totalmap.measure.structure_boxes_in_slices import SliceBox

Points = NDArray[np.float64]
"""(n, 2): column i and row j, multiples of one half."""

_Filled = tuple[list[Points], list[NDArray[np.uint32]]]

# Masks are 0 and 1: contours run at the lower level, and no value reaches the upper level.
_LOWER, _UPPER = 0.5, 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contours:
    """All contours of a slice.

    Attributes:
        labels: The label of the structure of each contour.
        points: (n, 2) column i and row j of all corners, contour after contour. The last corner
            of a contour is connected with its first.
        ends: Index in `points` at which each contour ends.
    """

    labels: tuple[int, ...]
    points: Points
    ends: NDArray[np.intp]


def slice_contours(
    labels: Labels, boxes: Sequence[SliceBox], max_points: int | None = None
) -> Contours:
    """Returns the contours around structures in a slice.

    Args:
        labels: (j, i).
        boxes: The structures, and the rows and columns around them.
        max_points: The largest number of points of a contour, at least 64; longer ones are cut.
            None: no limit.
    """
    limit = float("inf") if max_points is None else max_points
    rings = [(box.label, ring) for box in boxes for ring in _rings(labels, box, limit)]
    points = np.concatenate([ring for _, ring in rings])
    ends = np.cumsum([len(ring) for _, ring in rings])
    is_corner = _corners(points, ends)
    return Contours(
        labels=tuple(label for label, _ in rings),
        points=points[is_corner],
        ends=np.cumsum(is_corner)[ends - 1],
    )


def positions_lps(plane: Plane, points: Points) -> NDArray[np.float64]:
    """Returns the positions of points in a slice, (n, 3) mm in LPS (PS3.3 C.7.6.2.1.1, eq. 1)."""
    rows_mm, columns_mm = plane.pixel_spacing_mm
    along_row = np.multiply(plane.cosines[:3], columns_mm)
    along_column = np.multiply(plane.cosines[3:], rows_mm)
    positions: NDArray[np.float64] = points @ np.stack([along_row, along_column])
    return positions + plane.position_mm


def _rings(labels: Labels, box: SliceBox, max_points: float) -> Iterator[Points]:
    """Yields the contours of one structure, each without a repeated last point."""
    rows, columns = box.box
    # One more pixel on each side closes all lines, also those at the edge of the image.
    i = np.arange(columns.start - 1, columns.stop + 1, dtype=np.float64)
    j = np.arange(rows.start - 1, rows.stop + 1, dtype=np.float64)
    mask = np.zeros((len(j), len(i)))
    mask[1:-1, 1:-1] = labels[box.box] == box.label
    yield from _rings_of_rows(i, j, mask, max_points)


def _rings_of_rows(
    i: NDArray[np.float64], j: NDArray[np.float64], mask: NDArray[np.float64], max_points: float
) -> list[Points]:
    """Returns the contours between the first and the last row, cut where they are too long.

    Args:
        i: (columns,) positions of the columns.
        j: (rows,) positions of the rows: whole numbers, except a first or last one on a cut.
        mask: (rows, columns); a row on a cut has the mean of its neighbours.
        max_points: The largest number of points of a contour.
    """
    rings = [
        _joined_region(points, offsets)
        for points, offsets in zip(*_filled(i, j, mask), strict=True)
    ]
    corners = (_without_repetitions(ring) for ring in rings if len(ring) > max_points)
    longest = max(corners, key=len, default=None)
    (possible,) = np.nonzero((j[:-1] % 1 == 0) & (j[1:] % 1 == 0))
    if longest is None or len(longest) <= max_points or not possible.size:
        return rings
    before = int(possible[np.abs(j[possible] + 0.5 - np.median(longest[:, 1])).argmin()])
    after = before + 1
    cut, on_cut = (j[before] + j[after]) / 2, (mask[before] + mask[after]) / 2
    above = np.append(j[:after], cut), np.vstack([mask[:after], on_cut])
    below = np.append(cut, j[after:]), np.vstack([on_cut, mask[after:]])
    parts = (_rings_of_rows(i, rows, part, max_points) for rows, part in (above, below))
    return [_without_repetitions(ring) for part in parts for ring in part]


def _joined_region(points: Points, offsets: NDArray[np.uint32]) -> Points:
    """Returns the contour of a region, without a repeated last point.

    Args:
        points: (n, 2) the outer line and the lines of the holes, all closed.
        offsets: Index in `points` at which each line begins, and n.
    """
    if len(offsets) == 2:
        return points[:-1]
    once = np.delete(points, offsets[1:].astype(np.intp) - 1, axis=0)
    return _joined(once, offsets[:-1].astype(np.intp) - np.arange(len(offsets) - 1))


def _without_repetitions(ring: Points) -> Points:
    """Returns a contour without points that equal the next one, or that lie on a straight line."""
    ring = ring[(ring != np.roll(ring, -1, axis=0)).any(axis=1)]
    return ring[_corners(ring, np.array([len(ring)]))]


def _filled(i: NDArray[np.float64], j: NDArray[np.float64], mask: NDArray[np.float64]) -> _Filled:
    """Returns for each outer line, with its holes, the points and the indices where lines begin.

    All lines are closed: the last point is the first. contourpy.contour_generator is not used: it
    searches for masked values first, which takes longer than finding the lines.
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


def _joined(points: Points, starts: NDArray[np.intp]) -> Points:
    """Returns an outer line with its holes joined to it.

    The channel starts at the leftmost point of a hole, which lies between two pixels of a row. It
    runs to the left through pixels of the structure, up to the next point between two pixels: a
    point of the line or of a hole that begins further to the left. So channels lie within the
    structure and never cross, and no two of them end at the same point.

    Args:
        points: (n, 2) all points, first those of the line, then those of the holes.
        starts: Index in `points` at which the line and each hole begin.
    """
    ends = [*starts[1:].tolist(), len(points)]
    by_row = np.lexsort(points.T)
    place = np.empty_like(by_row)
    place[by_row] = np.arange(len(points))
    firsts = [
        start + int(points[start:end, 0].argmin()) for start, end in zip(starts, ends, strict=True)
    ]
    inserts: dict[int, list[tuple[int, Points]]] = defaultdict(list)
    # Holes that are joined to a hole begin further to the right, so they are complete before it.
    for hole in sorted(range(1, len(starts)), key=lambda n: -float(points[firsts[n], 0])):
        whole = _with(points, int(starts[hole]), firsts[hole], ends[hole], inserts.pop(hole, []))
        reached = int(by_row[place[firsts[hole]] - 1])
        around = int(np.searchsorted(starts, reached, side="right")) - 1
        inserts[around].append((reached, whole))
    return _with(points, 0, 0, ends[0], inserts[0])[:-1]


def _with(
    points: Points, start: int, first: int, end: int, inserts: Sequence[tuple[int, Points]]
) -> Points:
    """Returns the closed line points[start:end] from a first point, with other lines inserted.

    Args:
        points: (n, 2) all points.
        start: Index at which the line begins.
        first: Index of the point to start from.
        end: Index at which the line ends.
        inserts: Index of a point, and the line to insert after it; the line then returns to that
            point.
    """
    circle = np.concatenate([points[first:end], points[start : first + 1]])
    pieces, begin = [], 0
    for at, insert in sorted(
        (((n - first) % (end - start), insert) for n, insert in inserts), key=itemgetter(0)
    ):
        pieces += [circle[begin : at + 1], insert]
        begin = at
    return np.concatenate([*pieces, circle[begin:]])


def _corners(points: Points, ends: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Returns for each point of closed lines whether the line changes its direction there.

    Lines run along rows, along columns or diagonally, so the signs of a step are its direction.
    """
    starts = np.concatenate([[0], ends[:-1]])
    steps = np.empty_like(points)
    steps[:-1] = points[1:] - points[:-1]
    steps[ends - 1] = points[starts] - points[ends - 1]
    before = np.empty_like(steps)
    before[1:] = steps[:-1]
    before[starts] = steps[ends - 1]
    turns: NDArray[np.bool_] = (np.sign(steps) != np.sign(before)).any(axis=1)
    return turns
