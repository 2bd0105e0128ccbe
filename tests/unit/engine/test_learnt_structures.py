import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import DEMO_MODELS
from tests.networks import build_finder
from tests.phantom.study import WrittenSeries
from tests.segmentations import volume_of
from totalmap.engine.engine import Engine
from totalmap.engine.learnt_structures import LEARNT_KEY, learnt_labels, narrowed, why_fewer
from totalmap.engine.tasks import load_task
from totalmap.engine.weights import verify_models
from totalmap.engine.weights_manifest import adopt
from totalmap.errors import ConfigError, ModelError
from totalmap.quality.assess import assess
from totalmap.run_log import SilentObserver
from totalmap.settings import SegmentationSection, Variant
from training.demo_structures import STRUCTURES

TASK = load_task("total", Variant.FAST)
SPLEEN, LIVER = 1, 5
LABELS = {"background": 0, "spleen": 1, "liver": 2, "tumour": 3}
TABLE = (0, SPLEEN, LIVER, 9)


def described(folder: Path, **fields: object) -> Path:
    (folder / "dataset.json").write_text(json.dumps(fields))
    return folder


def test_a_network_has_learnt_the_labels_of_its_dataset(tmp_path: Path) -> None:
    assert learnt_labels(described(tmp_path, labels=LABELS), TABLE) == {SPLEEN, LIVER, 9}


def test_a_network_with_few_labels_has_learnt_no_others_of_its_task(tmp_path: Path) -> None:
    few = {"background": 0, "spleen": 1}
    assert learnt_labels(described(tmp_path, labels=few), TABLE) == {SPLEEN}


def test_the_list_learnt_in_dataset_json_limits_the_labels_of_a_network(tmp_path: Path) -> None:
    folder = described(tmp_path, labels=LABELS, learnt=["liver", "background"])
    assert learnt_labels(folder, TABLE) == {LIVER}


def test_regions_and_ignored_labels_do_not_limit_the_labels_of_a_network(tmp_path: Path) -> None:
    regions = {"background": 0, "organ": [1, 2], "tumour": 2}
    assert learnt_labels(described(tmp_path, labels=regions), TABLE) == {SPLEEN, LIVER, 9}
    ignoring = LABELS | {"ignore": 4}
    assert learnt_labels(described(tmp_path, labels=ignoring), TABLE) == {SPLEEN, LIVER, 9}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels": LABELS, "learnt": ["livr"]}, "'livr', which is no label"),
        ({"labels": LABELS, "learnt": "liver"}, "has to be a list of names"),
        ({"labels": LABELS, "learnt": [2]}, "has to be a list of names"),
        ({"labels": 3}, "is not nnU-Net's"),
        ({}, "is not nnU-Net's"),
    ],
)
def test_an_invalid_dataset_json_is_refused(
    tmp_path: Path, fields: Mapping[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        learnt_labels(described(tmp_path, **fields), TABLE)


def test_a_task_keeps_the_structures_that_any_of_its_networks_has_learnt() -> None:
    task = narrowed(TASK, [frozenset({SPLEEN}), frozenset({LIVER})])
    assert [one.name for one in task.structures] == ["spleen", "liver"]
    assert why_fewer(task) == (
        "the weights have not learnt 115 structures of the 117 of task total; "
        "these are not looked for"
    )
    assert why_fewer(TASK) == ""


def test_chosen_structures_that_the_weights_have_not_learnt_are_named() -> None:
    asked = load_task("total", Variant.FAST, ("liver", "gallbladder"))
    sentence = "the weights have not learnt gallbladder; these are not looked for"
    assert why_fewer(narrowed(asked, [frozenset({LIVER})])) == sentence
    with pytest.raises(ConfigError, match="have not learnt gallbladder, liver"):
        narrowed(asked, [frozenset({SPLEEN})])


def test_the_demo_model_has_learnt_the_structures_it_was_trained_on() -> None:
    task = narrowed(TASK, [one.learnt for one in verify_models(DEMO_MODELS, TASK)])
    assert {one.name for one in task.structures} == set(STRUCTURES)


def test_structures_that_a_model_has_not_learnt_are_not_reported_as_absent(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    models = build_finder(tmp_path, TASK, LIVER)
    (model,) = TASK.models
    path = models / model.dataset / model.trainer_folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {LEARNT_KEY: [f"label_{LIVER}"]}))
    adopt(models)
    section = SegmentationSection(variant=Variant.FAST)
    volume = volume_of(phantom_series.folder)
    segmentation = Engine(section, models).segment(volume, SilentObserver().progress)
    assert [one.name for one in segmentation.structures] == ["liver"]
    assert "116 structures of the 117" in segmentation.findings[0]
    absent = [one.structure for one in assess(segmentation).findings if one.code == "ABSENT"]
    assert set(absent) <= {"liver"}
