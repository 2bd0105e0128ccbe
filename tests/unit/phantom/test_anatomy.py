"""Tests that the synthetic body is repeatable, not mirrored, and the same on any grid."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from totalsegmentator.map_to_binary import class_map

from tests.phantom import SOFT, Anatomy, SeriesSpec
from tests.phantom.frame import rotation

NUMBERS = {name: number for number, name in class_map["total"].items()}
SPACING_MM = 4.0


def trunk_affine(spacing_mm: float = SPACING_MM) -> NDArray[np.float64]:
    """An axial grid from pelvis to neck."""
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = (-208.0, -150.0, -160.0)
    return affine


@pytest.fixture(scope="module")
def trunk() -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    return Anatomy.random(11).sample(trunk_affine(), (160, 80, 105))


def centroid(labels: NDArray[np.uint8], name: str) -> NDArray[np.float64]:
    """Returns the centre of a structure, mm in LPS."""
    index_ijk = np.argwhere(labels == NUMBERS[name]).mean(axis=0)[::-1]
    affine = trunk_affine()
    result: NDArray[np.float64] = affine[:3, :3] @ index_ijk + affine[:3, 3]
    return result


def test_one_seed_gives_one_phantom_scan(
    trunk: tuple[NDArray[np.int16], NDArray[np.uint8]],
) -> None:
    hu, labels = Anatomy.random(11).sample(trunk_affine(), (160, 80, 105))
    assert np.array_equal(hu, trunk[0])
    assert np.array_equal(labels, trunk[1])


def test_two_seeds_give_two_phantom_bodies(
    trunk: tuple[NDArray[np.int16], NDArray[np.uint8]],
) -> None:
    _hu, labels = Anatomy.random(12).sample(trunk_affine(), (160, 80, 105), scanner=None)
    assert np.mean(labels != trunk[1]) > 0.02


def test_noise_of_the_phantom_is_the_same_for_every_part_of_the_volume(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    anatomy = Anatomy.random(11)
    whole = anatomy.sample(trunk_affine(), (12, 80, 105))[0]
    monkeypatch.setattr("tests.phantom.anatomy.SLAB_VOXELS", 3 * 80 * 105)
    assert np.array_equal(anatomy.sample(trunk_affine(), (12, 80, 105))[0], whole)


def test_a_phantom_body_has_many_structures(
    trunk: tuple[NDArray[np.int16], NDArray[np.uint8]],
) -> None:
    assert len(np.unique(trunk[1])) - 1 >= 70


@pytest.mark.parametrize(
    "name", ["kidney", "hip", "femur", "lung_upper_lobe", "autochthon", "rib_{}_7"]
)
def test_left_structures_of_the_phantom_lie_at_positive_x(
    trunk: tuple[NDArray[np.int16], NDArray[np.uint8]], name: str
) -> None:
    pattern = name if "{}" in name else name + "_{}"
    assert centroid(trunk[1], pattern.format("left"))[0] > 10.0
    assert centroid(trunk[1], pattern.format("right"))[0] < -10.0


def test_organs_of_the_phantom_lie_in_anatomical_order(
    trunk: tuple[NDArray[np.int16], NDArray[np.uint8]],
) -> None:
    labels = trunk[1]
    assert centroid(labels, "liver")[0] < 0 < centroid(labels, "spleen")[0]
    assert centroid(labels, "heart")[1] < centroid(labels, "vertebrae_T8")[1]  # in front of it
    levels = ["sacrum", "vertebrae_L5", "vertebrae_L1", "vertebrae_T12", "vertebrae_T2"]
    heights = [centroid(labels, name)[2] for name in levels]
    assert heights == sorted(heights)


def test_tissues_of_the_phantom_have_realistic_hu(
    trunk: tuple[NDArray[np.int16], NDArray[np.uint8]],
) -> None:
    hu, labels = trunk
    assert np.median(hu[labels == NUMBERS["lung_upper_lobe_left"]]) < -700
    assert 30 < np.median(hu[labels == NUMBERS["liver"]]) < 170
    assert np.median(hu[labels == NUMBERS["femur_left"]]) > 150
    assert np.median(hu[:, 0, 0]) < -950  # air around the body
    assert hu.min() >= -1024


OBLIQUE = rotation(0.4, -0.3, 0.6)


@pytest.mark.parametrize(
    "orientation",
    [
        (1, 0, 0, 0, 0, -1),
        (0, 1, 0, 0, 0, -1),
        (-1, 0, 0, 0, -1, 0),
        (*OBLIQUE[:, 0], *OBLIQUE[:, 1]),
    ],
    ids=["coronal", "sagittal", "rows reversed", "oblique"],
)
def test_every_slice_orientation_shows_the_same_phantom_body(
    orientation: tuple[float, float, float, float, float, float],
) -> None:
    anatomy = Anatomy.random(5)
    spec = SeriesSpec(
        rows=40, columns=50, n_slices=30, pixel_spacing_mm=(5.0, 4.0), orientation=orientation
    )
    labels = anatomy.sample(spec.affine_lps, spec.shape_kji, scanner=None)[1]
    rng = np.random.default_rng(0)
    for _ in range(60):
        i, j, k = (int(rng.integers(n)) for n in (50, 40, 30))
        point = np.eye(4)
        point[:3, 3] = (spec.affine_lps @ [i, j, k, 1])[:3]
        # a grid of one voxel at the same place
        alone = anatomy.sample(point, (1, 1, 1), scanner=None)[1][0, 0, 0]
        assert alone == labels[k, j, i] or _near_a_surface(labels, k, j, i)


def _near_a_surface(labels: NDArray[np.uint8], k: int, j: int, i: int) -> bool:
    """float32 may put a point within a micrometre of a surface on either side of it."""
    around = labels[max(k - 1, 0) : k + 2, max(j - 1, 0) : j + 2, max(i - 1, 0) : i + 2]
    return len(np.unique(around)) > 1


def test_a_finer_grid_of_the_phantom_gives_the_same_volumes() -> None:
    anatomy = Anatomy.random(7)
    fine, coarse = trunk_affine(2.0), trunk_affine(4.0)
    in_fine = anatomy.sample(fine, (200, 160, 210), scanner=None)[1][::2, ::2, ::2]
    in_coarse = anatomy.sample(coarse, (100, 80, 105), scanner=None)[1]
    assert np.mean(in_fine != in_coarse) < 1e-4


def test_the_scanner_sets_the_noise_of_the_phantom(
    trunk: tuple[NDArray[np.int16], NDArray[np.uint8]],
) -> None:
    hu, labels = trunk
    bare = Anatomy.random(11).sample(trunk_affine(), (160, 80, 105), scanner=None)[0]
    inside = labels == NUMBERS["spleen"]
    assert np.std(bare[inside]) < 1.0
    assert np.std(hu[inside]) == pytest.approx(SOFT.noise_hu, rel=0.4)
