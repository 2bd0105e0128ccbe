"""Tests that synthetic DICOM studies are valid, repeatable, and agree with their labels."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from totalsegmentator.map_to_binary import class_map

from tests.phantom import (
    CORONAL,
    SeriesSpec,
    WrittenSeries,
    WrittenStudy,
    write_series,
    write_study,
)
from tests.phantom.__main__ import main
from tests.phantom.modules import PATIENT_ID, PATIENT_NAME
from tests.phantom.study import decimal

NUMBERS = {name: number for number, name in class_map["total"].items()}
SMALL = SeriesSpec(rows=48, columns=64, n_slices=12, pixel_spacing_mm=(7.0, 5.5))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    folder = tmp_path_factory.mktemp("study")
    return write_study(folder, 4, size=64, n_slices=24, slice_spacing_mm=10, thick_mm=20)


def all_series(study: WrittenStudy) -> list[WrittenSeries]:
    return [study.localizer, study.thin_soft, study.thin_sharp, study.thick]


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_one_seed_writes_the_same_bytes_of_a_phantom_study(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_study(tmp_path / name, 9, size=32, n_slices=8)
    first, second = files_of(tmp_path / "a"), files_of(tmp_path / "b")
    assert [p.relative_to(tmp_path / "a") for p in first] == [
        p.relative_to(tmp_path / "b") for p in second
    ]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


def test_uids_of_a_phantom_study_are_unique_and_valid(study: WrittenStudy) -> None:
    datasets = [pydicom.dcmread(path) for path in files_of(study.folder)]
    sop_uids = [ds.SOPInstanceUID for ds in datasets]
    assert len(set(sop_uids)) == len(sop_uids)
    assert len({ds.SeriesInstanceUID for ds in datasets}) == 5
    assert {ds.StudyInstanceUID for ds in datasets} == {study.study_uid}
    for ds in datasets:
        assert ds.SOPInstanceUID.is_valid
        assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID
        assert (ds.PatientName, ds.PatientID) == (PATIENT_NAME, PATIENT_ID)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is missing")
def test_dciodvfy_finds_no_error_in_a_phantom_study(study: WrittenStudy, tmp_path: Path) -> None:
    tilted = write_series(tmp_path, 4, SeriesSpec(rows=32, columns=32, orientation=CORONAL))
    paths = [series.paths[-1] for series in (*all_series(study), tilted)]
    for path in [*paths, study.dose_report]:
        result = subprocess.run(
            ["dciodvfy", str(path)], capture_output=True, text=True, check=False
        )
        errors = [line for line in result.stderr.splitlines() if line.startswith("Error")]
        assert errors == [], path.name


def test_labels_of_the_phantom_are_in_the_order_of_the_slices(study: WrittenStudy) -> None:
    for series in all_series(study):
        spec, affine = series.spec, series.affine_lps
        assert series.labels.shape == series.hu.shape == spec.shape_kji
        assert len(series.paths) == spec.n_slices
        for k in (0, spec.n_slices // 2, spec.n_slices - 1):
            ds = pydicom.dcmread(series.paths[k])
            assert ds.SOPInstanceUID == series.sop_uids[k]
            position = affine[:3, 3] + k * affine[:3, 2]
            assert np.allclose(ds.ImagePositionPatient, position, atol=1e-6)
            assert np.array_equal(ds.pixel_array.astype(np.int16) - 1024, series.hu[k])


def test_lungs_of_the_phantom_are_dark_where_the_labels_say_lung(study: WrittenStudy) -> None:
    for series in (study.thin_soft, study.thin_sharp, study.thick):
        lung = series.labels == NUMBERS["lung_lower_lobe_right"]
        assert lung.any()
        assert np.median(series.hu[lung]) < -600


def test_headers_of_a_phantom_series_state_its_geometry(tmp_path: Path) -> None:
    spec = SeriesSpec(
        rows=20, columns=30, n_slices=5, pixel_spacing_mm=(9.0, 5.0), slice_spacing_mm=2.5
    )
    series = write_series(tmp_path, 1, spec)
    first, last = pydicom.dcmread(series.paths[0]), pydicom.dcmread(series.paths[-1])
    assert (first.Rows, first.Columns) == (20, 30)
    assert list(first.PixelSpacing) == [9.0, 5.0]
    assert list(first.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    step = np.subtract(last.ImagePositionPatient, first.ImagePositionPatient) / 4
    assert np.allclose(step, [0, 0, 2.5])
    middle = spec.affine_lps @ [14.5, 9.5, 2.0, 1.0]
    assert np.allclose(middle[:3], spec.centre_lps_mm)


@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
def test_the_file_order_of_a_phantom_study_changes_only_the_file_names(
    tmp_path: Path, order: str
) -> None:
    spec = SeriesSpec(rows=16, columns=16, n_slices=6, pixel_spacing_mm=(25, 25), file_order=order)  # type: ignore[arg-type]
    series = write_series(tmp_path, 1, spec)
    numbers = [pydicom.dcmread(path).InstanceNumber for path in series.paths]
    assert numbers == [1, 2, 3, 4, 5, 6]
    assert (list(series.paths) == sorted(series.paths)) == (order == "ascending")


def test_a_coronal_phantom_series_shows_the_same_body(tmp_path: Path) -> None:
    axial = write_series(
        tmp_path / "axial",
        2,
        SeriesSpec(rows=60, columns=60, n_slices=60, pixel_spacing_mm=(6, 6), slice_spacing_mm=6),
    )
    coronal = write_series(
        tmp_path / "coronal",
        2,
        SeriesSpec(
            rows=60,
            columns=60,
            n_slices=60,
            pixel_spacing_mm=(6, 6),
            slice_spacing_mm=6,
            orientation=CORONAL,
        ),
    )
    as_axial: NDArray[np.uint8] = coronal.labels.transpose(1, 0, 2)[::-1]
    assert np.mean(as_axial != axial.labels) < 1e-3


def test_the_phantom_command_writes_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["phantom", str(tmp_path / "out"), "--slices", "6", "--size", "32"]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    assert len(files_of(tmp_path / "out")) == 1 + 6 + 6 + 3 + 1


def test_decimal_strings_of_a_phantom_study_have_at_most_16_characters() -> None:
    assert decimal(-0.0) == "0"
    assert decimal(1 / 3) == "0.3333333333"
    assert len(decimal(-12345.678901234567)) <= 16
    assert float(decimal(-0.70710678118)) == pytest.approx(-0.70710678118, abs=1e-9)
