"""Networks are measured in boxes against the whole volume, and the record decides."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.networks import (
    AROUND_GALLBLADDER,
    GALLBLADDER,
    SEED_WITH_GALLBLADDER,
    build_boxes,
    build_finder,
)
from tests.phantom.study import WrittenSeries, write_series
from tests.segmentations import volume_of
from tests.unit.test_run_log import Recorder
from totalmap.dicom.volume import Volume
from totalmap.engine.bf16_agreement import dice_by_label
from totalmap.engine.box_agreement import measure_boxes
from totalmap.engine.engine import Engine
from totalmap.engine.predict import Networks
from totalmap.engine.segment import find, segment
from totalmap.engine.tasks import Task, load_task
from totalmap.engine.weights import require_good_boxes
from totalmap.engine.weights_manifest import BoxAgreement, ModelRecord, adopt, read_manifest
from totalmap.errors import InputError, ModelError
from totalmap.settings import Search, SegmentationSection, Variant

TASK = load_task("total", Variant.FULL, search=Search.BOXES)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_boxes(tmp_path_factory.mktemp("models"), TASK)


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    folder = tmp_path_factory.mktemp("in")
    return volume_of(write_series(folder, SEED_WITH_GALLBLADDER, AROUND_GALLBLADDER).folder)


@pytest.fixture(scope="module")
def measured(models: Path, volume: Volume) -> dict[str, ModelRecord]:
    """The records of the networks after the measurement, by dataset."""
    return {record.dataset: record for record in measure_boxes(models, volume).models}


def agreement(records: dict[str, ModelRecord], part: Task) -> BoxAgreement:
    found = records[part.models[0].dataset].boxes
    assert found is not None
    return found


def test_each_network_in_a_box_is_compared_with_its_own_labels_of_the_whole_volume(
    models: Path, volume: Volume, measured: dict[str, ModelRecord]
) -> None:
    organs = TASK.boxes[0]
    names = tuple(structure.name for structure in organs.structures)
    networks = Networks(load_task("total", Variant.FULL, names), models)
    rough = Networks(TASK.chain[0], models)
    boxed = segment(volume, (rough, networks), Recorder().progress).labels
    everywhere, _ = find(volume, networks, None, Recorder().progress)
    expected = dice_by_label(everywhere, boxed.astype(np.uint8))
    measurement = agreement(measured, organs)
    assert measurement.dice == {
        structure.name: round(expected[structure.label], 4)
        for structure in organs.structures
        if structure.label in expected
    }
    assert 0 <= measurement.min_dice < 0.98  # the labels of random networks are noise


def test_a_network_without_a_box_has_a_dice_of_0_in_the_measurement_of_boxes(
    measured: dict[str, ModelRecord],
) -> None:
    """The rough network finds no rib, and the random network finds ribs everywhere."""
    assert set(agreement(measured, TASK.boxes[-1]).dice.values()) == {0.0}


def test_networks_that_agree_with_the_whole_volume_may_search_in_boxes(
    volume: Volume, tmp_path: Path
) -> None:
    settings = SegmentationSection(
        variant=Variant.FULL, structures=("gallbladder",), search=Search.BOXES
    )
    (part,) = load_task("total", Variant.FULL, ("gallbladder",), Search.BOXES).boxes
    build_finder(tmp_path, part.chain[0], GALLBLADDER)
    build_finder(tmp_path, part, part.models[0].label_table.index(GALLBLADDER))
    with pytest.raises(ModelError, match="search boxes was not measured"):
        Engine(settings, tmp_path)
    measure_boxes(tmp_path, volume)
    found = Engine(settings, tmp_path).segment(volume, Recorder().progress)
    assert [one.structure.name for one in found.found()] == ["gallbladder"]


def test_a_measurement_of_boxes_names_the_rough_network_and_is_kept_until_files_change(
    models: Path, measured: dict[str, ModelRecord], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(models, tmp_path / "models"))
    with pytest.raises(ModelError, match=r"search boxes is refused for .*: the Dice of .* is 0\."):
        require_good_boxes(folder, TASK)
    first, rough = (task.models[0].dataset for task in (TASK, TASK.chain[0]))
    adopt(folder, datasets=[first])
    records = {record.dataset: record for record in read_manifest(folder).models}
    assert agreement(records, TASK.boxes[0]) == agreement(measured, TASK.boxes[0])
    checkpoint = TASK.chain[0].models[0].checkpoint
    measurement = agreement(records, TASK.boxes[0])
    assert measurement.rough_sha256 == records[rough].checkpoint_sha256(checkpoint)
    plans = next(folder.glob(f"{first}/*/plans.json"))
    plans.write_text(plans.read_text() + "\n")
    adopt(folder)
    with pytest.raises(ModelError, match=f"search boxes was not measured .*{first}"):
        require_good_boxes(folder, TASK)


def test_boxes_are_not_measured_without_networks_that_can_search_in_them(
    fast_models: Path, phantom_series: WrittenSeries
) -> None:
    with pytest.raises(InputError, match="boxes can't be measured"):
        measure_boxes(fast_models, volume_of(phantom_series.folder))


def test_boxes_are_not_measured_without_the_rough_network(
    full_models: Path, volume: Volume
) -> None:
    with pytest.raises(ModelError, match="models install total --variant fastest"):
        measure_boxes(full_models, volume)
