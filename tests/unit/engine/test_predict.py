from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.unit.test_journal import Recorder
from totalmap.engine.predict import Engine
from totalmap.engine.tasks import load_task
from totalmap.segmentation import Segmentation
from totalmap.settings import Variant

TASK = load_task("total", Variant.FAST)


def test_one_engine_serves_several_volumes_alike(
    fast_models: Path, true_segmentation: Segmentation
) -> None:
    engine = Engine(TASK, fast_models)
    first, second = Recorder(), Recorder()
    volume = true_segmentation.volume
    one = engine.segment(volume, first.progress)
    other = engine.segment(volume, second.progress)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.labels.shape == volume.voxels.shape
    assert one.labels.dtype == np.uint8
    total = first.tiles[0][1]
    assert first.tiles == second.tiles == [(done, total) for done in range(1, total + 1)]


def test_an_image_of_zeros_is_no_error(fast_models: Path, true_segmentation: Segmentation) -> None:
    volume = true_segmentation.volume
    empty = replace(volume, voxels=np.zeros_like(volume.voxels))
    labels = Engine(TASK, fast_models).segment(empty, Recorder().progress).labels
    assert labels.shape == volume.voxels.shape


def test_fractional_values_are_segmented_too(
    fast_models: Path, true_segmentation: Segmentation
) -> None:
    volume = true_segmentation.volume
    engine = Engine(TASK, fast_models)
    whole = engine.segment(volume, Recorder().progress).labels
    as_float = replace(volume, voxels=volume.voxels.astype(np.float32))
    np.testing.assert_array_equal(engine.segment(as_float, Recorder().progress).labels, whole)
