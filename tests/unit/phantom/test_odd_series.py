"""Tests that unusual phantom series (tilted, uneven, multi-frame, MR) agree with their headers."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from totalsegmentator.map_to_binary import class_map

from tests.phantom import CORONAL, STAIN_HU, Anatomy, SeriesSpec, write_enhanced, write_series
from tests.phantom.frame import rotation

NUMBERS = {name: number for number, name in class_map["total"].items()}
OBLIQUE = rotation(0.4, -0.3, 0.6)
BARE = SeriesSpec(
    rows=36, columns=44, n_slices=6, pixel_spacing_mm=(11.0, 9.0), slice_spacing_mm=20, scanner=None
)
TILTED = replace(BARE, tilt_degrees=14.0)
MISSING = replace(BARE, n_slices=5, slice_steps=(0, 1, 2, 4, 5))
UNEVEN = replace(BARE, n_slices=4, slice_steps=(0, 1, 1.7, 3.2), orientation=CORONAL)
STAINED = replace(BARE, stained=(NUMBERS["liver"], NUMBERS["spleen"]))
MR = replace(BARE, modality="MR")
ODD = {
    "tilted": TILTED,
    "tilted backwards, oblique": replace(
        BARE, tilt_degrees=-20.0, orientation=(*OBLIQUE[:, 0], *OBLIQUE[:, 1])
    ),
    "missing slice": MISSING,
    "uneven and tilted": replace(UNEVEN, tilt_degrees=10.0),
    "MR": MR,
}


def errors_of(path: Path) -> list[str]:
    """Returns the errors that dciodvfy reports."""
    result = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return [line for line in result.stderr.splitlines() if line.startswith("Error")]


def voxel_lps_mm(ds: Dataset, j: int, i: int) -> NDArray[np.float64]:
    """Returns the position of a voxel according to the header."""
    along_row, along_column = np.reshape(ds.ImageOrientationPatient, (2, 3)).astype(np.float64)
    position = np.array(ds.ImagePositionPatient, np.float64)
    spacing_j, spacing_i = (float(value) for value in ds.PixelSpacing)
    place: NDArray[np.float64] = position + along_row * spacing_i * i + along_column * spacing_j * j
    return place


@pytest.mark.parametrize("name", ODD)
def test_labels_of_an_odd_phantom_series_lie_where_its_headers_say(
    tmp_path: Path, name: str
) -> None:
    anatomy, spec = Anatomy.random(3), ODD[name]
    series = write_series(tmp_path, anatomy, spec)
    rng = np.random.default_rng(0)
    wrong = 0
    for k, path in enumerate(series.paths):
        ds = pydicom.dcmread(path)
        assert np.allclose(ds.ImagePositionPatient, spec.positions_lps_mm[k], atol=1e-6)
        for _ in range(12):
            j, i = int(rng.integers(8, 28)), int(rng.integers(8, 36))
            point = np.eye(4)
            point[:3, 3] = voxel_lps_mm(ds, j, i)
            hu, label = anatomy.sample(point, (1, 1, 1), scanner=None)
            stored = int(hu[0, 0, 0]) + 1024
            same = label[0, 0, 0] == series.labels[k, j, i] and stored == ds.pixel_array[j, i]
            wrong += not same
    assert wrong <= 1  # float32 may put one point on the other side of a surface
    assert len(np.unique(series.labels)) > 10


def test_a_gantry_tilt_of_the_phantom_shears_along_the_columns(tmp_path: Path) -> None:
    series = write_series(tmp_path, 3, TILTED)
    datasets = [pydicom.dcmread(path) for path in series.paths]
    assert [float(ds.GantryDetectorTilt) for ds in datasets] == [14.0] * 6
    assert {tuple(ds.ImageOrientationPatient) for ds in datasets} == {(1, 0, 0, 0, 1, 0)}
    steps = np.diff([ds.ImagePositionPatient for ds in datasets], axis=0)
    assert np.allclose(steps, [0.0, 20.0 * np.tan(np.radians(14.0)), 20.0])
    assert np.allclose(series.affine_lps[:3, 2], steps[0])
    middle = series.affine_lps @ [21.5, 17.5, 2.5, 1.0]
    assert np.allclose(middle[:3], TILTED.centre_lps_mm)


def test_a_missing_slice_of_the_phantom_changes_no_other_slice(tmp_path: Path) -> None:
    complete = write_series(tmp_path / "complete", 3, BARE)
    missing = write_series(tmp_path / "missing", 3, MISSING)
    assert np.allclose(missing.affine_lps, complete.affine_lps)
    kept = [0, 1, 2, 4, 5]
    assert np.allclose(MISSING.positions_lps_mm, BARE.positions_lps_mm[kept])
    assert missing.labels.shape == missing.hu.shape == (5, 36, 44)
    assert np.mean(missing.labels != complete.labels[kept]) < 1e-3
    assert np.mean(missing.hu != complete.hu[kept]) < 1e-3
    assert "SpacingBetweenSlices" in pydicom.dcmread(complete.paths[0])
    assert "SpacingBetweenSlices" not in pydicom.dcmread(missing.paths[0])


def test_uneven_slices_of_the_phantom_are_centred_on_the_covered_range() -> None:
    spec = replace(UNEVEN, slice_steps=(1, 2, 2.5, 4))
    first, last = spec.positions_lps_mm[[0, -1]]
    corner_to_middle = spec.affine_lps[:3, :2] @ [21.5, 17.5]
    assert np.allclose(0.5 * (first + last) + corner_to_middle, spec.centre_lps_mm)
    distances = np.linalg.norm(np.diff(spec.positions_lps_mm, axis=0), axis=1)
    assert np.allclose(distances, [20.0, 10.0, 30.0])


def test_slices_of_an_uneven_phantom_series_have_different_noise() -> None:
    spec = SeriesSpec(rows=8, columns=8, n_slices=2, slice_steps=(0, 0))
    affine, shape = spec.affine_lps, (1, 8, 8)
    anatomy = Anatomy.random(3)
    first, second = (anatomy.sample(affine, shape, first_slice=k)[0] for k in (0, 1))
    assert not np.array_equal(first, second)


def test_an_uneven_phantom_series_needs_as_many_steps_as_slices() -> None:
    with pytest.raises(ValueError, match="3 slice steps for 4 slices"):
        SeriesSpec(n_slices=4, slice_steps=(0, 1, 2))


@pytest.mark.parametrize("thickness_mm", [3.0, 20.0])
def test_a_threshold_finds_stained_structures_of_the_phantom(
    tmp_path: Path, thickness_mm: float
) -> None:
    spec = replace(STAINED, slice_thickness_mm=thickness_mm)
    series = write_series(tmp_path, 3, spec)
    stained = np.isin(series.labels, spec.stained)
    assert stained.any()
    values = np.stack([pydicom.dcmread(path).pixel_array for path in series.paths]) - 1024.0
    assert np.array_equal(values > 1000, stained)
    assert np.array_equal(values, series.hu)
    assert set(np.unique(values[stained])) == {STAIN_HU}
    assert values[~stained].max() <= 300


def test_an_mr_series_of_the_phantom_has_no_hounsfield_units(tmp_path: Path) -> None:
    mr, ct = write_series(tmp_path / "mr", 3, MR), write_series(tmp_path / "ct", 3, BARE)
    ds = pydicom.dcmread(mr.paths[2])
    assert (ds.Modality, ds.SOPClassUID.name) == ("MR", "MR Image Storage")
    assert "RescaleSlope" not in ds
    assert "KVP" not in ds
    assert np.array_equal(ds.pixel_array, mr.hu[2])
    assert np.array_equal(mr.hu, ct.hu + 1024)


@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
@pytest.mark.parametrize("phases", [1, 2])
def test_an_enhanced_file_of_the_phantom_has_one_frame_for_each_slice(
    tmp_path: Path, order: str, phases: int
) -> None:
    spec = replace(MISSING, tilt_degrees=5.0, file_order=order)  # type: ignore[arg-type]
    series = write_enhanced(tmp_path, 3, spec, phases=phases)
    ds = pydicom.dcmread(series.paths[0])
    assert set(series.paths) == {tmp_path / "IM0001.dcm"}
    assert series.sop_uids == (ds.SOPInstanceUID,) * 5
    assert ds.NumberOfFrames == len(ds.PerFrameFunctionalGroupsSequence) == 5 * phases
    seen = []
    for values, groups in zip(ds.pixel_array, ds.PerFrameFunctionalGroupsSequence, strict=True):
        content = groups.FrameContentSequence[0]
        k, phase = content.InStackPositionNumber - 1, content.FrameAcquisitionNumber
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(position, spec.positions_lps_mm[k], atol=1e-6)
        assert np.array_equal(values - 1024.0, series.hu[k] + 40.0 * (phase - 1))
        assert content.get("TemporalPositionIndex", 1) == phase
        assert list(content.DimensionIndexValues) == [1, k + 1, phase][: 1 + phases]
        seen.append((phase, k))
    assert len(set(seen)) == 5 * phases
    assert (seen == sorted(seen)) == (order == "ascending")


def test_an_enhanced_file_of_the_phantom_holds_the_same_pixels_as_single_files(
    tmp_path: Path,
) -> None:
    enhanced = write_enhanced(tmp_path / "enhanced", 3, TILTED)
    single = write_series(tmp_path / "single", 3, TILTED)
    assert np.array_equal(enhanced.hu, single.hu)
    assert np.array_equal(enhanced.labels, single.labels)
    assert enhanced.series_uid != single.series_uid
    with pytest.raises(ValueError, match="Enhanced MR"):
        write_enhanced(tmp_path / "mr", 3, MR)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is missing")
@pytest.mark.parametrize("spec", [*ODD.values(), STAINED], ids=[*ODD, "stained"])
def test_dciodvfy_finds_no_error_in_odd_phantom_series(tmp_path: Path, spec: SeriesSpec) -> None:
    assert errors_of(write_series(tmp_path, 3, spec).paths[-1]) == []


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is missing")
@pytest.mark.parametrize("phases", [1, 2])
@pytest.mark.parametrize("spec", [BARE, TILTED, MISSING], ids=["plain", "tilted", "missing slice"])
def test_dciodvfy_finds_no_error_in_enhanced_files_of_the_phantom(
    tmp_path: Path, spec: SeriesSpec, phases: int
) -> None:
    assert errors_of(write_enhanced(tmp_path, 3, spec, phases=phases).paths[0]) == []
