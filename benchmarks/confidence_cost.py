"""Measures the seconds that margins and a second opinion cost.

    python -m benchmarks.confidence_cost [--runs 5] [--output FILE]

The first table is the last step of a network with 118 channels on an image of 231 x 243 x 243
voxels: from the sums of its logits to labels. `torch.max` is the way without margins. Both ways get
the same random planes in turn; the labels have to be equal. Seconds are those of the fastest run,
by the clock and by the processors, and by the clock of the median run.
The second table is a CT of 512 x 512 x 300 voxels of 0.8 x 0.8 x 1.5 mm in exact arithmetic with
random networks of the real size: the seconds of one tile, with the labels of its planes, times the
number of tiles.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.speed.network_sizes import PATCH_SIZES, REAL_FEATURES, WIDEST
from benchmarks.write_report import write_report
from tests.networks import STAGES, build_task
from totalmap.engine.logit_margins import MarginSums
from totalmap.engine.predict import Networks
from totalmap.engine.sliding_window import top_two
from totalmap.engine.tasks import load_task
from totalmap.engine.tile_layout import tiles
from totalmap.settings import Device, Variant

SHAPE = (231, 243, 243)
HEADS = 118
DIFFERENT_PLANES = 8
CT_SIZE_MM = (300 * 1.5, 512 * 0.8, 512 * 0.8)

Labels = NDArray[np.uint8]
Step = Callable[[torch.Tensor, torch.Tensor], Labels]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """The seconds of one run over all planes."""

    clock: float
    processors: float


def main() -> None:
    """Measures, prints the tables, and writes them to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path, help="also write the tables to this file")
    given = parser.parse_args()
    table = f"{_argmax(given.runs)}\n\n{_second_opinion(given.runs)}"
    print(table)
    if given.output:
        title = "Margins and a second opinion"
        write_report(given.output, title, "benchmarks.confidence_cost", __doc__, table)


@torch.inference_mode()
def _argmax(runs: int) -> str:
    generator = torch.Generator().manual_seed(0)
    planes = torch.randn((DIFFERENT_PLANES, HEADS, *SHAPE[1:]), generator=generator).half()
    weights = 1 + torch.rand((DIFFERENT_PLANES, 1, *SHAPE[1:]), generator=generator).half()
    steps: dict[str, Step] = {
        "torch.max, labels alone": _by_max,
        "running maximum": _by_top_two,
        "running maximum, margins summed": _with_sums,
    }
    measured: dict[str, list[Seconds]] = {name: [] for name in steps}
    for _ in range(runs):
        found = []
        for name, step in steps.items():
            labels, seconds = _walk(step, planes, weights)
            measured[name].append(seconds)
            found.append(labels)
        if any(not np.array_equal(found[0], other) for other in found[1:]):
            raise SystemExit("labels differ")
    lines = [f"{torch.get_num_threads()} threads; labels equal    seconds  processors  median"]
    for name, all_runs in measured.items():
        best = min(run.clock for run in all_runs)
        processors = min(run.processors for run in all_runs)
        median = statistics.median(run.clock for run in all_runs)
        lines.append(f"{name:33}{best:10.2f}{processors:12.2f}{median:8.2f}")
    return "\n".join(lines)


def _walk(step: Step, planes: torch.Tensor, weights: torch.Tensor) -> tuple[Labels, Seconds]:
    """Returns the labels of the different planes, and the seconds of all of them."""
    clock = processors = 0.0
    labels = []
    for z in range(SHAPE[0]):
        row = slice(z % DIFFERENT_PLANES, z % DIFFERENT_PLANES + 1)
        sums = planes[row].clone()  # a step changes the copy
        before, busy = time.perf_counter(), time.process_time()
        found = step(sums, weights[row])
        clock += time.perf_counter() - before
        processors += time.process_time() - busy
        if z < DIFFERENT_PLANES:
            labels.append(found)
    return np.concatenate(labels), Seconds(clock=clock, processors=processors)


def _by_max(sums: torch.Tensor, weights: torch.Tensor) -> Labels:
    sums /= weights
    largest = sums.max(1)
    if not torch.isfinite(largest.values).all():
        raise SystemExit("random numbers are finite")
    labels: Labels = largest.indices.to(torch.uint8).numpy()
    return labels


def _by_top_two(sums: torch.Tensor, weights: torch.Tensor) -> Labels:
    labels: Labels = top_two(sums, weights).labels.numpy()
    return labels


def _with_sums(sums: torch.Tensor, weights: torch.Tensor) -> Labels:
    found = top_two(sums, weights)
    everything = slice(None)
    margins = MarginSums((slice(0, 1), everything, everything))
    margins.add(slice(0, 1), found.labels, found.margins)
    labels: Labels = found.labels.numpy()
    return labels


def _second_opinion(runs: int) -> str:
    lines = ["                    networks   tiles   seconds a tile   seconds"]
    totals = []
    for variant in (Variant.FULL, Variant.FAST):
        task = load_task("total", variant)
        shape = tuple(round(mm / task.spacing_mm[0]) for mm in CT_SIZE_MM)
        patch = PATCH_SIZES[variant]
        count = len(tiles(tuple(map(max, shape, patch)), patch, task.step_size))
        seconds = _tile_seconds(variant, runs)
        networks = len(task.models)
        totals.append(networks * count * seconds)
        title = f"{variant}, {task.spacing_mm[0]} mm"
        lines.append(f"{title:20}{networks:8}{count:8}{seconds:17.2f}{totals[-1]:10.0f}")
    lines.append(f"second opinion: {totals[1] / totals[0]:.1%} of the networks' time on top")
    return "\n".join(lines)


def _tile_seconds(variant: Variant, runs: int) -> float:
    """Returns the median seconds of a tile, without the first run, which proves shortcuts."""
    task = load_task("total", variant)
    one = replace(task, models=task.models[:1])
    with tempfile.TemporaryDirectory() as name:
        models = build_task(
            Path(name),
            one,
            patch_size=PATCH_SIZES[variant],
            base_features=REAL_FEATURES,
            max_features=WIDEST * REAL_FEATURES,
            stages=STAGES[variant],
        )
        networks = Networks(one, models, device=Device.CPU)
    rng = np.random.default_rng(0)
    image = rng.integers(-1000, 1000, PATCH_SIZES[variant], dtype=np.int32)
    taken = []
    for _ in range(runs + 1):
        before = time.perf_counter()
        networks.predict(image, lambda _done, _total: None)
        taken.append(time.perf_counter() - before)
    return statistics.median(taken[1:])


if __name__ == "__main__":
    main()
