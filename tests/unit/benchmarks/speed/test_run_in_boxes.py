import subprocess
import sys
from pathlib import Path

import nibabel

from benchmarks.speed.parse_network_seconds import from_log
from benchmarks.speed.run_in_boxes import TASK, save_rough_labels
from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.networks import build_models
from tests.phantom import SeriesSpec, write_series
from tests.segmentations import volume_of
from tests.waiting import WAIT_SECONDS
from totalmap.engine.inference_resampling import inference_grid
from totalmap.engine.tile_layout import tiles
from totalmap.settings import Variant

PATCH_SIZE = (64, 64, 64)
SPEC = SeriesSpec(
    rows=28,
    columns=28,
    n_slices=16,
    pixel_spacing_mm=(6.0, 6.0),
    slice_spacing_mm=5.0,
    slice_thickness_mm=5.0,
)


def test_benchmarked_networks_run_in_the_boxes_of_what_the_demo_network_finds(
    tmp_path: Path,
) -> None:
    source, models = tmp_path / "study", tmp_path / "models"
    write_series(source, 0, SPEC)
    for variant in (Variant.FULL, Variant.FASTEST):
        build_models(models, variant, patch_size=PATCH_SIZE)
    rough_labels, labels = tmp_path / "rough.npy", tmp_path / "labels.nii.gz"
    save_rough_labels(source, DEMO_MODELS, rough_labels)
    words = [source, models, rough_labels, "exact", labels]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed.run_in_boxes", *map(str, words)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    network = from_log(done.stderr)
    assert network is not None
    shape, _ = inference_grid(volume_of(source).geometry, TASK.spacing_mm)
    whole_tiles = len(tiles(shape[::-1], PATCH_SIZE, TASK.step_size)) * len(TASK.boxes)
    assert 1 < network.tiles < whole_tiles
    assert nibabel.load(labels).shape == (28, 28, 16)
