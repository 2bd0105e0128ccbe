"""Describes how the voxels of a stack are shown to a reader: which array axis runs to which side.

Radiological convention: the patient's right is on the left of the screen, the front at the top of
an axial plane, and the head at the top of the others.
"""

from dataclasses import dataclass

from totalmap.dicom.geometry import Geometry
from totalmap.structures import Face

# The directions of the display coordinates: x, y and z as in LPS.
DIRECTIONS = (Face.LEFT, Face.POSTERIOR, Face.SUPERIOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayAxis:
    """The array axis that runs closest to a side of the patient.

    Attributes:
        towards: The side.
        array_axis: 0, 1 or 2: k, j or i.
        is_reversed: Whether its index decreases towards the side.
        spacing_mm: The distance of neighbouring voxels; of a step along the stack for k.
    """

    towards: Face
    array_axis: int
    is_reversed: bool
    spacing_mm: float


def display_axes(geometry: Geometry) -> tuple[DisplayAxis, ...]:
    """Returns the axes to the patient's left, back and head; for an oblique stack, the closest."""
    return tuple(_axis(towards, geometry) for towards in DIRECTIONS)


def _axis(towards: Face, geometry: Geometry) -> DisplayAxis:
    (axis,) = (k for k, ends in enumerate(geometry.faces) if towards in ends)
    first, _ = geometry.faces[axis]
    return DisplayAxis(
        towards=towards,
        array_axis=axis,
        is_reversed=first is towards,
        spacing_mm=geometry.spacing_mm[::-1][axis],
    )
