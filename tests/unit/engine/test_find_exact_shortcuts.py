"""Tests with processes of their own what `totalmap models shortcuts` keeps for later runs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.conftest import REPOSITORY
from totalmap.engine.arithmetic import proven_shortcuts
from totalmap.engine.find_exact_shortcuts import compare_shortcuts
from totalmap.engine.tasks import load_task
from totalmap.private_cache import FOLDER_NAME, PrivateCache
from totalmap.settings import Variant

# Segments noise, and prints the hash of the labels and the comparisons that were made.
PROGRAM = """
import hashlib, json, sys
from pathlib import Path
import numpy as np
from totalmap.engine.arithmetic import proven_shortcuts
from totalmap.engine.predict import Networks
from totalmap.engine.tasks import load_task
from totalmap.private_cache import PrivateCache
from totalmap.settings import Variant

models, folder = map(Path, sys.argv[1:])
proven_shortcuts.remember_in(PrivateCache(folder))
networks = Networks(load_task("total", Variant.FAST), models)
image = np.random.default_rng(0).integers(-200, 200, (64, 64, 64), dtype=np.int16)
labels = networks.predict(image, lambda _done, _total: None)
operations = [str(what) for what in proven_shortcuts.compared()]
print(json.dumps([hashlib.sha256(labels.tobytes()).hexdigest(), operations]))
"""


def segmented(models: Path, folder: Path) -> tuple[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(models), str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    labels, compared = json.loads(done.stdout.splitlines()[-1])  # after the log
    return labels, compared


def test_a_second_process_compares_no_shortcuts_again_and_finds_the_same_labels(
    fast_models: Path, tmp_path: Path
) -> None:
    labels, compared = segmented(fast_models, tmp_path)
    assert compared
    (file,) = (tmp_path / FOLDER_NAME).iterdir()
    assert set(json.loads(file.read_text())["facts"]) == set(compared)
    assert segmented(fast_models, tmp_path) == (labels, [])
    file.write_bytes(file.read_bytes()[:-10])  # damaged
    assert segmented(fast_models, tmp_path) == (labels, compared)


@pytest.fixture
def _own_knowledge() -> Iterator[None]:
    before = proven_shortcuts._knowledge
    proven_shortcuts._knowledge = proven_shortcuts._Knowledge()
    yield
    proven_shortcuts._knowledge = before


@pytest.mark.usefixtures("_own_knowledge")
def test_the_report_of_shortcuts_shows_all_of_a_network_and_where_they_are_kept(
    fast_models: Path, tmp_path: Path
) -> None:
    task, cache = load_task("total", Variant.FAST), PrivateCache(tmp_path)
    report = compare_shortcuts(task, fast_models, cache)
    names = {fact.name for fact in report.facts}
    assert {"upsampling as a matrix product", "last layer as a matrix product"} <= names
    assert report.threads == torch.get_num_threads()
    assert report.folder == tmp_path / FOLDER_NAME
    (file,) = report.folder.iterdir()
    text = file.read_text().replace("true", "false")
    file.unlink()
    assert compare_shortcuts(task, fast_models, cache, anew=True) == report
    assert file.read_text().replace("true", "false") == text
    nowhere = compare_shortcuts(task, fast_models, PrivateCache(None))
    assert (nowhere.facts, nowhere.folder) == (report.facts, None)
