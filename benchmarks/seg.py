"""Measures seconds and memory from labels in memory to a SEG on disk, by the usual writers.

    python -m benchmarks.seg [--slices 200] [--size 512] [--runs 3]

A CT is written as a DICOM series, and labels of 117 ellipsoids for it. Each writer runs in a
process of its own, in turn, and is timed from the labels and the headers of the series in memory
to the file; TotalSegmentator's writer reads the series itself, dcmqi's command reads both from
disk. Memory is the additional memory of the process.
"""

import argparse
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

from benchmarks.seg_writer_adapters import WRITERS, Case
from tests.phantom.study import SeriesSpec, write_series
from tests.segmentations import TASK
from totalmap import log

FIELD_OF_VIEW_MM = 420.0
MEGABYTE = 2**20


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--writers", nargs="+", choices=WRITERS, default=list(WRITERS))
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    log.configure(level=logging.WARNING)
    if arguments.one:
        _run_here(arguments.writers[0], arguments.one)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frames = prepare(folder, arguments.slices, arguments.size)
        print(
            f"{os.cpu_count()} cores; {arguments.slices} slices of {arguments.size} x "
            f"{arguments.size}, {len(TASK.structures)} structures, {frames} frames; median of "
            f"{arguments.runs} runs"
        )
        print(f"{'':28}{'seconds':>9}{'range':>14}{'MB':>8}{'file MB':>9}   of ours")
        runs = [[_run(name, folder) for name in arguments.writers] for _ in range(arguments.runs)]
        best = statistics.median(seconds for seconds, _, _ in (run[0] for run in runs))
        for name, of_one in zip(arguments.writers, zip(*runs, strict=True), strict=True):
            print(_line(name, list(of_one), best))


def _line(name: str, runs: list[tuple[float, float, float]], best: float) -> str:
    seconds, memory, size = zip(*runs, strict=True)
    median = statistics.median(seconds)
    spread = f"{min(seconds):.2f}-{max(seconds):.2f}"
    return (
        f"{name:28}{median:9.2f}{spread:>14}{max(memory):8.0f}{size[0]:9.1f}   {median / best:.1f}x"
    )


def ellipsoids(shape: tuple[int, int, int], count: int) -> NDArray[np.uint8]:
    """Returns (k, j, i) labels 1..count, each an ellipsoid of about the size of an organ.

    The largest come first, so that no ellipsoid hides another.
    """
    labels = np.zeros(shape, dtype=np.uint8)
    generator = np.random.default_rng(0)
    size = np.array(shape)
    radii = np.maximum(generator.uniform(0.02, 0.2, (count, 3)) * size, 2.0)
    largest_first = radii[radii.prod(axis=1).argsort()[::-1]]
    for label, radius in enumerate(largest_first, start=1):
        centre = generator.uniform(0.2, 0.8, 3) * size
        low = np.maximum(centre - radius, 0).astype(int)
        high = np.minimum(centre + radius + 1, size).astype(int)
        axes = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        distance = sum(
            ((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radius, strict=True)
        )
        box = labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        box[distance <= 1] = label
    return labels


def thin_series(slices: int, size: int) -> SeriesSpec:
    """Returns the specification of a series of slices every 1.5 mm, of size x size pixels."""
    return SeriesSpec(
        rows=size,
        columns=size,
        n_slices=slices,
        pixel_spacing_mm=(FIELD_OF_VIEW_MM / size,) * 2,
        slice_spacing_mm=1.5,
        slice_thickness_mm=1.5,
    )


def prepare(folder: Path, slices: int, size: int) -> int:
    """Writes a CT series and labels for it, see `Case`, and returns its number of SEG frames."""
    write_series(folder / "ct", 0, thin_series(slices, size))
    labels = ellipsoids((slices, size, size), len(TASK.structures))
    np.save(folder / "labels.npy", labels)
    return sum(len(np.unique(plane)) - 1 for plane in labels)


def _run(name: str, folder: Path) -> tuple[float, float, float]:
    """Returns seconds, MB of additional memory, and MB of the file."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.seg",
        "--writers",
        name,
        "--one",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    seconds, memory, size = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory, size


def _run_here(name: str, folder: Path) -> None:
    write = WRITERS[name](Case(folder))
    with tempfile.TemporaryDirectory() as out:
        path = Path(out) / "seg.dcm"
        before = begin_peak()
        start = time.perf_counter()
        write(path)
        seconds = time.perf_counter() - start
        memory = peak_megabytes() - before
        frames = int(pydicom.dcmread(path, stop_before_pixels=True).NumberOfFrames)
        if frames <= 0:
            raise SystemExit(f"{name} wrote no frame")
        print(json.dumps([seconds, memory, path.stat().st_size / MEGABYTE]))


def begin_peak() -> float:
    """Resets the peak memory (proc(5), clear_refs), and returns the present memory in MB."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_megabytes()


def peak_megabytes() -> float:
    """Returns the highest memory of this process since `begin_peak`, in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
