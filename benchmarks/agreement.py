"""Measures seconds and memory to compare two label volumes in memory, by `totalmap compare`.

    python -m benchmarks.agreement [--slices 300] [--size 512] [--runs 5] [--output FILE]

The labels are 117 ellipsoids of the size of organs. The second volume is the first one, moved by a
voxel along its rows and its columns, so that all surfaces differ. "Dice and volumes" counts all
pairs of labels in one pass, "all metrics" adds NSD and HD95. The first run is not counted; MB is
the additional memory of the process. At the end, NSD and HD95 of ten structures are compared with
those of the package surface-distance itself.
"""

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.seg import begin_peak, ellipsoids, peak_megabytes
from benchmarks.write_report import write_report
from tests.segmentations import TASK
from totalmap.agreement import DEFAULT_TOLERANCE_MM
from totalmap.agreement.compare_masks import Agreement, compare_masks
from totalmap.agreement.structure_masks import Place, StructureMasks
from totalmap.dicom.geometry import Geometry

FIELD_OF_VIEW_MM = 420.0
SLICE_MM = 1.5
COMPARED_WITH_PACKAGE = 10


def main() -> None:
    """Measures, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    a, b = _sides(given.slices, given.size)
    table = _measured(a, b, given.runs)
    print(table)
    if given.output:
        title = "Agreement of two results"
        write_report(given.output, title, "benchmarks.agreement", __doc__, table)


def _sides(slices: int, size: int) -> tuple[StructureMasks, StructureMasks]:
    labels = ellipsoids((slices, size, size), len(TASK.structures))
    voxel_mm = FIELD_OF_VIEW_MM / size
    geometry = Geometry.regular(np.diag([voxel_mm, voxel_mm, SLICE_MM, 1.0]), labels.shape)
    places = {structure.name: Place(0, structure.label) for structure in TASK.structures}
    moved = np.roll(labels, (1, 1), axis=(1, 2))
    a, b = (
        StructureMasks(form="NIfTI", layers=(array,), places=places, geometry=geometry)
        for array in (labels, moved)
    )
    return a, b


def _measured(a: StructureMasks, b: StructureMasks, runs: int) -> str:
    lines = [
        f"{os.cpu_count()} cores; {' x '.join(map(str, a.geometry.shape))} voxels, "
        f"{len(a.places)} structures; median of {runs} runs"
    ]
    agreement = None
    for title, tolerance_mm in (("Dice and volumes", None), ("all metrics", DEFAULT_TOLERANCE_MM)):

        def compare(tolerance_mm: float | None = tolerance_mm) -> Agreement:
            return compare_masks(a, b, tolerance_mm=tolerance_mm)

        before = begin_peak()
        agreement = compare()
        memory = peak_megabytes() - before
        seconds = [_seconds(compare) for _ in range(runs)]
        spread = f"({min(seconds):.2f}-{max(seconds):.2f})"
        lines.append(
            f"{title:18} {statistics.median(seconds):6.2f} s {spread:>15} {memory:6.0f} MB"
        )
    if agreement is not None:
        lines.append(_difference(a, b, agreement))
    return "\n".join(lines)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _difference(a: StructureMasks, b: StructureMasks, agreement: Agreement) -> str:
    """Compares some structures with the package; it searches distances in its own way."""
    from surface_distance import metrics

    own, largest = 0.0, 0.0
    found = [row for row in agreement.structures if row.hd95_mm is not None]
    compared = found[:: max(len(found) // COMPARED_WITH_PACKAGE, 1)][:COMPARED_WITH_PACKAGE]
    for row in compared:
        label = a.places[row.name].label
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            start = time.perf_counter()
            distances = metrics.compute_surface_distances(
                a.layers[0] == label, b.layers[0] == label, a.geometry.spacing_mm[::-1]
            )
            hd95_mm = metrics.compute_robust_hausdorff(distances, 95)
            nsd = metrics.compute_surface_dice_at_tolerance(distances, agreement.tolerance_mm)
            own += time.perf_counter() - start
        largest = max(largest, abs(hd95_mm - (row.hd95_mm or 0.0)), abs(nsd - (row.nsd or 0.0)))
    return (
        f"surface-distance itself: {own / len(compared):.2f} s a structure; largest difference of "
        f"{len(compared)} structures {largest:.0e}"
    )


if __name__ == "__main__":
    main()
