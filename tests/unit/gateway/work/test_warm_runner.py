"""Tests the runner that keeps the application in the worker's process, where memory is short."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from gateway.store.file_storage import INPUT_NAME, SETTINGS_NAME
from gateway.work.application_runner import WAITS_FOR_MEMORY, WarmRunner
from tests.memory_holder import ALL_GIGABYTES, memory_held
from tests.phantom.study import SeriesSpec, write_series

SMALL = SeriesSpec(rows=30, columns=30, n_slices=24, pixel_spacing_mm=(4.5, 4.5))


@dataclass
class Stages:
    """Records the stages of a job, and acts when it waits for memory."""

    waits: Callable[[], None]
    names: list[str] = field(default_factory=list)

    def stage_started(self, stage: str) -> None:
        self.names.append(stage)
        if stage == WAITS_FOR_MEMORY:
            self.waits()

    def progress(self, done: int, total: int) -> None: ...


def test_a_job_waits_until_the_run_of_another_worker_releases_the_memory(
    fast_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    job = tmp_path / "job"
    job.mkdir()
    shutil.copytree(write_series(tmp_path / "study", 1, SMALL).folder, job / INPUT_NAME)
    sections = {
        "segmentation": {"variant": "fast", "device": "cpu"},
        "results": {"kinds": ["csv"]},
        "quality": {"rejected": "deliver"},
    }
    (job / SETTINGS_NAME).write_text(yaml.safe_dump(sections))
    with memory_held(ALL_GIGABYTES, tmp_path) as other_run:
        stages = Stages(waits=other_run.kill)
        outcome = WarmRunner(fast_models).run(job, stages)
    assert stages.names.count(WAITS_FOR_MEMORY) == 1, "as often as the other run was in the way"
    assert outcome.failure is None
    assert "csv" in {result.kind for result in outcome.results}
