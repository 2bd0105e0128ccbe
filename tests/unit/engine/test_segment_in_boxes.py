"""Networks that search in boxes: the merge, what is not found, edges, memory, real networks."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.networks import (
    AROUND_GALLBLADDER,
    SEED_WITH_GALLBLADDER,
    VERTEBRA,
    allow_boxes,
    build_boxes,
)
from tests.phantom.study import write_series
from tests.segmentations import MODEL, volume_of
from tests.unit.engine.test_inference_resampling import UNEVEN, geometry_of
from tests.unit.engine.test_inference_resampling import volume_of as grid_volume_of
from tests.unit.test_run_log import Recorder
from totalmap.dicom.volume import Volume
from totalmap.engine.confidence import segment_with_confidence
from totalmap.engine.engine import Engine
from totalmap.engine.inference_resampling import inference_grid, to_inference_grid
from totalmap.engine.predict import Networks
from totalmap.engine.resample import Resample, resample_image
from totalmap.engine.segment import Progress, segment
from totalmap.engine.segment_in_boxes import segment_in_boxes
from totalmap.engine.sum_confidence_margins import TaskMargins
from totalmap.engine.tasks import Task, load_task
from totalmap.engine.weights_manifest import BoxAgreement, adopt, record_box_agreements
from totalmap.errors import ConfigError, ModelError, ResourceError
from totalmap.segmentation import ModelIdentity, Segmentation
from totalmap.settings import Search, SegmentationSection, Variant
from totalmap.structures import Face
from totalmap.writers.dicom.read_back_positions import is_placed

LIVER = 5
Ranges = dict[tuple[int, int], int]
# In `volume`, the liver is brighter than the rest, and the vertebra darker.
ROUGH: Ranges = {(700, 9000): LIVER, (-9000, -700): VERTEBRA}
IN_LIVER: Ranges = {(500, 9000): LIVER}
IN_VERTEBRA: Ranges = {(-9000, -500): VERTEBRA}
ANYWHERE: Ranges = {(-9000, 9000): LIVER}
SETTINGS = SegmentationSection(variant=Variant.FULL, search=Search.BOXES)


def boxes_of(*structures: str) -> Task:
    return load_task("total", Variant.FULL, structures, Search.BOXES)


@dataclass
class Levels:
    """Labels voxels whose value lies in a range: at least its first number, at most the other."""

    task: Task
    ranges: Ranges
    too_large: bool = False
    identities: tuple[ModelIdentity, ...] = (MODEL,)
    arithmetic: str = "exact"
    threads: int | None = None
    resample: Resample = resample_image
    seen: list[tuple[int, ...]] = field(default_factory=list)

    def predict(
        self, image: NDArray[np.generic], progress: Progress, margins: TaskMargins | None = None
    ) -> NDArray[np.uint8]:
        self.seen.append(image.shape)
        self.is_measured = margins is not None
        progress(1, 1)
        labels = np.zeros(image.shape, dtype=np.uint8)
        for (lowest, highest), label in self.ranges.items():
            labels[(np.asarray(image) >= lowest) & (np.asarray(image) <= highest)] = label
        return labels

    def require_memory(self, shape: tuple[int, ...]) -> None:
        self.required = shape
        if self.too_large:
            raise ResourceError("too large")


@pytest.fixture(params=[None, UNEVEN], ids=["grid", "uneven"])
def volume(request: pytest.FixtureRequest) -> Volume:
    """A small volume with a liver of 1000 and a vertebra of -900."""
    geometry = geometry_of(steps=request.param)
    voxels = np.full(geometry.shape, -100, dtype=np.int16)
    voxels[5:9, 7:12, 5:9] = 1000
    voxels[10:12, 13:16, 11:13] = -900
    return grid_volume_of(geometry, voxels)


def with_margin(task: Task, margin_mm: float) -> Task:
    """Returns a task with boxes and another margin, since the volume is small."""
    parts = tuple(
        replace(part, crop=replace(part.crop, margin_mm=margin_mm))
        for part in task.boxes
        if part.crop
    )
    return replace(task, boxes=parts)


def rough_levels(task: Task, ranges: Ranges) -> Levels:
    """Returns a rough predictor; it sees all details, since the volume is small."""
    return Levels(replace(task.chain[0], spacing_mm=task.spacing_mm), ranges)


def run(
    volume: Volume,
    task: Task,
    rough: Ranges,
    fine: Sequence[Ranges],
) -> tuple[Segmentation, list[Levels], Recorder]:
    """Segments with predictors that label by value: a rough one, and one for each network."""
    recorder = Recorder()
    parts = [Levels(part, levels) for part, levels in zip(task.boxes, fine, strict=True)]
    chain = (rough_levels(task, rough), Levels(task, {}))
    return segment_in_boxes(volume, chain, parts, recorder.progress), parts, recorder


def test_each_network_searches_the_box_of_its_own_structures(volume: Volume) -> None:
    task = with_margin(boxes_of("liver", "vertebrae_L1"), 3.0)
    found, parts, _ = run(volume, task, ROUGH, [IN_LIVER, IN_VERTEBRA])
    whole, _ = inference_grid(volume.geometry, task.spacing_mm)
    for part in parts:
        (shape,) = part.seen
        assert part.required == shape
        assert np.prod(shape) < np.prod(whole) / 2
    assert found.search == "boxes"
    assert found.labels[5:9, 7:12, 5:9].astype(bool).mean() > 0.8
    assert set(np.unique(found.labels[10:12, 13:16, 11:13])) >= {VERTEBRA}
    assert {one.structure.name for one in found.found()} == {"liver", "vertebrae_L1"}


def test_where_two_boxes_overlap_the_later_network_overwrites_the_earlier_one(
    volume: Volume,
) -> None:
    task = with_margin(boxes_of("liver", "vertebrae_L1"), 60.0)
    found, _, _ = run(volume, task, ROUGH, [ANYWHERE, IN_VERTEBRA])
    at_bone = found.labels[10:12, 13:16, 11:13]
    assert set(np.unique(at_bone)) <= {LIVER, VERTEBRA}
    assert VERTEBRA in at_bone
    assert set(np.unique(found.labels)) == {LIVER, VERTEBRA}
    assert {LIVER, VERTEBRA} <= set(np.unique(found.inference.labels))


def test_a_network_whose_structures_the_rough_network_misses_does_not_run(
    volume: Volume,
) -> None:
    task = with_margin(boxes_of("liver", "vertebrae_L1"), 3.0)
    found, parts, recorder = run(volume, task, IN_LIVER, [IN_LIVER, IN_VERTEBRA])
    assert not parts[1].seen
    (finding,) = found.findings
    assert task.boxes[1].models[0].dataset in finding
    assert set(np.unique(found.labels)) == {0, LIVER}
    shares = [done / total for done, total in recorder.tiles]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_if_the_rough_network_finds_nothing_the_result_is_empty_with_findings(
    volume: Volume,
) -> None:
    task = boxes_of("liver", "vertebrae_L1")
    found, parts, _ = run(volume, task, {(9000, 9001): LIVER}, [IN_LIVER, IN_VERTEBRA])
    assert not any(part.seen for part in parts)
    assert not found.labels.any()
    assert not found.inference.labels.any()
    assert len(found.findings) == 2


def test_a_structure_that_reaches_a_side_of_its_box_within_the_volume_is_named(
    volume: Volume,
) -> None:
    task = with_margin(boxes_of("liver", "vertebrae_L1"), 3.0)
    found, _, _ = run(volume, task, ROUGH, [ANYWHERE, IN_VERTEBRA])
    (contact,) = found.box_contacts  # the liver fills its box, the vertebra does not
    assert contact.structure.name == "liver"
    assert set(contact.faces) == set(Face)


def test_a_structure_that_reaches_the_edge_of_the_volume_is_not_cut_by_its_box(
    volume: Volume,
) -> None:
    task = with_margin(boxes_of("liver", "vertebrae_L1"), 100.0)
    found, _, _ = run(volume, task, ROUGH, [ANYWHERE, IN_VERTEBRA])
    assert found.box_contacts == ()


def test_a_box_that_exceeds_the_memory_is_refused_before_any_box_is_segmented(
    volume: Volume,
) -> None:
    task = with_margin(boxes_of("liver", "vertebrae_L1"), 3.0)
    first, second = (Levels(part, IN_LIVER) for part in task.boxes)
    second.too_large = True
    chain = (rough_levels(task, ROUGH), Levels(task, {}))
    with pytest.raises(ResourceError):
        segment_in_boxes(volume, chain, (first, second), Recorder().progress)
    assert not first.seen


def test_labels_lie_where_the_networks_found_them_on_the_grids_of_their_boxes(
    volume: Volume,
) -> None:
    """This is what the read-back of a written object relies on."""
    task = with_margin(boxes_of("liver", "vertebrae_L1"), 3.0)
    found, _, _ = run(volume, task, ROUGH, [IN_LIVER, IN_VERTEBRA])
    kji = np.argwhere(found.labels)
    labels = found.labels[tuple(kji.T)]
    there = volume.geometry.positions_lps(kji)
    assert is_placed(there, labels, found.inference).all()
    elsewhere = there + np.array([9.0, 0.0, 0.0])
    assert not is_placed(elsewhere, labels, found.inference).all()


def test_network_labels_of_boxes_on_one_grid_lie_where_they_lie_in_the_volume(
    volume: Volume,
) -> None:
    task = with_margin(boxes_of("liver", "vertebrae_L1"), 3.0)
    found, _, _ = run(volume, task, ROUGH, [IN_LIVER, IN_VERTEBRA])
    seen = found.inference
    shape, affine = inference_grid(volume.geometry, task.spacing_mm)
    assert seen.labels.shape == shape
    np.testing.assert_array_equal(seen.affine_lps, affine)
    for label in (LIVER, VERTEBRA):
        index = np.argwhere(seen.labels == label)
        there = (index @ affine[:3, :3].T + affine[:3, 3]).mean(axis=0)
        kji = np.argwhere(found.labels == label)
        np.testing.assert_allclose(there, volume.geometry.positions_lps(kji).mean(axis=0), atol=1.0)


def test_results_in_boxes_have_other_uids_than_those_of_the_whole_volume(volume: Volume) -> None:
    found, _, _ = run(volume, boxes_of("liver"), IN_LIVER, [IN_LIVER])
    assert replace(found, search="whole").inputs_sha256 != found.inputs_sha256


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    folder = tmp_path_factory.mktemp("around-gallbladder")
    return volume_of(write_series(folder, SEED_WITH_GALLBLADDER, AROUND_GALLBLADDER).folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random networks, and a rough one that finds the gallbladder and bones."""
    return build_boxes(tmp_path_factory.mktemp("models"), boxes_of())


@pytest.fixture(scope="module")
def in_boxes(phantom: Volume, models: Path) -> Segmentation:
    return Engine(SETTINGS, models).segment(phantom, Recorder().progress)


def test_segmentation_in_boxes_equals_each_network_run_with_its_structures_and_merged(
    phantom: Volume, models: Path, in_boxes: Segmentation
) -> None:
    merged = np.zeros(phantom.geometry.shape, dtype=np.uint8)
    extents = []
    rough = Networks(boxes_of().chain[0], models)
    for part in boxes_of().boxes:
        names = tuple(structure.name for structure in part.structures)
        alone = Networks(load_task("total", Variant.FULL, names), models)
        found = segment(phantom, (rough, alone), Recorder().progress).labels
        np.copyto(merged, found, where=found != 0)
        extents.append([int(np.ptp(places)) if len(places) else 0 for places in np.nonzero(found)])
    np.testing.assert_array_equal(in_boxes.labels, merged)
    organs, vertebrae, *others = extents
    assert all(0 < size < whole - 1 for size, whole in zip(organs, merged.shape, strict=True))
    assert organs != vertebrae  # their boxes differ
    assert not np.any(others)
    assert len(np.unique(merged)) > 10


def test_a_result_in_boxes_names_the_rough_network_and_those_that_did_not_run(
    in_boxes: Segmentation,
) -> None:
    numbers = [model.dataset[7:10] for model in in_boxes.models]
    assert numbers == ["298", "291", "292", "293", "294", "295"]
    assert len(in_boxes.findings) == 3


def test_confidence_margins_in_boxes_are_those_of_the_networks_that_ran(
    in_boxes: Segmentation,
) -> None:
    assert in_boxes.confidence is not None
    names = {margin.structure.name for margin in in_boxes.confidence.margins}
    ran = {part.name for box in boxes_of().boxes[:2] for part in box.structures}
    assert names
    assert names <= ran


def test_networks_in_boxes_are_the_loaded_networks_of_the_task(models: Path) -> None:
    networks = Networks(boxes_of(), models)
    assert [part.identities[0] for part in networks.parts] == list(networks.identities)
    assert [part.task for part in networks.parts] == list(boxes_of().boxes)


def test_segmentation_in_boxes_whose_agreement_was_not_measured_is_refused(
    models: Path, tmp_path: Path
) -> None:
    unmeasured = tmp_path / "models"
    unmeasured.mkdir()
    for dataset in models.glob("Dataset*"):
        (unmeasured / dataset.name).symlink_to(dataset)
    adopt(unmeasured, source="random weights for tests", licence="Apache-2.0")
    with pytest.raises(ModelError, match=r"was not measured .*Dataset291.*Dataset298.*--boxes-on"):
        Engine(SETTINGS, unmeasured)
    allow_boxes(unmeasured, boxes_of())
    Engine(SETTINGS, unmeasured)
    other_rough = BoxAgreement(rough_sha256="0" * 64, dice={"rib_left_1": 1.0})
    last = boxes_of().models[-1].dataset
    record_box_agreements(unmeasured, {last: other_rough})
    with pytest.raises(ModelError, match=f"was not measured .*{last}"):
        Engine(SETTINGS, unmeasured)
    allow_boxes(unmeasured, boxes_of())
    (record,) = (one for one in record_box_agreements(unmeasured, {}).models if one.dataset == last)
    assert record.boxes is not None
    bad = record.boxes.model_copy(update={"dice": {"rib_left_1": 0.9712, "rib_left_2": 1.0}})
    record_box_agreements(unmeasured, {last: bad})
    with pytest.raises(ModelError, match=rf"{last}: the Dice of rib_left_1 .* is 0\.9712"):
        Engine(SETTINGS, unmeasured)


def test_segmentation_in_boxes_is_refused_for_networks_of_totalsegmentators_api(
    models: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "models"
    for source in models.rglob("*"):
        if source.is_file():
            target = copied / source.relative_to(models)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    plans = next(copied.glob("Dataset293*/*/plans.json"))
    plans.write_text(plans.read_text().replace("DefaultPreprocessor", "Another"))
    with pytest.raises(ConfigError, match=r"search boxes .*preprocessor_name.*choose whole"):
        Engine(SETTINGS, copied)


def test_a_second_opinion_compares_the_labels_of_all_boxes(volume: Volume) -> None:
    task = with_margin(boxes_of("liver", "vertebrae_L1"), 3.0)
    parts = [
        Levels(part, levels)
        for part, levels in zip(task.boxes, (IN_LIVER, IN_VERTEBRA), strict=True)
    ]
    chain = (rough_levels(task, ROUGH), Levels(task, {}))
    other = Levels(load_task("total", Variant.FAST), IN_LIVER | IN_VERTEBRA)
    recorder = Recorder()
    found = segment_with_confidence(volume, chain, (other,), recorder.progress, parts)
    assert found.search == "boxes"
    assert all(part.is_measured for part in parts)
    assert found.confidence is not None
    dice = {one.structure.name: one.dice for one in found.confidence.opinions or ()}
    assert set(dice) == {"liver", "vertebrae_L1"}
    assert min(dice.values()) > 0.5
    shares = [done / total for done, total in recorder.tiles]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("spacing_mm", [(1.5, 1.5, 1.5), (3.0, 2.0, 2.5)])
def test_the_grid_of_a_network_is_known_before_a_volume_is_resampled(
    volume: Volume, spacing_mm: tuple[float, float, float]
) -> None:
    image = to_inference_grid(volume, spacing_mm)
    shape, affine = inference_grid(volume.geometry, spacing_mm)
    assert shape == image.voxels.shape
    np.testing.assert_array_equal(affine, image.affine_lps)
