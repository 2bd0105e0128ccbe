"""Fills closed contours in the planes of slices, by the even-odd rule."""

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""(n, 2): column i and row j, in pixels."""


def filled(
    points: Points, ends: NDArray[np.intp], slices: NDArray[np.intp], shape: tuple[int, int, int]
) -> NDArray[np.bool_]:
    """Fills contours as a planning system does, and returns the mask, (k, j, i).

    Pixels belong to it if contours surround their centres an odd number of times. Where a line
    crosses a row, all pixels to the right change between inside and outside. A channel that leads
    to a hole and back changes them twice.

    Args:
        points: (n, 2) column i and row j, contour after contour, all within the slices.
        ends: (m,) index in `points` at which each contour ends.
        slices: (m,) index k of the slice of each contour.
        shape: Slices, rows and columns of the mask.
    """
    starts = np.concatenate([[0], ends[:-1]])
    following = np.arange(1, len(points) + 1)
    following[ends - 1] = starts
    # All lines are computed upwards, so that both directions give the same result to the last bit.
    is_upward = points[:, 1] <= points[following, 1]
    lower = np.where(is_upward[:, None], points, points[following])
    upper = np.where(is_upward[:, None], points[following], points)
    line, row = _crossed_rows(lower[:, 1], upper[:, 1])
    slope = (upper[line, 0] - lower[line, 0]) / (upper[line, 1] - lower[line, 1])
    column = np.ceil(lower[line, 0] + (row - lower[line, 1]) * slope).astype(np.intp)
    k = np.repeat(slices, np.diff(ends, prepend=0))[line]
    width = shape[2] + 1  # crossings to the right of the last pixel change no pixel
    changes = np.zeros((shape[0], shape[1], width), dtype=np.uint8)
    np.add.at(changes.reshape(-1), (k * shape[1] + row) * width + column, np.uint8(1))
    # Sums above 255 begin at 0 again, and an odd sum stays odd.
    inside = np.cumsum(changes[..., :-1], axis=2, dtype=np.uint8)
    return (inside & 1).astype(bool)


def _crossed_rows(
    low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns the indices of lines and of the rows that they cross.

    The lower end belongs to a line, the upper end does not. So a row through a corner crosses one
    of the two lines there, or both, or none.
    """
    first = np.ceil(low).astype(np.intp)
    count = np.ceil(high).astype(np.intp) - first
    line = np.repeat(np.arange(len(low)), count)
    place = np.arange(len(line)) - np.repeat(np.cumsum(count) - count, count)
    return line, first[line] + place
