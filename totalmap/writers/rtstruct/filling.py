"""Fills contours, as a planning system does: the pixels whose centres lie within them."""

import numpy as np
from numpy.typing import NDArray

from totalmap.writers.rtstruct.contours import Points


def filled(
    points: Points, ends: NDArray[np.intp], slices: NDArray[np.intp], shape: tuple[int, int, int]
) -> NDArray[np.bool_]:
    """Returns (k, j, i) the pixels that are surrounded an odd number of times.

    The lines of a contour are looked at row by row: from where one crosses the row, all pixels to
    the right change between inside and outside. A channel that leads to a hole and back changes
    them twice.

    Args:
        points: (n, 2) column i and row j, contour after contour, all within the slices.
        ends: (m,) where in `points` each contour ends.
        slices: (m,) k of each contour.
        shape: Slices, rows and columns of the result.
    """
    starts = np.concatenate([[0], ends[:-1]])
    following = np.arange(1, len(points) + 1)
    following[ends - 1] = starts
    # Upwards, whichever way a line leads: there and back are computed alike to the last bit.
    is_upward = points[:, 1] <= points[following, 1]
    lower = np.where(is_upward[:, None], points, points[following])
    upper = np.where(is_upward[:, None], points[following], points)
    line, row = _crossed_rows(lower[:, 1], upper[:, 1])
    slope = (upper[line, 0] - lower[line, 0]) / (upper[line, 1] - lower[line, 1])
    column = np.ceil(lower[line, 0] + (row - lower[line, 1]) * slope).astype(np.intp)
    k = np.repeat(slices, np.diff(ends, prepend=0))[line]
    width = shape[2] + 1  # what is crossed to the right of the last pixel changes none
    changes = np.zeros((shape[0], shape[1], width), dtype=np.uint8)
    np.add.at(changes.reshape(-1), (k * shape[1] + row) * width + column, np.uint8(1))
    # Sums may pass 255 and begin anew: odd stays odd.
    inside = np.cumsum(changes[..., :-1], axis=2, dtype=np.uint8)
    return (inside & 1).astype(bool)


def _crossed_rows(
    low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns each line and each row that it crosses; a line's lower end is its own, its upper not.

    So a row that passes through a corner crosses one of the two lines there, or both, or none.
    """
    first = np.ceil(low).astype(np.intp)
    count = np.ceil(high).astype(np.intp) - first
    line = np.repeat(np.arange(len(low)), count)
    place = np.arange(len(line)) - np.repeat(np.cumsum(count) - count, count)
    return line, first[line] + place
