from dataclasses import replace
from pathlib import Path

import pytest

from tests.networks import build_task
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.segmentations import volume_of
from tests.unit.test_run_log import Recorder
from totalmap.engine.engine import Engine
from totalmap.engine.supported_tasks import why_unsupported
from totalmap.engine.tasks import load_task
from totalmap.errors import InputError, ModelError
from totalmap.settings import SegmentationSection, Variant


def test_one_warm_engine_segments_a_volume_twice_with_equal_labels(tmp_path: Path) -> None:
    written = write_series(tmp_path / "in", 1, SeriesSpec(rows=24, columns=20, n_slices=10))
    models = build_task(tmp_path / "models", load_task("breasts"))
    engine = Engine(SegmentationSection(task="breasts"), models)
    volume = volume_of(written.folder)
    first, second = (engine.segment(volume, Recorder().progress).labels for _ in range(2))
    assert first.any()
    assert (first == second).all()


def test_a_series_of_another_modality_than_the_task_is_refused_by_the_engine(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    models = build_task(tmp_path, load_task("total_mr", Variant.FAST))
    engine = Engine(SegmentationSection(task="total_mr"), models)
    with pytest.raises(InputError, match="total_mr is made for MR, and the series is CT"):
        engine.segment(volume_of(phantom_series.folder), Recorder().progress)


def test_an_engine_for_a_licensed_task_without_a_licence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="licence"):
        Engine(SegmentationSection(task="appendicular_bones"), tmp_path / "none")


def test_weights_at_another_spacing_than_the_task_are_not_supported(tmp_path: Path) -> None:
    task = load_task("breasts")
    models = build_task(tmp_path, task)
    assert why_unsupported(task, models) == ""
    moved = replace(task, spacing_mm=(1.5, 1.5, 3.0))
    assert "1.5, 1.5, 1.5" in why_unsupported(moved, models)


def test_a_missing_rough_network_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    task = load_task("lung_nodules")
    build_task(tmp_path, task)
    with pytest.raises(ModelError, match="models install lung_nodules --variant full"):
        why_unsupported(task, tmp_path)
