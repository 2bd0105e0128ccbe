"""Failures of TotalSegmentator's python API; test_task_parity.py compares its labels."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import SecretStr

from tests.networks import build_walk
from tests.peer import LICENCE_NUMBER
from tests.phantom.study import WrittenSeries
from tests.segmentations import volume_of
from tests.unit.test_run_log import Recorder
from totalmap.engine.tasks import load_task
from totalmap.engine.totalsegmentator_api import ApiSegmenter
from totalmap.errors import ModelError

TASK = load_task("hip_implant")

# Stands in for TotalSegmentator: Python runs it at the start of each process.
_STAND_IN = """
import sys, types
module = types.ModuleType("totalsegmentator.python_api")
def totalsegmentator(image, output, **arguments):
    import os, json, pathlib
    home = pathlib.Path(os.environ["TOTALSEG_HOME_DIR"])
    weights = pathlib.Path(os.environ["TOTALSEG_WEIGHTS_PATH"])
    seen = {
        "config": json.loads((home / "config.json").read_text()),
        "weights": sorted(str(p.relative_to(weights)) for p in weights.rglob("*") if p.is_file()),
        "home": str(home),
        "arguments": arguments,
    }
    pathlib.Path(os.environ["SEEN"]).write_text(json.dumps(seen))
    ACTION
module.totalsegmentator = totalsegmentator
sys.modules["totalsegmentator.python_api"] = module
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build_walk(tmp_path_factory.mktemp("models"), TASK)
    (folder / "unrelated").mkdir()
    return folder


def fail(
    action: str, folder: Path, models: Path, series: WrittenSeries, monkeypatch: pytest.MonkeyPatch
) -> tuple[ModelError, dict[str, object]]:
    """Returns the error of a run in which a stand-in does `action`, and what the stand-in saw."""
    (folder / "sitecustomize.py").write_text(_STAND_IN.replace("ACTION", action))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("SEEN", str(folder / "seen.json"))
    segmenter = ApiSegmenter(TASK, models, SecretStr(LICENCE_NUMBER))
    with pytest.raises(ModelError) as caught:
        segmenter.segment(volume_of(series.folder), Recorder().progress)
    return caught.value, json.loads((folder / "seen.json").read_text())


def test_an_error_of_totalsegmentator_is_passed_on_and_its_files_are_removed(
    tmp_path: Path, models: Path, phantom_series: WrittenSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, seen = fail("sys.exit('no way')", tmp_path, models, phantom_series, monkeypatch)
    assert "no way" in str(error)
    assert not Path(str(seen["home"])).exists()


def test_the_process_of_totalsegmentator_can_not_use_the_network(
    tmp_path: Path, models: Path, phantom_series: WrittenSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = "import requests; requests.get('http://127.0.0.1:9')"
    error, _ = fail(action, tmp_path, models, phantom_series, monkeypatch)
    assert "wanted to use the network" in str(error)


def test_totalsegmentator_gets_verified_weights_only_and_sends_no_statistics(
    tmp_path: Path, models: Path, phantom_series: WrittenSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, seen = fail("raise ValueError()", tmp_path, models, phantom_series, monkeypatch)
    config = seen["config"]
    assert isinstance(config, dict)
    assert config["send_usage_stats"] is False
    assert config["statistics_disclaimer_shown"] is True
    assert config["license_number"] == LICENCE_NUMBER
    expected = [
        f"{model.dataset}/{model.trainer_folder}/{name}"
        for one in TASK.chain
        for model in one.models
        for name in ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth")
    ]
    assert seen["weights"] == sorted(expected)


def test_changed_weights_are_refused_before_totalsegmentator_runs(
    models: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(models, tmp_path / "copy"))
    (model,) = TASK.models
    (copy / model.checkpoint).write_bytes(b"other")
    with pytest.raises(ModelError, match="was changed"):
        ApiSegmenter(TASK, copy, None)


def test_totalsegmentator_never_runs_code_in_a_checkpoint(
    tmp_path: Path, models: Path, phantom_series: WrittenSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if a file is replaced after its check and TotalSegmentator allows all pickles."""
    code, numbers = tmp_path / "code.pth", tmp_path / "numbers.pth"
    torch.save({"code": eval}, code)
    torch.save({"numbers": [np.float64(0.5), np.int64(3)]}, numbers)
    action = (
        f"import torch; torch.load({str(numbers)!r}, weights_only=False); "
        f"torch.load({str(code)!r}, weights_only=False)"
    )
    error, _ = fail(action, tmp_path, models, phantom_series, monkeypatch)
    assert "a checkpoint names" in str(error)
    assert "eval, which could run code" in str(error)
