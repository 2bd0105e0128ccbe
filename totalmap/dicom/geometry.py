"""Describes the positions of voxels in the patient: one affine in float64, in DICOM's LPS frame.

Only this module converts between LPS (DICOM: x to the left, y to the back, z to the head) and RAS
(NIfTI, nibabel, TotalSegmentator). nibabel is imported where it is used, since series selection
does not need it.
"""

from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from totalmap.selection_settings import Orientation
from totalmap.structures import Face

Scalar = TypeVar("Scalar", bound=np.generic)
Affine = NDArray[np.float64]
Box = tuple[slice, slice, slice]
"""A part of an array (k, j, i)."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

# First and last face along an axis that points to the right, left, front, back, feet or head.
_ENDS = {
    "R": (Face.LEFT, Face.RIGHT),
    "L": (Face.RIGHT, Face.LEFT),
    "A": (Face.POSTERIOR, Face.ANTERIOR),
    "P": (Face.ANTERIOR, Face.POSTERIOR),
    "I": (Face.SUPERIOR, Face.INFERIOR),
    "S": (Face.INFERIOR, Face.SUPERIOR),
}

# 0.25 degrees shift a stack of 300 mm by 1.3 mm from its first to its last slice. This does not
# change the labels noticeably, and masks lie on the slices of the source in any case.
NEGLIGIBLE_TILT_DEGREES = 0.25
# A plane that is turned by more than 35 degrees is oblique; gantries tilt by up to 30.
OBLIQUE_COSINE = 0.819


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Position and orientation of an image, LPS (PS3.3 C.7.6.2.1.1).

    Attributes:
        position_mm: (3,) centre of the first pixel, Image Position (Patient).
        cosines: (6,) direction of a row (along which the column index i grows), then of a column
            (along which the row index j grows): Image Orientation (Patient).
        pixel_spacing_mm: (2,) between rows, then between columns: Pixel Spacing.
    """

    position_mm: tuple[float, ...]
    cosines: tuple[float, ...]
    pixel_spacing_mm: tuple[float, ...]

    @property
    def normal(self) -> NDArray[np.float64]:
        """(3,) unit vector, row direction x column direction."""
        normal: NDArray[np.float64] = np.cross(self.cosines[:3], self.cosines[3:])
        return normal / np.linalg.norm(normal)

    @property
    def orientation(self) -> Orientation:
        """Orientation of the image."""
        return _orientation_of(self.normal)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Geometry:
    """Geometry of the voxels of a stack of parallel slices.

    Attributes:
        affine_lps: (4, 4), maps (i, j, s, 1) to mm in LPS, where i is the column and j the row of
            a voxel and s its place along the stack in steps (PS3.3 C.7.6.2.1.1). The third
            column is a shear if the gantry was tilted.
        shape: Number of voxels (k, j, i): slices, rows, columns, the order of our arrays.
        slice_steps: The position s of each slice k; 0, 1, 2, ... unless slices are missing or their
            distances vary.
    """

    affine_lps: Affine
    shape: tuple[int, int, int]
    slice_steps: tuple[float, ...]

    @classmethod
    def regular(cls, affine_lps: Affine, shape: tuple[int, int, int]) -> Self:
        """Returns the geometry of slices that follow each other in equal steps."""
        steps = tuple(float(k) for k in range(shape[0]))
        return cls(affine_lps=affine_lps, shape=shape, slice_steps=steps)

    @property
    def affine_ras(self) -> Affine:
        """(4, 4), maps (i, j, s, 1) to mm in RAS."""
        return LPS_TO_RAS @ self.affine_lps

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along i, along j and a step along s, in mm."""
        i, j, s = np.linalg.norm(self.affine_lps[:3, :3], axis=0)
        return float(i), float(j), float(s)

    @property
    def is_equidistant(self) -> bool:
        """Whether the slices follow each other in equal steps."""
        return self.slice_steps == tuple(range(self.shape[0]))

    @property
    def tilt_degrees(self) -> float:
        """Angle between the normal of the slices and the direction in which they are stacked."""
        row, column, step = self.affine_lps[:3, :3].T
        normal = np.cross(row, column)
        cosine = abs(normal @ step) / (np.linalg.norm(normal) * np.linalg.norm(step))
        return float(np.degrees(np.arccos(min(cosine, 1.0))))

    @property
    def is_grid(self) -> bool:
        """Whether the voxels form a grid of equidistant points with perpendicular axes."""
        return self.is_equidistant and self.tilt_degrees <= NEGLIGIBLE_TILT_DEGREES

    @property
    def faces(self) -> tuple[tuple[Face, Face], ...]:
        """The sides of the patient at the first and the last voxel along k, j and i.

        For an oblique stack, the closest sides.
        """
        from nibabel.orientations import aff2axcodes

        directions = aff2axcodes(self.affine_ras)
        return tuple(_ENDS[code] for code in reversed(directions))

    @property
    def orientation(self) -> Orientation:
        """Orientation of the slices."""
        row, column, _ = self.affine_lps[:3, :3].T
        normal = np.cross(row, column)
        return _orientation_of(normal / np.linalg.norm(normal))

    @property
    def coverage_mm(self) -> float:
        """Distance of the first and the last slice along their normal."""
        row, column, step = self.affine_lps[:3, :3].T
        normal = np.cross(row, column)
        return float(abs(normal @ step) / np.linalg.norm(normal) * self.slice_steps[-1])

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel of one step in mL."""
        return abs(float(np.linalg.det(self.affine_lps[:3, :3]))) / 1000.0

    @property
    def voxel_volumes_ml(self) -> NDArray[np.float64]:
        """(k,) volume of a voxel in mL; each slice extends half way to its neighbours."""
        distances = np.diff(self.slice_steps)
        reach = np.concatenate([distances[:1], distances, distances[-1:]])
        volumes: NDArray[np.float64] = self.voxel_ml * (reach[:-1] + reach[1:]) / 2
        return volumes

    def positions_lps(self, kji: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Returns the positions of voxels, (n, 3) mm in LPS, from indices (n, 3) as k, j, i."""
        k, j, i = kji.T
        steps = np.asarray(self.slice_steps)[k]
        index = np.stack([i, j, steps, np.ones(len(kji))])
        positions: NDArray[np.float64] = (self.affine_lps @ index)[:3].T
        return positions


def _orientation_of(normal: NDArray[np.float64]) -> Orientation:
    largest = int(np.argmax(np.abs(normal)))
    if abs(normal[largest]) < OBLIQUE_COSINE:
        return Orientation.OBLIQUE
    return (Orientation.SAGITTAL, Orientation.CORONAL, Orientation.AXIAL)[largest]


def nifti_geometry(affine_ras: Affine, shape_ijk: tuple[int, int, int]) -> Geometry:
    """Returns the geometry of a NIfTI image; its axes become i, j and the slices k.

    Args:
        affine_ras: (4, 4), maps (i, j, k, 1) to mm in RAS.
    """
    i, j, k = shape_ijk
    return Geometry.regular(LPS_TO_RAS @ affine_ras, (k, j, i))


def stack_affine(first: Plane, step_mm: NDArray[np.float64]) -> Affine:
    """Returns the affine of a stack of parallel slices (PS3.3 C.7.6.2.1.1, equation 1).

    Args:
        first: The plane of slice k = 0.
        step_mm: (3,) vector from one slice to the next, LPS.
    """
    affine = np.eye(4)
    affine[:3, 0] = np.multiply(first.cosines[:3], first.pixel_spacing_mm[1])
    affine[:3, 1] = np.multiply(first.cosines[3:], first.pixel_spacing_mm[0])
    affine[:3, 2] = step_mm
    affine[:3, 3] = first.position_mm
    return affine


def to_canonical(array: NDArray[Scalar], geometry: Geometry) -> NDArray[Scalar]:
    """Returns a view (x, y, z) whose axes point closest to right, anterior and superior.

    Matches nibabel.as_closest_canonical on an image of our array and affine_ras.

    Args:
        array: (k, j, i) on the grid of `geometry`.
    """
    from nibabel.orientations import apply_orientation

    oriented: NDArray[Scalar] = apply_orientation(array.transpose(2, 1, 0), _orientation(geometry))
    return oriented


def from_canonical(array: NDArray[Scalar], geometry: Geometry) -> NDArray[Scalar]:
    """Undoes `to_canonical`: (x, y, z) back to a view (k, j, i) on the grid of `geometry`."""
    from nibabel.orientations import apply_orientation, axcodes2ornt, ornt_transform

    inverse = ornt_transform(axcodes2ornt("RAS"), _orientation(geometry))
    oriented: NDArray[Scalar] = apply_orientation(array, inverse)
    return oriented.transpose(2, 1, 0)


def canonical_affine_lps(geometry: Geometry) -> Affine:
    """Returns the (4, 4) affine of the array of `to_canonical`: (x, y, z, 1) to mm in LPS."""
    from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

    transform = ornt_transform(_orientation(geometry), axcodes2ornt("RAS"))
    affine: Affine = geometry.affine_lps @ inv_ornt_aff(transform, geometry.shape[::-1])
    return affine


def stored_zooms(affine_lps: Affine) -> NDArray[np.float32]:
    """Returns the spacing along the axes of an affine in mm, (3,), as a NIfTI file holds it.

    TotalSegmentator reads the study from a NIfTI file, whose affine and zooms are float32; the
    labels are only equal to its labels with the same rounding.
    """
    from nibabel.affines import voxel_sizes

    stored = affine_lps.astype(np.float32).astype(np.float64)
    zooms: NDArray[np.float32] = voxel_sizes(stored).astype(np.float32)
    return zooms


def canonical_zooms(geometry: Geometry) -> NDArray[np.float32]:
    """Returns the spacing along the canonical axes x, y, z in mm, as a NIfTI file holds it."""
    canonical = np.empty(3, dtype=np.float32)
    canonical[_canonical_axes(geometry)] = stored_zooms(geometry.affine_lps)
    return canonical


def along_axes(xyz: tuple[float, float, float], geometry: Geometry) -> NDArray[np.float64]:
    """Returns values of the canonical axes x, y, z in the order of the axes i, j, s."""
    values: NDArray[np.float64] = np.asarray(xyz, dtype=float)[_canonical_axes(geometry)]
    return values


def cropped(geometry: Geometry, box: Box) -> Geometry:
    """Returns the geometry of the voxels in a box."""
    k, j, i = box
    first_step = geometry.slice_steps[k.start]
    affine = geometry.affine_lps.copy()
    affine[:, 3] = affine @ [i.start, j.start, first_step, 1.0]
    return Geometry(
        affine_lps=affine,
        shape=(k.stop - k.start, j.stop - j.start, i.stop - i.start),
        slice_steps=tuple(step - first_step for step in geometry.slice_steps[k]),
    )


def to_equidistant(array: NDArray[Scalar], geometry: Geometry) -> tuple[NDArray[Scalar], Geometry]:
    """Returns an array with a slice at every step of the stack, a copy of the nearest slice.

    Args:
        array: (k, j, i) on the grid of `geometry`; returned unchanged if no slice is missing.
    """
    if geometry.is_equidistant:
        return array, geometry
    steps = np.asarray(geometry.slice_steps)
    wanted = np.arange(int(np.ceil(steps[-1])) + 1)
    nearest = np.abs(wanted[:, None] - steps).argmin(axis=1)
    shape = (len(wanted), *geometry.shape[1:])
    return array[nearest], Geometry.regular(geometry.affine_lps, shape)


def to_las(array: NDArray[Scalar], geometry: Geometry) -> tuple[NDArray[Scalar], Affine]:
    """Returns a view with axes closest to left, anterior, superior, and its affine to RAS.

    dicom2nifti, and therefore TotalSegmentator, writes NIfTI files with these axes.

    Args:
        array: (k, j, i) on the grid of `geometry`.
    """
    from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

    transform = ornt_transform(_orientation(geometry), axcodes2ornt("LAS"))
    shape_ijk = geometry.shape[::-1]
    affine: Affine = geometry.affine_ras @ inv_ornt_aff(transform, shape_ijk)
    return apply_orientation(array.transpose(2, 1, 0), transform), affine


def to_own_axes(array: NDArray[Scalar], geometry: Geometry) -> tuple[NDArray[Scalar], Affine]:
    """Returns a view with the axes i, j, k, and its affine to RAS: undoes `nifti_geometry`.

    Args:
        array: (k, j, i) on the grid of `geometry`.
    """
    return array.transpose(2, 1, 0), geometry.affine_ras


def _orientation(geometry: Geometry) -> NDArray[np.float64]:
    from nibabel.orientations import io_orientation

    orientation: NDArray[np.float64] = io_orientation(geometry.affine_ras)
    return orientation


def _canonical_axes(geometry: Geometry) -> NDArray[np.intp]:
    """Returns the index in x, y, z of the axis closest to each of the axes i, j, s."""
    axes: NDArray[np.intp] = _orientation(geometry)[:, 0].astype(np.intp)
    return axes
