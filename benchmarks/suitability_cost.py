"""Measures seconds and memory to assess the suitability of a CT whose volume is in memory.

    python -m benchmarks.suitability_cost [--slices 300] [--size 512] [--runs 9] [--output FILE]

A phantom is written as a DICOM series and read; this is not timed. Then its headers and voxels are
judged; the first run is not counted. MB is the additional memory of the process.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.seg import begin_peak, peak_megabytes, thin_series
from benchmarks.write_report import write_report
from tests.phantom.study import write_series
from totalmap import log
from totalmap.dicom.series_selection import judge, selected
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import Volume, build_volume
from totalmap.quality.suitability.assess_suitability import assess_suitability
from totalmap.selection_settings import SelectionSection
from totalmap.settings import GeometrySection


def main() -> None:
    """Measures, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    log.configure(level=logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        volume = _volume(Path(name), given.slices, given.size)
        table = _measured(volume, given.runs)
    print(table)
    if given.output:
        title = "Suitability of a CT"
        write_report(given.output, title, "benchmarks.suitability_cost", __doc__, table)


def _volume(folder: Path, slices: int, size: int) -> Volume:
    write_series(folder, 0, thin_series(slices, size))
    policy = GeometrySection()
    (selection,) = selected(judge(read_study(folder), SelectionSection(), policy))
    return build_volume(selection, policy)


def _measured(volume: Volume, runs: int) -> str:
    before = begin_peak()
    findings = assess_suitability(volume, "total")
    memory = peak_megabytes() - before
    seconds = [_seconds(volume) for _ in range(runs)]
    shape = " x ".join(map(str, volume.voxels.shape))
    return (
        f"{os.cpu_count()} cores; {shape} voxels, {len(findings)} findings; median of {runs} runs\n"
        f"{statistics.median(seconds):.3f} s ({min(seconds):.3f}-{max(seconds):.3f}), "
        f"{memory:.0f} MB"
    )


def _seconds(volume: Volume) -> float:
    start = time.perf_counter()
    assess_suitability(volume, "total")
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
