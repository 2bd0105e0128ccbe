"""The demo model segments unseen bodies of the phantom, on slices as of a CT scanner."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.conftest import DEMO_MODELS
from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import volume_of
from totalmap.engine.predict import Networks
from totalmap.engine.segment import segment
from totalmap.engine.tasks import load_task
from totalmap.engine.weights_manifest import read_manifest
from totalmap.run_log import SilentObserver
from totalmap.settings import Variant
from training.demo_structures import STRUCTURES

UNSEEN_SEEDS = (9100, 9101)
# A trunk from the lungs to the hips, pixels of 1.64 mm, slices of 3 mm.
SPEC = SeriesSpec(rows=256, columns=256, n_slices=160, pixel_spacing_mm=(1.640625, 1.640625))
SIZE_LIMIT_BYTES = 8_000_000


def dice(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))


def test_the_demo_model_reaches_the_required_dice_on_unseen_phantoms(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    task = load_task("total", Variant.FAST)
    networks = Networks(task, DEMO_MODELS)
    scores: dict[str, list[float]] = defaultdict(list)
    for seed in UNSEEN_SEEDS:
        written = write_series(tmp_path / str(seed), seed, SPEC)
        volume = volume_of(written.folder)
        found = segment(volume, (networks,), SilentObserver().progress).labels
        for structure in task.structures:
            true = written.labels == structure.label
            if structure.name in STRUCTURES and true.any():
                scores[structure.name].append(dice(found == structure.label, true))
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    record_property("dice", means)
    assert len(means) >= 20
    assert np.mean(list(means.values())) >= 0.90, means


def test_the_demo_model_is_small_on_record_and_marked_not_for_patients() -> None:
    size = sum(path.stat().st_size for path in DEMO_MODELS.rglob("*") if path.is_file())
    assert size <= SIZE_LIMIT_BYTES
    (record,) = read_manifest(DEMO_MODELS).models
    assert "not for patients" in record.notice
    assert "not for patients" in (DEMO_MODELS / "MODEL_CARD.md").read_text().lower()
