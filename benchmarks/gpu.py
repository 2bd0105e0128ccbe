"""Compares our engine on a GPU with nnU-Net's own sliding window on the same GPU.

    python -m benchmarks.gpu [--device cuda] [--narrow] [--minutes 8] [--output FILE]

The image has 512 x 512 x 280 voxels of 0.8 x 0.8 x 1.5 mm (--narrow: a small image and networks of
a quarter of the width). The networks have the size of the real ones and random weights, so the last
bit of a sum decides many labels. nnU-Net runs in the same process with TotalSegmentator's settings
(steps of 0.8 tiles, no mirroring, everything on the device) on the resampled image, until the
labels of all networks are merged in memory. Cold is the first image, warm the fastest of two more.
The stages are those of another run, with a wait for the device after each of them. With --device
cpu, the engine's code for a GPU runs on the CPU, and in bfloat16, to rehearse it. A part that would
begin after --minutes is left out and named. FILE is written only after a run on a GPU.

On a bare machine, Python, PyTorch for CUDA, NumPy and SciPy have to be there. The other packages
are carried as wheels: 12 MB with the locked versions for Python 3.11 (2026-12-02). This repository
has another 12 MB. Holoscan, OpenVINO, the readers of files and the command of TotalSegmentator are
left out (benchmarks/bare_machine.py). Make the wheels with the version of Python of the bare
machine, here 3.12:

    python3.12 -m pip wheel --no-deps -w wheels $(.venv/bin/python -m benchmarks.bare_machine)

There, in a copy of this repository with the wheels:

    python3 -m pip install --no-deps --no-index --target packages wheels/*.whl
    PYTHONPATH=packages python3 -m benchmarks.gpu --output benchmarks/results/speed-cuda.md
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

import benchmarks.bare_machine  # noqa: F401  before all that imports missing packages
from benchmarks.nnunet_sliding_window import nnunet_labels
from benchmarks.speed.network_sizes import PATCH_SIZES, REAL_FEATURES, WIDEST
from benchmarks.write_report import NO_GPU, write_report
from tests.networks import build_models
from totalmap.engine.arithmetic.autocast_network import AutocastNetwork
from totalmap.engine.arithmetic.device_fallbacks import (
    Load,
    NetworkFallbacks,
    NetworkOption,
    gpu_options,
)
from totalmap.engine.cut_tiles import UploadedImage
from totalmap.engine.gpu_image_resampling import resample_image_on
from totalmap.engine.nnunet_plans import Plans
from totalmap.engine.predict import Fallbacks, Networks
from totalmap.engine.resample import resample_image, resample_labels
from totalmap.engine.tasks import load_task
from totalmap.errors import ConfigError
from totalmap.settings import Arithmetic, Variant

SIZE, ZOOMS_MM = (512, 512, 280), np.array([0.8, 0.8, 1.5], dtype=np.float32)
NARROW_SIZE, NARROW_PATCH, NARROW_FEATURES = (60, 50, 70), (64, 32, 32), 4
WARM_RUNS = 2
COARSE = 16

Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bench:
    """The device and sizes of the benchmark, and its lines so far.

    Attributes:
        image: (x, y, z) int16, HU.
        until: End of the time in which a part may begin, by time.monotonic.
    """

    device: torch.device
    narrow: bool
    image: NDArray[np.generic]
    until: float
    lines: list[str] = field(default_factory=list)

    @property
    def dtype(self) -> torch.dtype:
        """The type of features and logits."""
        return torch.float16 if self.device.type == "cuda" else torch.bfloat16

    def note(self, name: str, value: str) -> None:
        """Adds a line and prints it."""
        self.lines.append(f"{name:44}{value:>16}")
        print(self.lines[-1], flush=True)

    def has_time(self, part: str) -> bool:
        """Returns whether a part may begin; if not, the table names it."""
        if time.monotonic() < self.until:
            return True
        self.note(part, "left out: time")
        return False

    def wait(self) -> None:
        """Waits for a GPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints the table and returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--narrow", action="store_true", help="small networks and image")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        print(NO_GPU, file=sys.stderr)
        return ConfigError.exit_status
    bench = Bench(
        device=torch.device(given.device),
        narrow=given.narrow,
        image=_image(NARROW_SIZE if given.narrow else SIZE),
        until=time.monotonic() + 60 * given.minutes,
    )
    name = torch.cuda.get_device_name() if given.device == "cuda" else "rehearsal on the CPU"
    bench.note(f"torch {torch.__version__}, {name}, {torch.get_num_threads()} threads", "")
    for variant in (Variant.FAST, Variant.FULL):
        if bench.has_time(f"{variant}"):
            with tempfile.TemporaryDirectory() as folder:
                _measure(bench, variant, Path(folder))
    if given.output and given.device == "cuda":
        table = "\n".join(bench.lines)
        write_report(given.output, "Speed on a GPU", "benchmarks.gpu", __doc__ or "", table)
    return 0


def _image(size: tuple[int, int, int]) -> NDArray[np.generic]:
    """Returns smooth noise, (x, y, z) int16 with x innermost."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn((1, 1, *(n // COARSE + 2 for n in size[::-1])), generator=generator)
    smooth = functional.interpolate(400 * coarse, size=size[::-1], mode="trilinear")
    return smooth[0, 0].to(torch.int16).numpy().transpose(2, 1, 0)


def _measure(bench: Bench, variant: Variant, folder: Path) -> None:
    features = NARROW_FEATURES if bench.narrow else REAL_FEATURES
    build_models(
        folder,
        variant,
        patch_size=NARROW_PATCH if bench.narrow else PATCH_SIZES[variant],
        base_features=features,
        max_features=WIDEST * features,
    )
    task = load_task("total", variant)
    title = f"{variant}, {task.spacing_mm[0]:g} mm"
    begin = time.perf_counter()
    networks = Networks(task, folder, fallbacks=_fallbacks(bench, _Clock(bench.wait), timed=False))
    bench.wait()
    bench.note(f"{title}: networks loaded, s", f"{time.perf_counter() - begin:.2f}")
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    runs = [_study(bench, networks) for _ in range(1 + WARM_RUNS)]
    warm = min(seconds for _, seconds in runs[1:])
    bench.note(f"{title}: cold, s", f"{runs[0][1]:.2f}")
    bench.note(f"{title}: warm, s", f"{warm:.2f}")
    bench.note(f"{title}: voxels that differ when repeated", _differing(runs[1][0], runs[2][0]))
    if bench.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated() / 1e9
        bench.note(f"{title}: peak of the GPU's memory, GB", f"{peak:.1f}")
    _compare_resampling(bench, networks, title)
    if bench.has_time(f"{title}: nnU-Net"):
        _compare(bench, networks, folder, title, runs[1][0])
    if bench.has_time(f"{title}: stages"):
        _stages(bench, variant, folder, title)


def _fallbacks(bench: Bench, clock: "_Clock", *, timed: bool) -> Fallbacks:
    """Returns the options of a GPU alone, so that no CPU takes over; on a CPU, a rehearsal."""

    def options(
        load: Load, plans: Plans, _arithmetic: Arithmetic, _device: torch.device
    ) -> NetworkFallbacks:
        if not timed:
            return NetworkFallbacks(gpu_options(load, plans, bench.device, bench.dtype)[:1])
        option = NetworkOption(
            name="GPU",
            arithmetic="float16",
            build=lambda: _TimedNetwork(load(), bench, plans.patch_size[0], clock),
            sums_device=bench.device,
        )
        return NetworkFallbacks([option])

    return options


def _resampled(bench: Bench, networks: Networks) -> NDArray[np.generic]:
    """Returns the image of the networks, (z, y, x)."""
    spacing_mm = networks.task.spacing_mm
    return resample_image_on(bench.device, bench.image, ZOOMS_MM, spacing_mm).transpose(2, 1, 0)


def _study(bench: Bench, networks: Networks) -> tuple[Labels, float]:
    """Returns labels (z, y, x) at the networks' spacing, and the seconds with all resampling."""
    begin = time.perf_counter()
    labels = networks.predict(_resampled(bench, networks), lambda *_: None)
    resample_labels(labels.transpose(2, 1, 0), bench.image.shape)
    return labels, time.perf_counter() - begin


def _compare_resampling(bench: Bench, networks: Networks, title: str) -> None:
    begin = time.perf_counter()
    image = resample_image(bench.image, ZOOMS_MM, networks.task.spacing_mm)
    bench.note(f"{title}: image resampled by the CPU, s", f"{time.perf_counter() - begin:.3f}")
    differing = _differing(_resampled(bench, networks), image.transpose(2, 1, 0))
    bench.note(f"{title}: voxels that differ from the CPU's", differing)


def _compare(bench: Bench, networks: Networks, folder: Path, title: str, ours: Labels) -> None:
    image = _resampled(bench, networks)
    for n in range(2):
        begin = time.perf_counter()
        theirs = nnunet_labels(image, networks.task, folder, bench.device)
        seconds = time.perf_counter() - begin
        bench.note(f"{title}: nnU-Net, {('cold', 'warm')[n]}, s", f"{seconds:.2f}")
    begin = time.perf_counter()
    networks.predict(image, lambda *_: None)
    bench.note(f"{title}: the same part, ours, s", f"{time.perf_counter() - begin:.2f}")
    bench.note(f"{title}: voxels that differ from nnU-Net", _differing(ours, theirs))


def _differing(one: NDArray[np.generic], other: NDArray[np.generic]) -> str:
    return f"{np.count_nonzero(one != other):,} of {one.size:,}"


class _Clock:
    """Adds the seconds since the last mark to a stage."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self.seconds: dict[str, float] = {}
        self._wait = wait
        self._last = time.perf_counter()

    def mark(self, stage: str) -> None:
        """Ends a stage."""
        self._wait()
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


class _TimedNetwork(AutocastNetwork):
    """Marks the ends of the stages of a tile."""

    def __init__(
        self, network: torch.nn.Module, bench: Bench, planes_at_once: int, clock: _Clock
    ) -> None:
        super().__init__(network, bench.device, planes_at_once, bench.dtype)
        self._clock = clock

    def features(self, tile: torch.Tensor) -> torch.Tensor:
        """Returns the input of the last layer."""
        self._clock.mark("labels, margins, cutting")
        features = super().features(tile)
        self._clock.mark("networks")
        return features

    def logits(self, features: torch.Tensor, planes: slice) -> torch.Tensor:
        """Returns the logits of some planes."""
        logits = super().logits(features, planes)
        self._clock.mark("last layers")
        return logits


def _stages(bench: Bench, variant: Variant, folder: Path, title: str) -> None:
    clock = _Clock(bench.wait)
    networks = Networks(
        load_task("total", variant), folder, fallbacks=_fallbacks(bench, clock, timed=True)
    )
    clock.mark("")
    image = _resampled(bench, networks)
    clock.mark("resampling of the image")
    UploadedImage(image).on(bench.device)
    clock.mark("one upload of the image")
    labels = networks.predict(image, lambda *_: clock.mark("sums"))
    clock.mark("labels, margins, cutting")
    resample_labels(labels.transpose(2, 1, 0), bench.image.shape)
    clock.mark("resampling of the labels")
    for stage, seconds in clock.seconds.items():
        if stage:
            bench.note(f"{title}: {stage}, s", f"{seconds:.3f}")


if __name__ == "__main__":
    sys.exit(main())
