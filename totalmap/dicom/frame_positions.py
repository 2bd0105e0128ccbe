"""Finds the pixels of a grid that the frames of a multi-frame object lie on, by their positions."""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from totalmap.dicom.functional_groups import FunctionalGroups
from totalmap.dicom.geometry import Geometry
from totalmap.errors import InputError

# A frame lies on the pixels of a slice if their distance is at most this share of a voxel.
SAME_PLACE = 0.1


def places_of_frames(
    seg: Dataset, groups: FunctionalGroups, geometry: Geometry
) -> NDArray[np.intp]:
    """Returns the index (k, j, i) in the source of the first pixel of each frame, (frame, 3).

    Frames may be smaller than the slices of the source, as some tools crop them.

    Args:
        seg: The header of the SEG.
        groups: Its functional groups.
        geometry: The grid of its source.

    Raises:
        InputError: A frame does not lie on the pixels of a slice, or has no position.
    """
    origin = frame_values(groups, "PlanePositionSequence", "ImagePositionPatient")
    cosines = frame_values(groups, "PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = frame_values(groups, "PixelMeasuresSequence", "PixelSpacing")
    next_column = origin + cosines[:, :3] * spacing[:, 1:]
    next_row = origin + cosines[:, 3:] * spacing[:, :1]
    at = np.stack([_indices(points, geometry) for points in (origin, next_column, next_row)], 1)
    steps = np.asarray(geometry.slice_steps)
    slices = np.abs(at[:, 0, 2, None] - steps).argmin(axis=1)
    corners = np.rint(at[:, 0, :2])
    expected = np.tile([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], (len(at), 1, 1))
    expected[:, :, :2] += corners[:, None]
    expected[:, :, 2] = steps[slices, None]
    elsewhere = np.flatnonzero(np.abs(at - expected).max(axis=(1, 2)) > SAME_PLACE)
    if elsewhere.size:
        raise InputError(
            f"frame {elsewhere[0] + 1} of the SEG lies on another grid than its source"
        )
    _, rows, columns = geometry.shape
    ends = corners + np.array([seg.Columns, seg.Rows])
    if (corners < 0).any() or (ends > np.array([columns, rows])).any():
        raise InputError(
            f"the SEG has {seg.Rows} x {seg.Columns} voxels a slice, its source {rows} x {columns}"
        )
    return np.column_stack([slices, corners[:, ::-1]]).astype(np.intp)


def _indices(points: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float64]:
    """Returns (i, j, s) of points, (n, 3) mm in LPS."""
    homogeneous = np.column_stack([points, np.ones(len(points))])
    indices: NDArray[np.float64] = (homogeneous @ np.linalg.inv(geometry.affine_lps).T)[:, :3]
    return indices


def frame_values(groups: FunctionalGroups, sequence: str, attribute: str) -> NDArray[np.float64]:
    """Returns an attribute of a functional group for each frame, (frame, value).

    Raises:
        InputError: A frame has no such functional group.
    """

    def read(item: Dataset) -> NDArray[np.float64]:
        return np.array(item[attribute].value, dtype=float, ndmin=1)

    values = []
    for frame in range(len(groups)):
        try:
            values.append(groups.read_once(frame, Tag(sequence), read))
        except KeyError as error:
            raise InputError(f"frame {frame + 1} of the SEG has no {sequence}") from error
    return np.array(values)
