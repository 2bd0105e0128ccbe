import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import DEMO_MODELS
from tests.networks import build_task
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.processor import require_bf16
from tests.segmentations import volume_of
from totalmap.engine.bf16_agreement import dice_by_label, measure_bf16
from totalmap.engine.predict import Networks
from totalmap.engine.tasks import load_task
from totalmap.errors import InputError
from totalmap.settings import Arithmetic, Variant

TASK = load_task("total", Variant.FAST)
SPEC = SeriesSpec(rows=192, columns=192, n_slices=80, pixel_spacing_mm=(2.2, 2.2))


def test_the_bf16_measurement_computes_dice_for_each_label_with_enough_voxels() -> None:
    one, other = np.zeros((2, 10, 200), dtype=np.uint8)
    one[:4], other[2:6] = 7, 7
    one[9, :50] = 9  # too few voxels to compare
    assert dice_by_label(one, other) == {7: 0.5}


def test_a_structure_in_only_one_of_two_images_has_a_dice_of_0_in_the_bf16_measurement() -> None:
    one, other = np.zeros((2, 10, 200), dtype=np.uint8)
    other[0] = 3
    assert dice_by_label(one, other) == {3: 0.0}


def test_the_demo_model_runs_in_bf16_after_its_agreement_was_measured(tmp_path: Path) -> None:
    require_bf16()
    written = write_series(tmp_path / "in", 0, SPEC)
    models = Path(shutil.copytree(DEMO_MODELS, tmp_path / "models"))
    (record,) = measure_bf16(models, volume_of(written.folder)).models
    assert record.bf16 is not None
    assert record.bf16.structures >= 10
    assert 0.98 <= record.bf16.min_dice <= 1
    Networks(TASK, models, arithmetic=Arithmetic.BF16)


def test_networks_for_another_modality_are_not_measured_in_bf16(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    models = build_task(tmp_path / "models", load_task("total_mr", Variant.FAST))
    with pytest.raises(InputError, match="can't be measured"):
        measure_bf16(models, volume_of(phantom_series.folder))
