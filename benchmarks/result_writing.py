"""Measures the seconds from finished labels to all released results, for each kind of result.

    python -m benchmarks.result_writing [--slices 200] [--size 512] [--runs 3]

The CT is that of benchmarks/seg.py. The labels are ellipsoids on a grid of 1.6 mm
within the slices, resampled to the pixels of 0.8 mm as the engine does. The seconds include
measuring the structures, writing, reading back, comparing and the release, but not reading and
segmenting the study.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.seg import MEGABYTE, ellipsoids, prepare
from tests.segmentations import TASK, segmentation_with, volume_of
from totalmap import log
from totalmap.dicom.volume import Volume
from totalmap.run_log import Result
from totalmap.segmentation import InferenceLabels, Segmentation
from totalmap.settings import USUAL_RESULTS, ResultKind, Settings
from totalmap.writers.all_or_nothing import Release, open_release
from totalmap.writers.html_report import write_report
from totalmap.writers.measurements_csv import write_measurements_csv
from totalmap.writers.nifti import write_nifti
from totalmap.writers.pdf.writer import write_pdf
from totalmap.writers.preview.writer import write_preview
from totalmap.writers.rtstruct.writer import write_rtstruct
from totalmap.writers.seg.binary import write_seg
from totalmap.writers.sr.writer import write_sr

Write = Callable[[Segmentation, Settings, Release], Result | tuple[Result, ...]]

WRITERS: Mapping[ResultKind, Write] = {
    ResultKind.SEG: write_seg,
    ResultKind.SR: write_sr,
    ResultKind.RTSTRUCT: write_rtstruct,
    ResultKind.PREVIEW: write_preview,
    ResultKind.REPORT: write_report,
    ResultKind.PDF: write_pdf,
    ResultKind.CSV: lambda segmentation, _, release: write_measurements_csv(segmentation, release),
    ResultKind.NIFTI: write_nifti,
}


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    log.configure(level=logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, arguments.slices, arguments.size)
        segmentation = _segmentation(volume_of(folder / "ct"))
        runs = [_run(replace(segmentation), folder / f"out{n}") for n in range(arguments.runs)]
        frames = sum(len(np.unique(plane)) - 1 for plane in segmentation.labels)
        print(
            f"{os.cpu_count()} cores; {arguments.slices} slices of {arguments.size} x "
            f"{arguments.size}, {len(segmentation.found())} structures, {frames} SEG frames; "
            f"median of {arguments.runs} runs\n"
        )
        print("| | seconds |\n| --- | --- |")
        for step in runs[0]:
            print(f"| {step} | {statistics.median(run[step] for run in runs):.2f} |")
        print(f"| all | {statistics.median(sum(run.values()) for run in runs):.2f} |")
        size = sum(path.stat().st_size for path in (folder / "out0").rglob("*") if path.is_file())
        print(f"\n{size / MEGABYTE:.0f} MB")


def _segmentation(volume: Volume) -> Segmentation:
    """Returns labels that a network found on a grid of twice the pixels' size."""
    slices, rows, columns = volume.geometry.shape
    found = ellipsoids((slices, rows // 2, columns // 2), len(TASK.structures))
    labels = found.repeat(2, axis=1).repeat(2, axis=2)
    affine_lps = volume.geometry.affine_lps @ np.diag([2.0, 2.0, 1.0, 1.0])
    affine_lps[:3, 3] += volume.geometry.affine_lps[:3, :2].sum(axis=1) / 2  # centre of four pixels
    inference = InferenceLabels(labels=found.transpose(2, 1, 0), affine_lps=affine_lps)
    return replace(segmentation_with(volume, labels), inference=inference)


def _run(segmentation: Segmentation, output: Path) -> Mapping[str, float]:
    """Returns the seconds of each step."""
    settings = Settings()
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    segmentation.found()
    seconds["measuring"] = time.perf_counter() - start
    with open_release(output) as release:
        for kind in USUAL_RESULTS:
            start = time.perf_counter()
            WRITERS[kind](segmentation, settings, release)
            seconds[kind] = time.perf_counter() - start
        start = time.perf_counter()
        release.publish({})
        seconds["release"] = time.perf_counter() - start
    return seconds


if __name__ == "__main__":
    main()
