"""Measures the seconds and the size of an overlay.

    python -m benchmarks.overlay [--slices 300] [--size 512] [--runs 3]

The first study is the CT of benchmarks/seg.py with ellipsoids of 117 structures. The second is the
real CT of TotalSegmentator's repository, if it is there, with the labels that come with it. The
seconds include painting, writing, reading back and the release, but not measuring the structures.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np

from benchmarks.seg import ellipsoids, thin_series
from tests.conftest import REAL_DATA
from tests.phantom.study import write_series
from tests.segmentations import TASK, segmentation_with, volume_of
from totalmap import log
from totalmap.dicom.geometry import from_canonical
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.overlay.writer import write_overlay

MEGABYTE = 1e6
USUAL_SLICES = 300


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, default=USUAL_SLICES)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    log.configure(level=logging.WARNING)
    print(f"{os.cpu_count()} cores; median of {arguments.runs} runs\n")
    print(f"| study | structures | seconds | MB | MB without compression | MB / {USUAL_SLICES} |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synthetic = _synthetic(folder / "ct", arguments.slices, arguments.size)
        _measure("synthetic CT", synthetic, folder / "out", arguments.runs)
        if REAL_DATA.is_dir():
            _measure("real CT", _real(), folder / "out", arguments.runs)


def _synthetic(folder: Path, slices: int, size: int) -> Segmentation:
    write_series(folder, 0, thin_series(slices, size))
    labels = ellipsoids((slices, size, size), len(TASK.structures))
    return segmentation_with(volume_of(folder), labels)


def _real() -> Segmentation:
    volume = volume_of(REAL_DATA / "ct_dicom")
    image = nibabel.load(REAL_DATA / "ct_dicom_reference_labels.nii.gz")
    canonical = np.asarray(nibabel.as_closest_canonical(image).dataobj)
    return segmentation_with(volume, from_canonical(canonical, volume.geometry).copy())


def _measure(name: str, segmentation: Segmentation, output: Path, runs: int) -> None:
    """Prints the line of a study."""
    segmentation.found()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        with open_release(output) as release:
            write_overlay(segmentation, Settings(), release)
            release.publish({})
        seconds.append(time.perf_counter() - start)
    size = sum(path.stat().st_size for path in output.rglob("*.dcm")) / MEGABYTE
    slices, rows, columns = segmentation.labels.shape
    print(
        f"| {name}, {slices} slices of {rows} x {columns} | {len(segmentation.found())} "
        f"| {statistics.median(seconds):.2f} | {size:.1f} "
        f"| {3 * segmentation.labels.size / MEGABYTE:.0f} | {size / slices * USUAL_SLICES:.1f} |"
    )


if __name__ == "__main__":
    main()
