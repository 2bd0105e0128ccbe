"""Agreement is measured at true positions, whatever the two grids are."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unit.engine.test_inference_grid import geometry_of, volume_of
from totalmap.dicom.geometry import Geometry
from totalmap.engine.inference_grid import InferenceImage, to_inference_grid
from totalmap.engine.second_opinion import opinions, second_opinion_task
from totalmap.engine.tasks import load_task
from totalmap.errors import ConfigError
from totalmap.segmentation import InferenceLabels
from totalmap.settings import Variant
from totalmap.structures import Structure

STRUCTURES = tuple(Structure(label=n, name=f"structure_{n}") for n in range(1, 5))
UNEVEN = (0.0, 1.0, 2.0, 2.6, 3.9, 5.0, 6.0, 8.0, 9.0, 10.0, 11.3, 12.0, 13.0, 14.0)
GEOMETRIES = st.builds(
    geometry_of,
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.sampled_from([0.0, 17.0]),
    st.sampled_from([None, UNEVEN]),
)


def grids(geometry: Geometry) -> tuple[InferenceImage, InferenceImage]:
    """Returns a volume at 1.5 and at 3 mm."""
    volume = volume_of(geometry, np.zeros(geometry.shape, dtype=np.int16))
    fine, coarse = (to_inference_grid(volume, (mm, mm, mm)) for mm in (1.5, 3.0))
    return fine, coarse


def labelled(image: InferenceImage, labels: NDArray[Any]) -> InferenceLabels:
    return InferenceLabels(labels=labels.astype(np.uint8), affine_lps=image.affine_lps)


def positions(image: InferenceImage) -> NDArray[np.float64]:
    """Returns (x, y, z, 3) mm in LPS."""
    index = np.stack(np.meshgrid(*map(np.arange, image.voxels.shape), indexing="ij"), axis=-1)
    result: NDArray[np.float64] = index @ image.affine_lps[:3, :3].T + image.affine_lps[:3, 3]
    return result


@given(GEOMETRIES, st.integers(0, 99))
@settings(max_examples=30)
def test_agreement_is_that_of_the_nearest_voxels(geometry: Geometry, seed: int) -> None:
    rng = np.random.default_rng(seed)
    fine, coarse = grids(geometry)
    one = rng.integers(0, 4, fine.voxels.shape)
    other = rng.integers(0, 4, coarse.voxels.shape)
    index = (positions(coarse) - fine.affine_lps[:3, 3]) @ np.linalg.inv(fine.affine_lps[:3, :3]).T
    last = np.array(fine.voxels.shape) - 1
    half_way = np.abs(index % 1 - 0.5) < 1e-6  # either neighbour is as near as the other
    nearest = np.clip(np.floor(index + 0.5 + 1e-9), 0, last).astype(int)
    # What lies half way is background in both, so that rounding says nothing.
    other[half_way.any(axis=-1)] = 0
    seen = one[tuple(np.moveaxis(nearest, -1, 0))]
    found = opinions(labelled(fine, one), labelled(coarse, other), STRUCTURES)
    assert {row.structure.label for row in found} <= {1, 2, 3}
    voxel_ml = abs(np.linalg.det(coarse.affine_lps[:3, :3])) / 1000
    for row in found:
        a, b = seen == row.structure.label, other == row.structure.label
        ties = int((half_way.any(axis=-1)).sum())
        assert row.other_volume_ml == pytest.approx(b.sum() * voxel_ml)
        assert row.volume_ml == pytest.approx(a.sum() * voxel_ml, abs=(ties + 0.1) * voxel_ml)
        if not ties:
            assert row.dice == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))


@given(GEOMETRIES)
@settings(max_examples=30)
def test_a_body_seen_at_two_resolutions_is_one_body(geometry: Geometry) -> None:
    """A half space: only what lies within half a voxel of its border may differ."""
    fine, coarse = grids(geometry)
    reach_mm = np.linalg.norm(fine.affine_lps[:3, :3].sum(axis=1)) / 2
    if not geometry.is_grid:  # one grid may end a voxel further out
        reach_mm += 3.0
    for axis in range(3):
        middle = positions(coarse)[..., axis].mean()
        one, other = (positions(image)[..., axis] < middle for image in (fine, coarse))
        (row,) = opinions(labelled(fine, one), labelled(coarse, other), STRUCTURES)
        distance_mm = positions(coarse)[..., axis] - middle
        sure, doubtful = (distance_mm < -reach_mm).sum(), (abs(distance_mm) <= reach_mm).sum()
        assert row.dice >= 2 * sure / (2 * sure + doubtful) - 1e-9


def test_what_neither_found_has_no_opinion() -> None:
    fine, coarse = grids(geometry_of())
    one, other = np.zeros(fine.voxels.shape), np.zeros(coarse.voxels.shape)
    assert opinions(labelled(fine, one), labelled(coarse, other), STRUCTURES) == ()
    other[0, 0, 0] = 4
    (row,) = opinions(labelled(fine, one), labelled(coarse, other), STRUCTURES)
    assert (row.structure.label, row.dice, row.volume_ml) == (4, 0.0, 0.0)


@pytest.mark.parametrize("name", ["total", "total_v3", "total_mr"])
def test_the_fine_networks_are_judged_by_the_coarse_one(name: str) -> None:
    task = load_task(name, Variant.FULL)
    other = second_opinion_task(task)
    assert other == load_task(name, Variant.FAST)
    assert other.structures == task.structures
    assert other.crop is None


def test_a_subset_is_looked_for_in_the_same_place() -> None:
    task = load_task("total", Variant.FULL, ("liver", "spleen"))
    other = second_opinion_task(task)
    assert other.structures == task.structures
    assert other.crop == task.crop


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("total", Variant.FAST),
        ("total", Variant.FASTEST),
        ("breasts", None),
        ("body", Variant.FULL),
    ],
)
def test_where_there_is_none_it_is_refused(name: str, variant: Variant | None) -> None:
    with pytest.raises(ConfigError, match=f"second_opinion: there is none for task {name}"):
        second_opinion_task(load_task(name, variant))
