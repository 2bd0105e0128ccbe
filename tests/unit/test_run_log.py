from dataclasses import replace

import numpy as np
import pytest

from totalmap.run_log import RunLog
from totalmap.segmentation import Segmentation


class Recorder:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.tiles: list[tuple[int, int]] = []

    def stage_started(self, stage: str) -> None:
        self.stages.append(stage)

    def progress(self, done: int, total: int) -> None:
        self.tiles.append((done, total))


def test_the_duration_of_a_failed_stage_is_recorded_in_the_run_log() -> None:
    recorder = Recorder()
    run_log = RunLog(recorder)
    with pytest.raises(ValueError, match="stop"), run_log.stage("segment"):
        raise ValueError("stop")
    assert recorder.stages == ["segment"]
    assert run_log.timings_seconds["segment"] >= 0


def test_the_run_log_keeps_the_structures_of_a_segmentation(
    true_segmentation: Segmentation,
) -> None:
    run_log = RunLog()
    run_log.segmented(true_segmentation)
    (found,) = run_log.found
    assert found.structures == true_segmentation.found()
    assert found.folder == ""
    assert run_log.models == true_segmentation.models
    assert run_log.warnings == []


def test_a_segmentation_without_structures_gives_a_warning_in_the_run_log(
    true_segmentation: Segmentation,
) -> None:
    run_log = RunLog()
    empty = np.zeros_like(true_segmentation.labels)
    run_log.segmented(replace(true_segmentation, labels=empty, findings=("no liver in view",)))
    assert run_log.warnings[0] == "no liver in view"
    assert "no structure was found" in run_log.warnings[1]
    assert run_log.engine == "totalmap"
