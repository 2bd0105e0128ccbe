from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.segmentations import volume_of
from totalmap.dicom.geometry import Geometry
from totalmap.measure.detect_field_of_view import FieldOfView, field_of_view
from totalmap.structures import Face

SHAPE = (20, 64, 64)
PADDING = -2000
# Slices go to the head, rows to the back, columns to the left; 2 x 1 x 1 mm.
GEOMETRY = Geometry.regular(np.diag([1.0, 1.0, 2.0, 1.0]), SHAPE)


def noise() -> NDArray[np.int16]:
    return np.random.default_rng(0).integers(-1010, -990, SHAPE, dtype=np.int16)


def circle(radius: float = 30.0) -> FieldOfView:
    values = noise()
    j, i = np.ogrid[:64, :64]
    values[:, np.hypot(j - 31.5, i - 31.5) > radius] = PADDING
    return field_of_view(values, GEOMETRY)


def touched(field: FieldOfView, *voxels: tuple[int, int, int]) -> set[Face]:
    mask = np.zeros(SHAPE, dtype=bool)
    for voxel in voxels:
        mask[voxel] = True
    faces, of_labels = (
        {face for face, places in edge if mask[tuple(places.T)].any()}
        for edge in (field.edge(), field.edge(mask.astype(np.uint8)))
    )
    assert of_labels == faces
    return faces


def test_the_edge_of_a_volume_without_padding_is_the_edge_of_the_array() -> None:
    field = field_of_view(noise(), GEOMETRY)
    assert touched(field, (0, 30, 30)) == {Face.INFERIOR}
    assert touched(field, (19, 30, 30)) == {Face.SUPERIOR}
    assert touched(field, (10, 0, 30)) == {Face.ANTERIOR}
    assert touched(field, (10, 63, 30)) == {Face.POSTERIOR}
    assert touched(field, (10, 30, 0)) == {Face.RIGHT}
    assert touched(field, (10, 30, 63)) == {Face.LEFT}
    assert touched(field, (1, 1, 1), (18, 62, 62)) == set()


def test_a_circular_field_of_view_has_right_left_anterior_and_posterior_edges() -> None:
    field = circle()
    assert touched(field, (10, 31, 2)) == {Face.RIGHT}
    assert touched(field, (10, 31, 61)) == {Face.LEFT}
    assert touched(field, (10, 2, 31)) == {Face.ANTERIOR}
    assert touched(field, (10, 61, 31)) == {Face.POSTERIOR}
    assert touched(field, (10, 31, 4)) == set()
    assert touched(field, (0, 31, 31)) == {Face.INFERIOR}


def test_labels_that_reach_into_the_padding_by_a_voxel_touch_the_edge() -> None:
    assert touched(circle(), (10, 31, 1)) == {Face.RIGHT}


def test_an_oblique_upper_end_of_the_image_is_the_superior_edge() -> None:
    values = noise()
    k, j, _ = np.indices(SHAPE)
    values[2.0 * k > 30.0 - 0.15 * j] = PADDING  # the slope is 0.15
    field = field_of_view(values, GEOMETRY)
    assert touched(field, (14, 13, 30)) == {Face.SUPERIOR}
    assert touched(field, (12, 33, 30)) == {Face.SUPERIOR}
    assert touched(field, (9, 33, 30)) == set()


def test_slices_of_padding_alone_are_outside_the_field_of_view() -> None:
    values = noise()
    values[:3] = PADDING
    field = field_of_view(values, GEOMETRY)
    assert touched(field, (3, 30, 30)) == {Face.INFERIOR}
    assert touched(field, (4, 30, 30)) == set()
    assert not field.holds(np.array([30.0, 30.0, 4.0]), 0.0)


def test_air_clipped_at_minus_1000_hu_is_not_taken_for_padding() -> None:
    values = np.maximum(noise(), -1000)  # half of it is -1000
    field = field_of_view(values, GEOMETRY)
    assert touched(field, (10, 31, 15)) == set()
    assert touched(field, (10, 31, 40)) == set()


def test_a_volume_of_one_value_has_no_padding() -> None:
    field = field_of_view(np.zeros(SHAPE, np.int16), GEOMETRY)
    assert field.holds(np.array([30.0, 30.0, 20.0]), 10.0)
    assert touched(field, (10, 30, 63)) == {Face.LEFT}


def test_the_field_of_view_of_a_real_circular_reconstruction_is_the_circle(real_ct: Path) -> None:
    """Of 512 x 512 voxels, the scanner saw what lies in a circle; its corners are -1024."""
    volume = volume_of(real_ct)
    field = field_of_view(volume.voxels, volume.geometry)
    n_k, n_j, n_i = volume.geometry.shape
    seen = np.diff(field.along_i, axis=2).clip(min=-1).sum() + n_k * n_j
    assert abs(seen / (n_k * n_j * n_i) - np.pi / 4) < 0.01
    at_right = (10, 200, int(field.along_i[10, 200, 0]))
    faces = {face for face, places in field.edge() if (places == at_right).all(axis=1).any()}
    assert at_right[2] > 0
    assert faces == {Face.RIGHT}


def test_the_field_of_view_holds_a_point_if_every_edge_is_further_away_than_the_margin() -> None:
    field = circle()
    middle = np.array([31.5, 31.5, 19.0])
    assert field.holds(middle, 18.0)
    assert not field.holds(middle, 20.0)  # above and below
    assert field.holds(np.array([10.0, 31.5, 19.0]), 7.0)
    assert not field.holds(np.array([10.0, 31.5, 19.0]), 10.0)
    assert not field.holds(np.array([-5.0, 31.5, 19.0]), 0.0)
    assert not field.holds(np.array([1.0, 1.0, 19.0]), 0.0)  # in the padding


def test_a_gap_of_missing_slices_is_no_edge_of_the_field_of_view() -> None:
    geometry = Geometry(
        affine_lps=np.diag([1.0, 1.0, 2.0, 1.0]),
        shape=SHAPE,
        slice_steps=(*range(10), *range(12, 22)),
    )
    field = field_of_view(noise(), geometry)
    assert field.holds(np.array([31.0, 31.0, 21.0]), 15.0)
    assert not field.holds(np.array([31.0, 31.0, 43.0]), 0.0)
