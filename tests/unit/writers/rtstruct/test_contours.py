import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation
from skimage.draw import polygon2mask

from tests.unit.measure.test_structure_boxes_in_slices import boxes_of
from totalmap.dicom.fill_contours import filled
from totalmap.dicom.geometry import Plane, stack_affine
from totalmap.writers.rtstruct.contours import Contours, Points, positions_lps, slice_contours

Slice = NDArray[np.uint8]

SHAPES = st.tuples(st.integers(1, 14), st.integers(1, 14))
# Noise: holes, islands in holes, single pixels, pixels that touch at a corner or at the edge.
NOISE = SHAPES.flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 1, 1, 2]))
)
SPARSE = SHAPES.flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([1, 2]), fill=st.just(0))
)


def contours_of(labels: Slice, max_points: int | None = None) -> Contours:
    return slice_contours(labels, boxes_of(labels[None], [1, 2]), max_points)


def drawn(text: str) -> Slice:
    return np.array([[int(pixel) for pixel in row] for row in text.split()], dtype=np.uint8)


def lines_of(contours: Contours, label: int) -> list[Points]:
    lines = np.split(contours.points, contours.ends[:-1])
    return [line for line, of in zip(lines, contours.labels, strict=True) if of == label]


@given(labels=st.one_of(NOISE, SPARSE).filter(np.any))
def test_each_rtstruct_contour_encloses_one_piece_with_its_holes(labels: Slice) -> None:
    """Scikit-image fills each contour on its own; together they are the mask."""
    contours = contours_of(labels)
    for label in (1, 2):
        mask = labels == label
        lines = lines_of(contours, label)
        masks = [polygon2mask(mask.shape, line[:, ::-1]) for line in lines]
        np.testing.assert_array_equal(np.sum([np.zeros_like(mask, int), *masks], axis=0), mask)
        assert len(lines) == ndimage.label(mask)[1]  # pixels that touch at a corner are apart


@given(labels=st.one_of(NOISE, SPARSE).filter(np.any))
def test_filled_rtstruct_contours_equal_the_mask(labels: Slice) -> None:
    contours = contours_of(labels)
    for label in np.unique(labels[labels > 0]):
        lines = lines_of(contours, label)
        mask = filled(
            np.concatenate(lines),
            np.cumsum([len(line) for line in lines]),
            np.zeros(len(lines), dtype=int),
            (1, *labels.shape),
        )
        np.testing.assert_array_equal(mask[0], labels == label)


def area(lines: list[Points]) -> float:
    """Returns the area of lines of one direction; channels to holes have none."""
    x_y = [(line, np.roll(line, -1, axis=0)) for line in lines]
    return float(sum(np.sum(a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1]) / 2 for a, b in x_y))


@given(labels=NOISE.filter(np.any), max_points=st.integers(8, 30))
def test_cut_rtstruct_contours_fill_the_same_area_and_the_same_pixels(
    labels: Slice, max_points: int
) -> None:
    """Only a piece of one row may be longer than the limit: there is nothing to cut in it."""
    cut, whole = contours_of(labels, max_points), contours_of(labels)
    for label in np.unique(labels[labels > 0]):
        lines, uncut = lines_of(cut, label), lines_of(whole, label)
        assert all(len(line) <= max_points or np.ptp(line[:, 1]) <= 1 for line in lines)
        np.testing.assert_allclose(area(lines), area(uncut), atol=1e-9)
        assert not (np.concatenate(lines)[:, 1] % 0.5).any()
        masks = [polygon2mask(labels.shape, line[:, ::-1]) for line in lines]
        np.testing.assert_array_equal(np.sum(masks, axis=0), labels == label)


@given(labels=NOISE.filter(np.any))
def test_rtstruct_contour_points_lie_half_way_between_pixels_and_no_three_in_line(
    labels: Slice,
) -> None:
    contours = contours_of(labels)
    assert (contours.points % 1 == 0.5).sum(axis=1).tolist() == [1] * len(contours.points)
    for label in (1, 2):
        for line in lines_of(contours, label):
            steps = np.roll(line, -1, axis=0) - line
            directions = steps / np.abs(steps).max(axis=1, keepdims=True)
            assert (directions != np.roll(directions, 1, axis=0)).any(axis=1).all()


@pytest.mark.parametrize(
    ("text", "contours"),
    [
        ("000 010 000", ["1,0.5 1.5,1 1,1.5 0.5,1"]),
        ("1", ["0,-0.5 0.5,0 0,0.5 -0.5,0"]),
        ("11 11", ["0,-0.5 1,-0.5 1.5,0 1.5,1 1,1.5 0,1.5 -0.5,1 -0.5,0"]),
        ("10 01", ["0,-0.5 0.5,0 0,0.5 -0.5,0", "1,0.5 1.5,1 1,1.5 0.5,1"]),
    ],
    ids=["pixel", "image of a pixel", "whole image", "corner"],
)
def test_rtstruct_contours_of_small_masks_equal_those_drawn_by_hand(
    text: str, contours: list[str]
) -> None:
    lines = lines_of(contours_of(drawn(text)), 1)
    expected = [{tuple(map(float, p.split(","))) for p in line.split()} for line in contours]
    assert [set(map(tuple, line.tolist())) for line in lines] == expected


def test_the_channel_of_a_contour_to_a_hole_runs_through_the_structure() -> None:
    (line,) = lines_of(contours_of(drawn("11111 11111 11101 11111")), 1)
    corners = [tuple(point) for point in line.tolist()]
    there = corners.index((-0.5, 2.0))
    assert corners[there + 1] == (2.5, 2.0)
    assert corners.count((2.5, 2.0)) == 2
    assert corners.count((-0.5, 2.0)) == 2


@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    points=arrays(np.float64, (5, 2), elements=st.integers(-1, 1000).map(lambda n: n / 2)),
)
def test_positions_of_rtstruct_contour_points_lie_on_the_plane_of_the_slice(
    angles: tuple[float, float, float], points: Points
) -> None:
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    plane = Plane(
        position_mm=(-120.5, 33.25, 1200.0),
        cosines=tuple(matrix[:, :2].T.ravel().tolist()),
        pixel_spacing_mm=(0.7, 0.9),
    )
    positions = positions_lps(plane, points)
    np.testing.assert_allclose((positions - plane.position_mm) @ plane.normal, 0, atol=1e-9)
    index = np.column_stack([points, np.zeros(5), np.ones(5)])
    expected = (stack_affine(plane, plane.normal) @ index.T)[:3].T
    np.testing.assert_allclose(positions, expected, atol=1e-9)
