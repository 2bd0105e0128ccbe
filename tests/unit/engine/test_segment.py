"""Predictors run in turn, each in the box of the one before; labels return to the slices."""

from dataclasses import dataclass, field, replace
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from totalsegmentator.cropping import crop_to_mask

from tests.segmentations import MODEL, TASK
from tests.unit.engine.test_inference_resampling import (
    UNEVEN,
    all_positions,
    geometry_of,
    volume_of,
)
from tests.unit.test_run_log import Recorder
from totalmap.dicom.volume import Volume
from totalmap.engine.resample import Resample, resample_image
from totalmap.engine.segment import Progress, box_around, crop, segment, whole
from totalmap.engine.tasks import Crop, Task
from totalmap.segmentation import ModelIdentity
from totalmap.structures import Structure

LABEL = 5
SPACING_MM = (3.0, 2.0, 2.5)
INSIDE = slice(5, 9), slice(7, 12), slice(5, 9)


@dataclass
class Threshold:
    """Labels voxels above a limit, and records the shapes of its images."""

    task: Task
    limit: float
    tiles: int = 1
    identities: tuple[ModelIdentity, ...] = (MODEL,)
    arithmetic: str = "exact"
    threads: int | None = 2
    resample: Resample = resample_image
    seen: list[tuple[int, ...]] = field(default_factory=list)

    def predict(self, image: NDArray[Any], progress: Progress) -> NDArray[np.uint8]:
        self.seen.append(image.shape)
        for tile in range(self.tiles):
            progress(tile + 1, self.tiles)
        return np.where(image > self.limit, LABEL, 0).astype(np.uint8)


def task(around: Task | None = None) -> Task:
    crop = Crop(task=around, labels=(LABEL,), margin_mm=3.0) if around else None
    liver = (Structure(label=LABEL, name="liver"),)
    return replace(TASK, spacing_mm=SPACING_MM, structures=liver, crop=crop)


@pytest.fixture(params=[0.0, 20.0], ids=["grid", "tilted"])
def volume(request: pytest.FixtureRequest) -> Volume:
    geometry = geometry_of(tilt_degrees=request.param)
    voxels = np.full(geometry.shape, -100, dtype=np.int16)
    voxels[INSIDE] = 1000
    voxels[:, :, -1] = 500  # above the limit of the final task only
    return volume_of(geometry, voxels)


def test_the_final_task_searches_only_around_what_the_rough_task_found(volume: Volume) -> None:
    rough = Threshold(task(), 700)
    fine = Threshold(task(rough.task), 100)
    found = segment(volume, (rough, fine), Recorder().progress)
    assert np.prod(fine.seen[0]) < np.prod(rough.seen[0]) * 0.7
    assert found.labels[INSIDE].mean() > 0.8
    assert not found.labels[:, :, -1].any()
    assert found.labels.shape == volume.geometry.shape


def test_labels_on_the_slices_lie_where_the_network_found_them(volume: Volume) -> None:
    rough = Threshold(task(), 700)
    found = segment(volume, (rough, Threshold(task(rough.task), 100)), Recorder().progress)
    seen = found.inference
    places = np.argwhere(seen.labels) @ seen.affine_lps[:3, :3].T + seen.affine_lps[:3, 3]
    there = volume.geometry.positions_lps(np.argwhere(found.labels))
    np.testing.assert_allclose(places.mean(axis=0), there.mean(axis=0), atol=2.0)


def test_a_rough_task_that_finds_nothing_gives_an_empty_result_and_a_finding(
    volume: Volume,
) -> None:
    rough = Threshold(task(), 5000)
    fine = Threshold(task(rough.task), 100)
    found = segment(volume, (rough, fine), Recorder().progress)
    assert not fine.seen
    assert not found.labels.any()
    (finding,) = found.findings
    assert "liver" in finding


def test_a_rough_task_after_one_that_finds_nothing_searches_the_whole_volume(
    volume: Volume,
) -> None:
    """As in TotalSegmentator, where only the final task may have an empty result."""
    first = Threshold(task(), 5000)
    second = Threshold(task(first.task), 700)
    third = Threshold(task(second.task), 100)
    found = segment(volume, (first, second, third), Recorder().progress)
    assert second.seen == first.seen
    assert found.labels[INSIDE].mean() > 0.8


def test_engine_progress_never_decreases_over_several_tasks(volume: Volume) -> None:
    recorder = Recorder()
    rough = Threshold(task(), 700, tiles=3)
    segment(volume, (rough, Threshold(task(rough.task), 100, tiles=50)), recorder.progress)
    shares = [done / total for done, total in recorder.tiles]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


PLACES = st.tuples(st.integers(0, 13), st.integers(0, 17), st.integers(0, 15))


@given(one=PLACES, other=PLACES, margin_mm=st.sampled_from([0.0, 5.0, 7.5, 20.0]))
def test_the_box_around_a_mask_equals_that_of_totalsegmentator(
    one: tuple[int, int, int], other: tuple[int, int, int], margin_mm: float
) -> None:
    geometry = geometry_of()
    mask = np.zeros(geometry.shape, dtype=bool)
    mask[one] = mask[other] = True
    affine = geometry.affine_ras.astype(np.float32).astype(float)
    theirs = nibabel.Nifti1Image(mask.transpose(2, 1, 0).astype(np.uint8), affine)
    _, box = crop_to_mask(theirs, theirs, addon=[margin_mm] * 3)
    ours = box_around(mask, geometry, margin_mm)
    assert ours is not None
    assert [[one.start, one.stop] for one in ours[::-1]] == box


def test_an_empty_mask_of_a_rough_task_has_no_box() -> None:
    geometry = geometry_of()
    assert box_around(np.zeros(geometry.shape, dtype=bool), geometry, 20.0) is None


@pytest.mark.parametrize("steps", [None, UNEVEN])
@pytest.mark.parametrize("tilt_degrees", [0.0, 20.0])
def test_a_cropped_volume_keeps_its_values_and_positions(
    steps: tuple[float, ...] | None, tilt_degrees: float
) -> None:
    geometry = geometry_of((10.0, -20.0, 30.0), tilt_degrees, steps)
    voxels = np.arange(np.prod(geometry.shape), dtype=np.int16).reshape(geometry.shape)
    box = slice(3, 9), slice(2, 11), slice(5, 14)
    part = crop(volume_of(geometry, voxels), box)
    np.testing.assert_array_equal(part.voxels, voxels[box])
    np.testing.assert_allclose(
        all_positions(part.geometry), all_positions(geometry)[box], atol=1e-9
    )


def test_the_margin_of_a_box_around_a_mask_is_measured_at_the_true_slice_positions() -> None:
    """The distances of UNEVEN slices are 3 mm times 1, 1, 0.6, 1.3, 1.1, 1, 2 and so on."""
    geometry = geometry_of(steps=UNEVEN)
    mask = np.zeros(geometry.shape, dtype=bool)
    mask[6, 5, 5] = True
    box = box_around(mask, geometry, 6.0)
    assert box is not None
    assert box[0] == slice(5, 8)  # at steps 5, 6 and 8, two steps around 6


def test_a_box_around_a_mask_holds_at_least_two_slices_where_their_distances_vary() -> None:
    geometry = replace(geometry_of(), slice_steps=tuple(10.0 * k + (k > 3) for k in range(14)))
    mask = np.zeros(geometry.shape, dtype=bool)
    mask[13] = True
    box = box_around(mask, geometry, 20.0)
    assert box is not None
    assert box[0] == slice(12, 14)


def test_values_of_a_cropped_volume_are_truncated_to_integers() -> None:
    geometry = geometry_of()
    voxels = np.full(geometry.shape, -1.7, dtype=np.float32)
    assert np.unique(crop(volume_of(geometry, voxels), whole(geometry)).voxels) == -1.0
