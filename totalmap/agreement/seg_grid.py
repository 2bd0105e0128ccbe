"""Computes the grid of SEG objects from the positions of their frames, without their images."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from totalmap.dicom.frame_positions import SAME_PLACE, frame_values
from totalmap.dicom.functional_groups import FunctionalGroups
from totalmap.dicom.geometry import Geometry, Plane, stack_affine
from totalmap.errors import InputError
from totalmap.seg_frames import ExistingSeg

# Positions are decimal strings: differences below this are of rounding.
_SAME_MM = 1e-3
_SAME_COSINE = 1e-4


def grid_of_segs(segs: Sequence[ExistingSeg]) -> Geometry:
    """Returns the grid from the first to the last slice that holds a structure.

    Raises:
        InputError: The frames have several orientations or pixel spacings, or no positions, or
            their positions do not show the distance of the slices.
    """
    groups = [FunctionalGroups(seg.header) for seg in segs]
    cosines = _common(groups, "PlaneOrientationSequence", "ImageOrientationPatient", _SAME_COSINE)
    spacing = _common(groups, "PixelMeasuresSequence", "PixelSpacing", _SAME_MM)
    found = [
        frame_values(group, "PlanePositionSequence", "ImagePositionPatient") for group in groups
    ]
    positions = np.concatenate(found)
    normal = np.cross(cosines[:3], cosines[3:])
    along = positions @ normal
    positions, along = positions[along.argsort()], np.sort(along)
    is_first = np.diff(along, prepend=-np.inf) > _SAME_MM
    positions, along = positions[is_first], along[is_first]
    stated = _stated_distance_mm(groups[0])
    count = _steps(along, stated)
    step_mm = (positions[-1] - positions[0]) / count if count else normal * stated
    plane = Plane(
        position_mm=tuple(positions[0]), cosines=tuple(cosines), pixel_spacing_mm=tuple(spacing)
    )
    shape = (count + 1, int(segs[0].header.Rows), int(segs[0].header.Columns))
    return Geometry.regular(stack_affine(plane, step_mm), shape)


def _common(
    groups: Sequence[FunctionalGroups], sequence: str, attribute: str, tolerance: float
) -> NDArray[np.float64]:
    values = np.concatenate([frame_values(group, sequence, attribute) for group in groups])
    if np.abs(values - values[0]).max() > tolerance:
        raise InputError(
            f"the frames of the SEG differ in {attribute}: name the folder of its images with "
            "--source"
        )
    first: NDArray[np.float64] = values[0]
    return first


def _stated_distance_mm(groups: FunctionalGroups) -> float:
    """Returns the distance of the slices that a SEG states in Pixel Measures; 0 without one."""
    measures = groups.item(0, "PixelMeasuresSequence")
    stated = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 0.0
    return abs(float(stated))


def _steps(along: NDArray[np.float64], stated_mm: float) -> int:
    """Returns the number of steps from the first to the last slice.

    Args:
        along: (n,) ascending positions of the slices along their normal, in mm.
        stated_mm: The distance of the slices that the SEG states, or 0.

    Raises:
        InputError: Neither the stated nor the smallest distance fits all positions.
    """
    if len(along) == 1 and stated_mm > 0:
        return 0
    smallest = [float(np.diff(along).min())] if len(along) > 1 else []
    for distance in filter(None, [stated_mm, *smallest]):
        steps = (along - along[0]) / distance
        if steps[-1] >= 1 - SAME_PLACE and np.abs(steps - np.rint(steps)).max() <= SAME_PLACE:
            return int(np.rint(steps[-1]))
    raise InputError(
        "the positions of the SEG's frames do not show the distance of its slices: name the folder "
        "of its images with --source"
    )
