import numpy as np
import pytest

from tests.orientations import ORIENTATIONS
from totalmap.dicom.display_axes import DIRECTIONS, display_axes
from totalmap.dicom.geometry import Geometry
from totalmap.structures import Face

SHAPE_KJI = (5, 7, 9)
SPACING_IJS = (0.5, 0.75, 3.0)


def geometry_of(orientation: tuple[float, ...]) -> Geometry:
    row, column = np.reshape(orientation, (2, 3))
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([row, column, np.cross(row, column)]) * SPACING_IJS
    return Geometry.regular(affine, SHAPE_KJI)


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS.keys())
def test_a_step_along_a_display_axis_moves_to_its_side_of_the_patient(
    orientation: tuple[float, ...],
) -> None:
    geometry = geometry_of(orientation)
    axes = display_axes(geometry)
    assert {axis.array_axis for axis in axes} == {0, 1, 2}
    for direction, axis in enumerate(axes):
        voxels = np.tile([2, 3, 4], (2, 1))
        voxels[1, axis.array_axis] += -1 if axis.is_reversed else 1
        start, end = geometry.positions_lps(voxels)
        moved = end - start
        assert int(np.abs(moved).argmax()) == direction
        assert moved[direction] > 0
        assert np.linalg.norm(moved) == pytest.approx(axis.spacing_mm)


def test_display_axes_run_to_left_back_and_head() -> None:
    assert DIRECTIONS == (Face.LEFT, Face.POSTERIOR, Face.SUPERIOR)
