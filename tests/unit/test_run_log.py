from dataclasses import replace

import numpy as np
import pytest

from totalmap.run_log import Journal
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


def test_a_stage_that_fails_is_timed_too() -> None:
    recorder = Recorder()
    journal = Journal(recorder)
    with pytest.raises(ValueError, match="stop"), journal.stage("segment"):
        raise ValueError("stop")
    assert recorder.stages == ["segment"]
    assert journal.timings_seconds["segment"] >= 0


def test_the_segmentation_is_kept_without_its_voxels(true_segmentation: Segmentation) -> None:
    journal = Journal()
    journal.segmented(true_segmentation)
    (found,) = journal.found
    assert found.structures == true_segmentation.found()
    assert found.folder == ""
    assert journal.models == true_segmentation.models
    assert journal.warnings == []


def test_that_nothing_was_found_is_a_warning(true_segmentation: Segmentation) -> None:
    journal = Journal()
    empty = np.zeros_like(true_segmentation.labels)
    journal.segmented(replace(true_segmentation, labels=empty, findings=("no liver in view",)))
    assert journal.warnings[0] == "no liver in view"
    assert "no structure was found" in journal.warnings[1]
    assert journal.engine == "totalmap"
