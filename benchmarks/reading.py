"""Measures the seconds from DICOM files to an array in memory: ours, SimpleITK, dicom2nifti.

    python -m benchmarks.reading [--slices 500] [--size 512] [--compressed 100]
        [--runs 5]

TotalMAP reads every header, splits, audits and chooses as the application does. SimpleITK does what
its documentation shows for a series. dicom2nifti is called as TotalSegmentator calls it, and its
result is loaded with nibabel. All read the same files in turn, after one run each that is not
counted, so the files are in the disk cache; dicom2nifti is slow and runs twice. The arrays have
to be equal.
"""

import argparse
import logging
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dicom2nifti  # type: ignore[import-untyped]
import nibabel
import numpy as np
import SimpleITK as sitk  # noqa: N813  its usual name
from numpy.typing import NDArray
from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.phantom import SeriesSpec, write_series
from tests.transfer_syntaxes import transcode
from totalmap import log
from totalmap.dicom.geometry import to_las
from totalmap.dicom.series_selection import judge, selected
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import Volume, build_volume
from totalmap.selection_settings import SelectionSection
from totalmap.settings import GeometrySection

COMPRESSED = (RLELossless, JPEGLSLossless, JPEGLosslessSV1, JPEG2000Lossless, HTJ2KLossless)
SLOW_RUNS = 2
FIELD_OF_VIEW_MM = 420.0
PARTS = ("headers", "choice", "pixels")

Array = NDArray[np.generic]


def main() -> None:
    """Measures and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, default=500)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--compressed", type=int, default=100, help="slices of these series")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    log.configure(level=logging.WARNING)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # type: ignore[no-untyped-call]
    print(f"{os.cpu_count()} cores, {platform.machine()}, median of {arguments.runs} runs, seconds")
    with tempfile.TemporaryDirectory() as folder:
        _native(Path(folder), arguments.slices, arguments.size, arguments.runs)
    with tempfile.TemporaryDirectory() as folder:
        _compressed(Path(folder), arguments.compressed, arguments.size, arguments.runs)


def _native(folder: Path, slices: int, size: int, runs: int) -> None:
    source, result = folder / "in", folder / "out.nii.gz"
    _write(source, slices, size)
    ours, voxels = _ours(source)[0], _sitk(source)
    _require_equal(ours.voxels, voxels, "SimpleITK")
    converted = _dicom2nifti(source, result)
    _require_equal(to_las(ours.voxels, ours.geometry)[0], converted, "dicom2nifti")
    del ours, voxels, converted
    times: dict[str, list[float]] = {"SimpleITK": [], "dicom2nifti": []}
    parts: list[tuple[float, ...]] = []
    for run in range(runs):
        parts.append(_ours(source)[1])
        times["SimpleITK"].append(_seconds(lambda: _sitk(source)))
        if run < SLOW_RUNS:
            times["dicom2nifti"].append(_seconds(lambda: _dicom2nifti(source, result)))
    total = statistics.median(sum(seconds) for seconds in parts)
    print(f"\n{slices} slices of {size} x {size}, explicit VR little endian")
    print(f"  {'ours':12} {total:7.2f}")
    for name, column in zip(PARTS, zip(*parts, strict=True), strict=True):
        print(f"    {name:10} {statistics.median(column):7.2f}")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"  {name:12} {median:7.2f}   {median / total:5.1f} x ours")


def _compressed(folder: Path, slices: int, size: int, runs: int) -> None:
    print(f"\n{slices} slices of {size} x {size}{'':16}  ours   SimpleITK")
    for syntax in COMPRESSED:
        source = folder / syntax.keyword
        paths, hu = _write(source, slices, size)
        for path in paths:
            transcode(path, syntax)
        _require_equal(_ours(source)[0].voxels, hu, "the truth")
        print(f"  {syntax.keyword:32} {_pair(source, hu, runs)}")


def _pair(source: Path, hu: Array, runs: int) -> str:
    """Returns our seconds, SimpleITK's and their ratio; only ours if SimpleITK can't read."""
    can_read = _can_read(source, hu)
    pairs = [
        (sum(_ours(source)[1]), _seconds(lambda: _sitk(source)) if can_read else 0.0)
        for _ in range(runs)
    ]
    ours, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    return f"{ours:6.2f}   " + (f"{peer:6.2f}   {peer / ours:5.1f} x ours" if can_read else "none")


def _can_read(source: Path, hu: Array) -> bool:
    """Returns whether SimpleITK reads a series correctly."""
    try:
        return np.array_equal(_sitk(source), hu)
    except RuntimeError:
        return False


def _write(folder: Path, slices: int, size: int) -> tuple[tuple[Path, ...], Array]:
    spacing_mm = FIELD_OF_VIEW_MM / size
    spec = SeriesSpec(
        rows=size,
        columns=size,
        n_slices=slices,
        pixel_spacing_mm=(spacing_mm, spacing_mm),
        slice_spacing_mm=1.0,
        slice_thickness_mm=1.0,
    )
    written = write_series(folder, 0, spec)
    return written.paths, written.hu


def _ours(source: Path) -> tuple[Volume, tuple[float, ...]]:
    """Returns the volume, and the seconds for headers, choice and pixels."""
    marks = [time.perf_counter()]
    study = read_study(source)
    marks.append(time.perf_counter())
    policy = GeometrySection()
    (selection,) = selected(judge(study, SelectionSection(), policy))
    marks.append(time.perf_counter())
    volume = build_volume(selection, policy)
    marks.append(time.perf_counter())
    return volume, tuple(float(seconds) for seconds in np.diff(marks))


def _sitk(source: Path) -> Array:
    reader = sitk.ImageSeriesReader()  # type: ignore[no-untyped-call]
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(source)))  # type: ignore[no-untyped-call]
    voxels: Array = sitk.GetArrayFromImage(reader.Execute())  # type: ignore[no-untyped-call]
    return voxels


def _dicom2nifti(source: Path, result: Path) -> Array:
    dicom2nifti.dicom_series_to_nifti(source, result, reorient_nifti=True)
    return np.asanyarray(nibabel.load(result).dataobj)


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _require_equal(ours: Array, theirs: Array, peer: str) -> None:
    if not np.array_equal(ours, theirs):
        raise SystemExit(f"our array and that of {peer} differ")


if __name__ == "__main__":
    main()
