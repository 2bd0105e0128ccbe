"""Where voxels lie in the patient: one affine in float64, DICOM's LPS frame.

The only place that knows the difference between LPS (DICOM: x to the left, y to the back,
z to the head) and RAS (NIfTI, nibabel, TotalSegmentator).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)
Affine = NDArray[np.float64]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Geometry:
    """The grid of a volume.

    Attributes:
        affine_lps: (4, 4), maps (i, j, k, 1) to mm in LPS, where i is the column, j the row and
            k the slice of a voxel (PS3.3 C.7.6.2.1.1).
        shape: Number of voxels (k, j, i): slices, rows, columns, the order of our arrays.
    """

    affine_lps: Affine
    shape: tuple[int, int, int]

    @property
    def affine_ras(self) -> Affine:
        """(4, 4), maps (i, j, k, 1) to mm in RAS."""
        return LPS_TO_RAS @ self.affine_lps

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along i, j and k, in mm."""
        i, j, k = np.linalg.norm(self.affine_lps[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in mL."""
        return float(abs(np.linalg.det(self.affine_lps[:3, :3]))) / 1000.0


def slice_normal(orientation: Sequence[float]) -> NDArray[np.float64]:
    """Returns the unit normal of a slice: row direction x column direction, in LPS.

    Args:
        orientation: Image Orientation (Patient), six cosines (PS3.3 C.7.6.2.1.1).
    """
    row, column = np.reshape(np.asarray(orientation, dtype=np.float64), (2, 3))
    normal: NDArray[np.float64] = np.cross(row, column)
    return normal / np.linalg.norm(normal)


def slice_affine(
    orientation: Sequence[float],
    pixel_spacing_mm: Sequence[float],
    first_position_mm: NDArray[np.float64],
    slice_step_mm: NDArray[np.float64],
) -> Affine:
    """Builds the affine of a stack of equidistant slices (PS3.3 C.7.6.2.1.1, equation 1).

    Args:
        orientation: Image Orientation (Patient): direction of a row (along which the column
            index i grows), then of a column (along which the row index j grows).
        pixel_spacing_mm: Pixel Spacing: between rows, then between columns.
        first_position_mm: (3,) Image Position (Patient) of slice k = 0, LPS.
        slice_step_mm: (3,) vector from one slice to the next, LPS.
    """
    affine = np.eye(4)
    affine[:3, 0] = np.asarray(orientation[:3], dtype=np.float64) * pixel_spacing_mm[1]
    affine[:3, 1] = np.asarray(orientation[3:], dtype=np.float64) * pixel_spacing_mm[0]
    affine[:3, 2] = slice_step_mm
    affine[:3, 3] = first_position_mm
    return affine


def to_canonical(array: NDArray[Scalar], geometry: Geometry) -> NDArray[Scalar]:
    """Returns a view (x, y, z) whose axes point closest to right, anterior and superior.

    Matches nibabel.as_closest_canonical on an image of our array and affine_ras.

    Args:
        array: (k, j, i) on the grid of `geometry`.
    """
    oriented: NDArray[Scalar] = apply_orientation(array.transpose(2, 1, 0), _orientation(geometry))
    return oriented


def from_canonical(array: NDArray[Scalar], geometry: Geometry) -> NDArray[Scalar]:
    """Undoes `to_canonical`: (x, y, z) back to a view (k, j, i) on the grid of `geometry`."""
    inverse = ornt_transform(axcodes2ornt("RAS"), _orientation(geometry))
    oriented: NDArray[Scalar] = apply_orientation(array, inverse)
    return oriented.transpose(2, 1, 0)


def canonical_zooms(geometry: Geometry) -> NDArray[np.float32]:
    """Returns the spacing along the canonical axes x, y, z in mm, as a NIfTI header holds it.

    TotalSegmentator reads the study from a NIfTI file, whose affine and zooms are float32; the
    labels are only equal to its labels with the same rounding.
    """
    stored = geometry.affine_ras.astype(np.float32).astype(np.float64)
    zooms = voxel_sizes(stored).astype(np.float32)
    axes = _orientation(geometry)[:, 0].astype(int)
    canonical = np.empty(3, dtype=np.float32)
    canonical[axes] = zooms
    return canonical


def to_las(array: NDArray[Scalar], geometry: Geometry) -> tuple[NDArray[Scalar], Affine]:
    """Returns a view with axes closest to left, anterior, superior, and its affine to RAS.

    This is how dicom2nifti, and so TotalSegmentator, lays out a study as NIfTI.

    Args:
        array: (k, j, i) on the grid of `geometry`.
    """
    transform = ornt_transform(_orientation(geometry), axcodes2ornt("LAS"))
    shape_ijk = geometry.shape[::-1]
    affine: Affine = geometry.affine_ras @ inv_ornt_aff(transform, shape_ijk)
    return apply_orientation(array.transpose(2, 1, 0), transform), affine


def _orientation(geometry: Geometry) -> NDArray[np.float64]:
    orientation: NDArray[np.float64] = io_orientation(geometry.affine_ras)
    return orientation
