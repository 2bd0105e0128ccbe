"""Measures seconds and memory from labels in memory to an RTSTRUCT on disk: TotalMAP, rt-utils.

    python -m benchmarks.rtstruct [--slices 200] [--size 512] [--runs 3]
        [--output FILE]

The CT and the labels are those of benchmarks.seg. Each writer runs in a process of
its own, in turn, and is timed from the labels and the headers of the series in memory to the file.
TotalSegmentator writes its contours with rt-utils; the options are the same. The time in which
rt-utils reads the series is not counted. TotalMAP is timed without and with reading back the
written object; rt-utils does not read it back. The Dice is the lowest of all structures, between
the labels and the masks that plastimatch makes from the contours.
"""

import argparse
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.seg import MEGABYTE, begin_peak, peak_megabytes, prepare
from benchmarks.seg_writer_adapters import Case, Write
from benchmarks.write_report import write_report
from tests.readers import read_by_plastimatch
from tests.segmentations import TASK
from totalmap import log
from totalmap.settings import Settings

Measured = tuple[float, float, float]
"""Seconds, MB of additional memory, MB of the file."""


def main() -> None:
    """Measures, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    parser.add_argument("--writer", choices=WRITERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    log.configure(level=logging.WARNING)
    if given.writer:
        _run_here(given.writer, given.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        table = _race(Path(name), given.slices, given.size, given.runs)
    print(table)
    if given.output:
        write_report(
            given.output,
            "Writers of RTSTRUCT",
            "benchmarks.rtstruct",
            __doc__,
            table,
        )


def _race(folder: Path, slices: int, size: int, runs: int) -> str:
    frames = prepare(folder, slices, size)
    found = np.count_nonzero(np.unique(Case(folder).labels))  # some are hidden by others
    lines = [
        f"{os.cpu_count()} cores; {slices} slices of {size} x {size}, {found} "
        f"structures, {frames} masks of slices; median of {runs} runs",
        f"{'':20}{'seconds':>9}{'range':>14}{'MB':>8}{'file MB':>9}{'of ours':>9}   lowest Dice",
    ]
    rounds = [[_run(name, folder) for name in WRITERS] for _ in range(runs)]
    best = statistics.median(measured[0][0] for measured in rounds)
    lines += [
        _line(name, list(of_one), best, _lowest_dice(name, folder))
        for name, of_one in zip(WRITERS, zip(*rounds, strict=True), strict=True)
    ]
    return "\n".join(lines)


def _line(name: str, runs: list[Measured], best: float, dice: str) -> str:
    seconds, memory, size = zip(*runs, strict=True)
    median = statistics.median(seconds)
    spread = f"{min(seconds):.2f}-{max(seconds):.2f}"
    return (
        f"{name:20}{median:9.2f}{spread:>14}{max(memory):8.0f}{size[0]:9.1f}"
        f"{median / best:8.1f}x   {dice}"
    )


def _run(name: str, folder: Path) -> Measured:
    command = [sys.executable, "-m", "benchmarks.rtstruct", "--writer", name]
    command += ["--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    seconds, memory, size = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory, size


def _run_here(name: str, folder: Path) -> None:
    write = WRITERS[name](Case(folder))
    path = _file_of(name, folder)
    before = begin_peak()
    start = time.perf_counter()
    write(path)
    seconds = time.perf_counter() - start
    memory = peak_megabytes() - before
    print(json.dumps([seconds, memory, path.stat().st_size / MEGABYTE]))


def _file_of(name: str, folder: Path) -> Path:
    return folder / f"{name}.dcm"


def _lowest_dice(name: str, folder: Path) -> str:
    """Returns the lowest Dice of a structure; one without contours has 0."""
    if shutil.which("plastimatch") is None:
        return "plastimatch is not installed"
    case = Case(folder)
    dice = dict.fromkeys(np.unique(case.labels[case.labels > 0]).tolist(), 0.0)
    for label, mask in read_by_plastimatch(_file_of(name, folder), folder, case.series):
        expected = case.labels == label
        both = int(np.count_nonzero(mask)) + int(np.count_nonzero(expected))
        dice[label] = 2 * int(np.count_nonzero(mask & expected)) / both
    return f"{min(dice.values()):.4f}"


def _totalmap(case: Case) -> Write:
    from totalmap.writers.rtstruct.writer import encode_rtstruct

    segmentation = case.segmentation

    def write(path: Path) -> None:
        with path.open("wb") as file:
            encode_rtstruct(segmentation, Settings()).write(file)

    return write


def _totalmap_checked(case: Case) -> Write:
    from totalmap.writers.all_or_nothing import open_release
    from totalmap.writers.rtstruct.writer import write_rtstruct

    segmentation = case.segmentation
    segmentation.found()  # known from the SEG in a run

    def write(path: Path) -> None:
        with open_release(path.with_suffix("")) as release:
            (result,) = write_rtstruct(segmentation, Settings(), release)
            release.publish({})
        (path.with_suffix("") / result.path).replace(path)

    return write


def _rt_utils(case: Case) -> Write:
    from rt_utils import RTStructBuilder

    builder = RTStructBuilder.create_new(dicom_series_path=str(case.series))
    names = {structure.label: structure.name for structure in TASK.structures}
    labels = case.labels.transpose(1, 2, 0)

    def write(path: Path) -> None:
        for label, name in names.items():
            mask = labels == label
            if mask.any():
                builder.add_roi(mask=mask, name=name)
        builder.save(str(path))

    return write


WRITERS: dict[str, Callable[[Case], Write]] = {
    "TotalMAP": _totalmap,
    "TotalMAP, checked": _totalmap_checked,
    "rt-utils": _rt_utils,
}


if __name__ == "__main__":
    main()
