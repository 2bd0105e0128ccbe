"""Margins and second opinions of networks with the real architecture."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.networks import build_models
from tests.phantom.study import SeriesSpec, write_series
from tests.processor import require_bf16
from tests.segmentations import MODEL, TASK, volume_of
from tests.unit.engine.test_inference_resampling import geometry_of
from tests.unit.engine.test_inference_resampling import volume_of as grid_volume_of
from tests.unit.test_run_log import Recorder
from totalmap.dicom.geometry import Geometry
from totalmap.dicom.volume import Volume
from totalmap.engine.confidence import (
    MarginPredictor,
    opinions,
    second_opinion_task,
    segment_with_confidence,
)
from totalmap.engine.engine import Engine
from totalmap.engine.inference_resampling import InferenceImage, to_inference_grid
from totalmap.engine.logit_margins import MarginSums
from totalmap.engine.predict import Networks
from totalmap.engine.resample import Resample, resample_image
from totalmap.engine.segment import Progress, segment
from totalmap.engine.sum_confidence_margins import TaskMargins
from totalmap.engine.tasks import Crop, Task, load_task
from totalmap.errors import ConfigError, ModelError
from totalmap.segmentation import InferenceLabels, Margin, ModelIdentity, Segmentation
from totalmap.settings import Arithmetic, QualitySection, SegmentationSection, Variant
from totalmap.structures import Structure

# Patches of 64: a single tile, fewer voxels than a tile along one axis, and several tiles.
SHAPES = [(60, 50, 64), (30, 70, 66), (70, 120, 66)]
FULL = SegmentationSection(variant=Variant.FULL)
ASKED = QualitySection(second_opinion=True)


@pytest.fixture(scope="module")
def both_models(
    full_models: Path, fast_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("both-models")
    (folder / "full").symlink_to(full_models)
    (folder / "fast").symlink_to(fast_models)
    return folder


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    spec = SeriesSpec(rows=22, columns=23, n_slices=28, pixel_spacing_mm=(4.0, 4.1))
    return volume_of(write_series(tmp_path_factory.mktemp("study"), 5, spec).folder)


@pytest.mark.parametrize(
    ("arithmetic", "shape"),
    [
        *((Arithmetic.EXACT, shape) for shape in SHAPES),
        (Arithmetic.COMPILED, SHAPES[0]),
        (Arithmetic.BF16, SHAPES[0]),
    ],
)
def test_measuring_confidence_margins_does_not_change_a_label(
    fast_models: Path, arithmetic: Arithmetic, shape: tuple[int, int, int]
) -> None:
    if arithmetic is Arithmetic.BF16:
        require_bf16()
    task = load_task("total", Variant.FAST)
    networks = Networks(task, fast_models, arithmetic=arithmetic, measured_only=False)
    image = np.random.default_rng(1).integers(-1000, 1000, shape, dtype=np.int32)
    margins = TaskMargins()
    measured = networks.predict(image, Recorder().progress, margins)
    np.testing.assert_array_equal(measured, networks.predict(image, Recorder().progress))
    found = margins.of(task.structures)
    sizes = np.bincount(measured.ravel(), minlength=256)
    assert len(found) > 3
    assert {one.structure.label: one.voxels for one in found} == {
        label: sizes[label] for label in range(1, 256) if sizes[label]
    }
    assert max(one.mean for one in found) > 0


@pytest.fixture(scope="module")
def asked(both_models: Path) -> Engine:
    return Engine(FULL, both_models, ASKED)


@pytest.fixture(scope="module")
def found(asked: Engine, volume: Volume) -> Segmentation:
    return asked.segment(volume, Recorder().progress)


@pytest.fixture(scope="module")
def alone(both_models: Path, volume: Volume) -> Segmentation:
    return Engine(FULL, both_models).segment(volume, Recorder().progress)


def test_a_second_opinion_does_not_change_labels_or_confidence_margins(
    found: Segmentation, alone: Segmentation
) -> None:
    np.testing.assert_array_equal(found.labels, alone.labels)
    assert len(np.unique(found.labels)) > 10
    assert found.confidence is not None
    assert alone.confidence is not None
    assert found.confidence.margins == alone.confidence.margins
    assert found.confidence.opinions
    assert alone.confidence.opinions is None


def test_a_result_with_a_second_opinion_names_the_networks_of_both_opinions(
    found: Segmentation, alone: Segmentation
) -> None:
    datasets = [model.dataset[:10] for model in found.models]
    assert datasets == [f"Dataset{n}" for n in (291, 292, 293, 294, 295, 297)]
    assert found.models[:5] == alone.models


def test_one_engine_gives_a_volume_the_same_confidence_each_time(
    asked: Engine, volume: Volume, found: Segmentation
) -> None:
    recorder = Recorder()
    again = asked.segment(volume, recorder.progress)
    assert again.confidence == found.confidence
    shares = [done / total for done, total in recorder.tiles]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_the_second_opinion_compares_with_the_labels_of_the_coarse_network(
    volume: Volume, both_models: Path, found: Segmentation
) -> None:
    coarse = Networks(load_task("total", Variant.FAST), both_models)
    other = segment(volume, (coarse,), Recorder().progress)
    assert found.confidence is not None
    assert found.confidence.opinions == opinions(found.inference, other.inference, found.structures)


def test_confidence_margins_of_a_task_are_those_of_its_networks_run_alone(
    volume: Volume, full_models: Path, alone: Segmentation
) -> None:
    task = load_task("total", Variant.FULL)
    image = to_inference_grid(volume, task.spacing_mm).voxels.transpose(2, 1, 0)
    expected: list[Margin] = []
    for model in task.models:
        margins = TaskMargins()
        network = Networks(replace(task, models=(model,)), full_models)
        network.predict(image, Recorder().progress, margins)
        expected += margins.of(task.structures)
    assert alone.confidence is not None
    assert alone.confidence.margins == tuple(sorted(expected, key=lambda one: one.structure.label))


@dataclass(frozen=True)
class Sure:
    """Finds one label wherever it looks, by a margin of 2."""

    task: Task
    label: int
    identities: tuple[ModelIdentity, ...] = (MODEL,)
    arithmetic: str = "exact"
    threads: int | None = 2
    resample: Resample = resample_image

    def predict(
        self, image: NDArray[np.generic], progress: Progress, margins: TaskMargins | None = None
    ) -> NDArray[np.uint8]:
        progress(1, 1)
        labels = np.full(image.shape, self.label, dtype=np.uint8)
        if margins:
            sums = MarginSums((slice(None), slice(None), slice(None)))
            sums.voxels[self.label], sums.totals[self.label] = labels.size, 2.0 * labels.size
            margins.add(sums, tuple(range(256)))
        return labels


@pytest.mark.parametrize(("rough_finds", "voxels"), [(5, 1), (0, 0)])
def test_confidence_margins_are_those_of_the_final_network_and_not_of_rough_ones(
    volume: Volume, rough_finds: int, voxels: int
) -> None:
    """If the rough task finds nothing, no margins of an earlier volume are left."""
    rough = Sure(TASK, rough_finds)
    looks = Crop(task=TASK, labels=(5,), margin_mm=20.0)
    chain: Sequence[MarginPredictor] = (rough, Sure(replace(TASK, crop=looks), 1))
    found = segment_with_confidence(volume, chain, (), Recorder().progress)
    assert found.confidence is not None
    names = [(one.structure.name, one.mean) for one in found.confidence.margins]
    assert names == [("spleen", 2.0)] * voxels


def test_networks_that_find_different_structures_have_a_dice_of_0_in_the_second_opinion(
    volume: Volume,
) -> None:
    fine = (replace(Sure(TASK, 5), task=replace(TASK, spacing_mm=(1.5, 1.5, 1.5))),)
    same = segment_with_confidence(volume, fine, (Sure(TASK, 5),), Recorder().progress)
    other = segment_with_confidence(volume, fine, (Sure(TASK, 1),), Recorder().progress)
    for found, expected in ((same, [("liver", 1.0)]), (other, [("spleen", 0.0), ("liver", 0.0)])):
        assert found.confidence is not None
        rows = found.confidence.opinions or ()
        assert [(row.structure.name, row.dice) for row in rows] == expected


def test_the_weights_of_the_second_opinion_are_verified(
    full_models: Path, fast_models: Path, tmp_path: Path
) -> None:
    (tmp_path / "full").symlink_to(full_models)
    with pytest.raises(ModelError, match="models install total --variant fast"):
        Engine(FULL, tmp_path, ASKED)
    shutil.copytree(fast_models, tmp_path / "fast")
    (checkpoint,) = tmp_path.glob("fast/**/checkpoint_final.pth")
    with checkpoint.open("ab") as file:
        file.write(b"!")
    with pytest.raises(ModelError, match=str(checkpoint)):
        Engine(FULL, tmp_path, ASKED)
    Engine(FULL, tmp_path)


def test_a_second_opinion_on_the_fast_variant_is_refused(fast_models: Path) -> None:
    with pytest.raises(ConfigError, match=r"second_opinion: .* variant fast; choose .* full"):
        Engine(SegmentationSection(), fast_models, ASKED)


def test_a_second_opinion_of_an_unsupported_network_is_refused(
    full_models: Path, tmp_path: Path
) -> None:
    models = build_models(tmp_path / "fast", Variant.FAST)
    (plans,) = models.glob("**/plans.json")
    plans.write_text(plans.read_text().replace("DefaultPreprocessor", "Another"))
    (tmp_path / "full").symlink_to(full_models)
    with pytest.raises(ConfigError, match=r"our own engine runs, but .*preprocessor_name"):
        Engine(FULL, tmp_path, ASKED)


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
    volume = grid_volume_of(geometry, np.zeros(geometry.shape, dtype=np.int16))
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
def test_labels_of_two_opinions_on_two_grids_are_compared_at_the_nearest_voxels(
    geometry: Geometry, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    fine, coarse = grids(geometry)
    one = rng.integers(0, 4, fine.voxels.shape)
    other = rng.integers(0, 4, coarse.voxels.shape)
    index = (positions(coarse) - fine.affine_lps[:3, 3]) @ np.linalg.inv(fine.affine_lps[:3, :3]).T
    last = np.array(fine.voxels.shape) - 1
    half_way = np.abs(index % 1 - 0.5) < 1e-6  # either neighbour is as near as the other
    nearest = np.clip(np.floor(index + 0.5 + 1e-9), 0, last).astype(int)
    # Voxels half way between two others are background, so that rounding does not matter.
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
def test_labels_of_one_body_at_two_resolutions_agree_except_at_its_border(
    geometry: Geometry,
) -> None:
    """The body is a half space: only voxels within half a voxel of its border may differ."""
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


def test_a_structure_in_neither_result_has_no_second_opinion() -> None:
    fine, coarse = grids(geometry_of())
    one, other = np.zeros(fine.voxels.shape), np.zeros(coarse.voxels.shape)
    assert opinions(labelled(fine, one), labelled(coarse, other), STRUCTURES) == ()
    other[0, 0, 0] = 4
    (row,) = opinions(labelled(fine, one), labelled(coarse, other), STRUCTURES)
    assert (row.structure.label, row.dice, row.volume_ml) == (4, 0.0, 0.0)


@pytest.mark.parametrize("name", ["total", "total_v3", "total_mr"])
def test_the_second_opinion_on_the_full_variant_is_that_of_the_fast_variant(name: str) -> None:
    task = load_task(name, Variant.FULL)
    other = second_opinion_task(task)
    assert other == load_task(name, Variant.FAST)
    assert other.structures == task.structures
    assert other.crop is None


def test_the_second_opinion_on_chosen_structures_searches_the_same_box() -> None:
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
def test_a_second_opinion_on_a_task_without_coarser_networks_is_refused(
    name: str, variant: Variant | None
) -> None:
    with pytest.raises(ConfigError, match=f"second_opinion: there is none for task {name}"):
        second_opinion_task(load_task(name, variant))
