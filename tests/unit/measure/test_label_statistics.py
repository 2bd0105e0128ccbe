from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from tests.phantom import Anatomy
from tests.phantom.study import SeriesSpec, sample_series
from totalmap.dicom.geometry import Geometry
from totalmap.measure.label_statistics import LabelStatistics, label_statistics
from totalmap.structures import Face

LIVER, AORTA = 5, 52


class Counted(NamedTuple):
    """Labels, and the table of them."""

    geometry: Geometry
    values: np.ndarray
    labels: np.ndarray
    table: LabelStatistics


def counted(geometry: Geometry, values: np.ndarray, labels: np.ndarray) -> Counted:
    return Counted(geometry, values, labels, label_statistics(labels, values, geometry, labels))


@pytest.fixture(scope="module")
def tilted() -> Counted:
    """Slices of a tilted gantry."""
    spec = SeriesSpec(tilt_degrees=12.0)
    values, labels = sample_series(Anatomy.random(1), spec)
    return counted(Geometry.regular(spec.affine_lps, labels.shape), values, labels)


@pytest.fixture(scope="module")
def uneven(tilted: Counted) -> Counted:
    """The same slices at other distances, some of them missing."""
    steps = np.arange(len(tilted.labels)) * 1.25 + np.arange(len(tilted.labels)) // 10
    geometry = replace(tilted.geometry, slice_steps=tuple(steps.tolist()))
    return counted(geometry, tilted.values, tilted.labels)


@pytest.mark.parametrize("label", [LIVER, AORTA])
@pytest.mark.parametrize("kind", ["tilted", "uneven"])
def test_the_centre_and_the_ends_of_a_structure_are_those_of_its_voxels(
    request: pytest.FixtureRequest, kind: str, label: int
) -> None:
    geometry, _, labels, table = request.getfixturevalue(kind)
    places = np.argwhere(labels == label)
    assert table.centre_lps[label] == pytest.approx(geometry.positions_lps(places).mean(axis=0))
    sides = {Face.INFERIOR: (0, 1), Face.SUPERIOR: (0, -1), Face.ANTERIOR: (1, 1)}
    sides |= {Face.POSTERIOR: (1, -1), Face.RIGHT: (2, 1), Face.LEFT: (2, -1)}
    for n, face in enumerate(Face):
        axis, way = sides[face]
        inwards = np.sort(places[:, axis])[::way]
        outermost = places[places[:, axis] == inwards[len(places) // 100]]
        expected = geometry.positions_lps(outermost).mean(axis=0)
        assert table.ends_lps[label, n] == pytest.approx(expected)


def test_stray_voxels_do_not_change_the_ends_of_a_structure() -> None:
    labels = np.zeros((40, 20, 20), np.uint8)
    labels[5:15, 5:15, 5:15] = LIVER
    geometry = Geometry.regular(np.eye(4), labels.shape)
    values = np.zeros(labels.shape, np.int16)
    without = label_statistics(labels, values, geometry, labels).ends_lps[LIVER]
    labels[39, 0:3, 0:3] = LIVER
    assert label_statistics(labels, values, geometry, labels).ends_lps[LIVER] == pytest.approx(
        without
    )


def test_quartiles_of_a_structure_equal_those_of_numpy(
    tilted: Counted,
) -> None:
    _, values, labels, table = tilted
    for label in np.unique(labels)[1:]:
        expected = np.quantile(values[labels == label], (0.25, 0.5, 0.75), method="inverted_cdf")
        assert table.quartiles[label] == pytest.approx(expected)


def test_a_measured_label_without_voxels_has_no_centre_ends_and_quartiles() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[1, 1, 1] = 2
    geometry = Geometry.regular(np.eye(4), labels.shape)
    table = label_statistics(labels, np.zeros(labels.shape, np.int16), geometry, labels)
    assert np.isnan(table.centre_lps[1]).all()
    assert np.isnan(table.ends_lps[1]).all()
    assert np.isnan(table.quartiles[1]).all()
    assert table.centre_lps[2].tolist() == [1.0, 1.0, 1.0]


def test_quartiles_of_a_structure_are_limited_to_the_range_of_the_histogram() -> None:
    labels = np.ones((2, 2, 2), np.uint8)
    values = np.full(labels.shape, 30_000.0, np.float32)
    values[0] = -30_000.0
    table = label_statistics(labels, values, Geometry.regular(np.eye(4), labels.shape), labels)
    assert table.quartiles[1].tolist() == [-1024.0, -1024.0, 2047.0]
    assert table.mean[1] == 0.0


@pytest.mark.parametrize("size", [20, 60])
def test_the_holes_of_a_structure_are_unlabelled_voxels_that_it_encloses(size: int) -> None:
    """In a cube with sides of 60 voxels, only every second voxel is looked at."""
    labels = np.zeros((size,) * 3, np.uint8)
    ball, hole = slice(2, size - 2), slice(6, size - 6)
    labels[ball, ball, ball] = 1
    labels[hole, hole, hole] = 0
    volume = (size - 12) ** 3

    def holes() -> int:
        geometry = Geometry.regular(np.eye(4), labels.shape)
        values = np.zeros(labels.shape, np.int16)
        return int(label_statistics(labels, values, geometry, labels).holes[1])

    assert holes() == volume
    labels[hole, hole, hole] = 2
    assert holes() == 0  # another structure fills it
    labels[hole, hole, hole] = 0
    labels[hole, hole, 2:6] = 0
    assert holes() == 0  # open to one side


def test_the_second_largest_piece_of_a_structure_is_counted() -> None:
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[1:4, 1:4, 1:4] = 1
    labels[6:8, 6:8, 6:8] = 1
    labels[10, 10, 10] = 1
    geometry = Geometry.regular(np.eye(4), labels.shape)
    table = label_statistics(labels, np.zeros(labels.shape, np.int16), geometry, labels)
    assert (table.largest[1], table.second[1]) == (27, 8)
    assert table.components[1] == 1  # of 1 mm3, all are crumbs


@pytest.mark.parametrize(("voxel_ml", "pieces"), [(0.1, 1), (0.125, 1), (0.2, 2), (1.1, 3)])
def test_a_further_piece_of_a_structure_counts_from_one_millilitre_on(
    voxel_ml: float, pieces: int
) -> None:
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[1:4, 1:4, 1:4] = labels[6:8, 6:8, 6:8] = labels[10, 10, 10] = 1
    geometry = Geometry.regular(np.eye(4), labels.shape)
    values = np.zeros(labels.shape, np.int16)
    table = label_statistics(labels, values, geometry, labels, voxel_ml)
    assert table.components[1] == pieces


def test_a_further_piece_of_a_structure_of_one_percent_or_less_is_not_counted() -> None:
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[:10, :10, :10] = labels[11, 11, 2:12] = 1
    geometry = Geometry.regular(np.eye(4), labels.shape)
    values = np.zeros(labels.shape, np.int16)
    assert label_statistics(labels, values, geometry, labels, 1.0).components[1] == 1
    labels[11, 11, 1] = 1
    assert label_statistics(labels, values, geometry, labels, 1.0).components[1] == 2
