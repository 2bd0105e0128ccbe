"""Measures the engine's peak memory with networks of the real size, and compares the estimate.

    python -m benchmarks.memory [--slices 250 1000] [--arithmetic exact compiled bf16]

Each line is a process of its own: a volume of 512 x 512 voxels of 0.98 mm a slice, slices of
1.5 mm, all five networks of the 1.5 mm variant loaded. Memory does not grow after the first
layer of tiles, so the run stops in the second one.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tests.networks import build_models
from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import volume_of
from totalmap import log
from totalmap.dicom.geometry import Geometry
from totalmap.dicom.volume import Volume
from totalmap.engine.inference_resampling import to_inference_grid
from totalmap.engine.memory_need import bytes_needed
from totalmap.engine.nnunet_plans import read_plans
from totalmap.engine.predict import Networks
from totalmap.engine.tasks import load_task
from totalmap.settings import Arithmetic, Variant

GIGABYTE = 1e9
PIXEL_MM, SLICE_MM, SIZE = 0.98, 1.5, 512
PATCH = (128, 128, 128)
FEATURES, WIDEST = 32, 320
TASK = load_task("total", Variant.FULL)


class _EnoughError(Exception):
    """The second layer of tiles is reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The memory of a process, in bytes.

    Attributes:
        before: With the volume and without networks.
        loaded: With the volume and all networks.
        needed: The computed need of a prediction.
        peak: The highest memory.
    """

    before: int
    loaded: int
    needed: int
    peak: int


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, nargs="+", default=[250, 1000])
    parser.add_argument(
        "--arithmetic", nargs="+", default=[arithmetic.value for arithmetic in Arithmetic]
    )
    parser.add_argument("--models", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.models:
        _measure_here(arguments.slices[0], Arithmetic(arguments.arithmetic[0]), arguments.models)
        return
    print(f"{SIZE} x {SIZE} voxels of {PIXEL_MM} mm, slices of {SLICE_MM} mm; GB")
    print("slices  arithmetic    volume   networks   computed   measured   in all")
    with tempfile.TemporaryDirectory() as folder:
        models = build_models(
            Path(folder),
            Variant.FULL,
            patch_size=PATCH,
            base_features=FEATURES,
            max_features=WIDEST,
        )
        for slices in arguments.slices:
            for arithmetic in arguments.arithmetic:
                print(_line(slices, arithmetic, _measure(slices, arithmetic, models)), flush=True)


def _line(slices: int, arithmetic: str, peak: Peak) -> str:
    columns = (
        peak.before,
        peak.loaded - peak.before,
        peak.needed,
        peak.peak - peak.loaded,
        peak.peak,
    )
    numbers = "".join(f"{value / GIGABYTE:11.2f}" for value in columns)
    return f"{slices:6}  {arithmetic:9}{numbers}"


def _measure(slices: int, arithmetic: str, models: Path) -> Peak:
    command = [sys.executable, "-m", "benchmarks.memory", "--slices", str(slices)]
    command += ["--arithmetic", arithmetic, "--models", str(models)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  our own
    return Peak(**json.loads(done.stdout.splitlines()[-1]))


def _measure_here(slices: int, arithmetic: Arithmetic, models: Path) -> None:
    log.configure()
    volume = _volume(slices)
    before = _resident_bytes()
    networks = Networks(TASK, models, arithmetic=arithmetic, measured_only=False)
    loaded = _resident_bytes()
    image = to_inference_grid(volume, TASK.spacing_mm).voxels.transpose(2, 1, 0)
    plans = tuple(
        read_plans(models / model.dataset / model.trainer_folder) for model in TASK.models
    )
    per_layer = _tiles_in_a_layer(image.shape)

    def stop_in_the_second_layer(done: int, _total: int) -> None:
        if done > per_layer + 1:
            raise _EnoughError

    try:
        networks.predict(image, stop_in_the_second_layer)
    except _EnoughError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        needed = bytes_needed(image.shape, plans, arithmetic) + image.nbytes
        print(json.dumps({"before": before, "loaded": loaded, "needed": needed, "peak": peak}))


def _volume(slices: int) -> Volume:
    """Returns a volume of noise with the headers of a small phantom."""
    with tempfile.TemporaryDirectory() as folder:
        small = volume_of(write_series(Path(folder), 0, SeriesSpec(rows=16, columns=16)).folder)
    voxels = np.random.default_rng(0).integers(-1000, 1000, (slices, SIZE, SIZE), dtype=np.int16)
    affine = small.geometry.affine_lps.copy()
    affine[:3, :3] *= np.array([PIXEL_MM, PIXEL_MM, SLICE_MM]) / np.linalg.norm(
        affine[:3, :3], axis=0
    )
    return replace(small, voxels=voxels, geometry=Geometry.regular(affine, voxels.shape))


def _tiles_in_a_layer(shape: tuple[int, ...]) -> int:
    steps = [
        int(np.ceil((n - p) / (p * TASK.step_size))) + 1 for n, p in zip(shape, PATCH, strict=True)
    ]
    return steps[1] * steps[2]


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
