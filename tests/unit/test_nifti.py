"""Tests the reading of NIfTI images against nibabel."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray

from tests.phantom.study import WrittenSeries
from tests.segmentations import volume_of
from totalmap.dicom.geometry import to_canonical, to_las
from totalmap.errors import InputError, UnsupportedGeometry
from totalmap.nifti import read_nifti, read_nifti_geometry
from totalmap.settings import GeometrySection

POLICY = GeometrySection()
AFFINE = np.diag([-2.0, -2.0, 3.0, 1.0])
SHAPE = (12, 11, 10)
SROW_Y_AT = 296  # nifti1.h
VALUES = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) - 500


def saved(
    folder: Path, values: NDArray[Any] = VALUES, affine: NDArray[np.float64] | None = AFFINE
) -> Path:
    path = folder / "DOE^JOHN.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


def refusal(path: Path, kind: type[InputError] = InputError) -> str:
    with pytest.raises(kind) as caught:
        read_nifti(path, "CT", POLICY)
    assert "DOE" not in str(caught.value)
    return str(caught.value)


def test_a_nifti_file_gives_the_same_volume_as_the_dicom_series(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    expected = volume_of(phantom_series.folder)
    array, affine = to_las(expected.voxels, expected.geometry)
    volume = read_nifti(saved(tmp_path, array, affine), "CT", POLICY)
    assert volume.voxels.dtype == expected.voxels.dtype == np.int16
    assert not volume.is_dicom
    assert volume.modality == "CT"
    assert volume.series_instance_uid == ""
    assert np.array_equal(
        to_canonical(volume.voxels, volume.geometry),
        to_canonical(expected.voxels, expected.geometry),
    )


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "SRA", "AIL", "PSR"])
def test_a_nifti_image_of_any_orientation_keeps_its_positions(tmp_path: Path, axes: str) -> None:
    image = nibabel.Nifti1Image(VALUES, AFFINE)
    turn = ornt_transform(io_orientation(AFFINE), axcodes2ornt(axes))
    turned = image.as_reoriented(turn)
    path = tmp_path / "turned.nii"
    nibabel.save(turned, path)
    volume = read_nifti(path, "CT", POLICY)
    assert np.array_equal(volume.voxels.transpose(2, 1, 0), np.asanyarray(turned.dataobj))
    assert np.array_equal(volume.geometry.affine_ras, turned.affine)
    expected = nibabel.as_closest_canonical(image)
    canonical = to_canonical(volume.voxels, volume.geometry)
    assert np.array_equal(canonical, np.asanyarray(expected.dataobj))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_whole_numbers_in_a_nifti_file_become_int16(
    tmp_path: Path, dtype: type[np.generic]
) -> None:
    values = np.abs(VALUES % 200).astype(dtype)
    volume = read_nifti(saved(tmp_path, values), "CT", POLICY)
    assert volume.voxels.dtype == np.int16
    assert np.array_equal(volume.voxels.transpose(2, 1, 0), values)


@pytest.mark.parametrize("values", [VALUES + 0.5, VALUES * 1000.0])
def test_fractions_and_large_numbers_in_a_nifti_file_become_float32(
    tmp_path: Path, values: NDArray[np.float64]
) -> None:
    volume = read_nifti(saved(tmp_path, values), "CT", POLICY)
    assert volume.voxels.dtype == np.float32
    assert np.array_equal(volume.voxels.transpose(2, 1, 0), values.astype(np.float32))


def test_slope_and_intercept_of_integers_in_a_nifti_file_are_applied(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VALUES, AFFINE)
    image.header.set_slope_inter(2.0, -24.0)
    path = tmp_path / "scaled.nii"
    nibabel.save(image, path)
    # nibabel writes what the values become, so the stored ones differ from VALUES.
    assert nibabel.load(path).dataobj.slope == 2.0
    volume = read_nifti(path, "CT", POLICY)
    assert np.array_equal(volume.voxels.transpose(2, 1, 0), nibabel.load(path).get_fdata())


def test_an_uncompressed_nifti_2_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "newer.nii"
    nibabel.save(nibabel.Nifti2Image(VALUES, AFFINE), path)
    assert np.array_equal(read_nifti(path, "CT", POLICY).voxels.transpose(2, 1, 0), VALUES)


def test_a_fourth_dimension_of_size_one_of_a_nifti_image_is_ignored(tmp_path: Path) -> None:
    volume = read_nifti(saved(tmp_path, VALUES[..., None]), "CT", POLICY)
    assert np.array_equal(volume.voxels.transpose(2, 1, 0), VALUES)


def test_nifti_images_of_four_or_two_dimensions_are_refused(tmp_path: Path) -> None:
    assert "has 4 dimensions (12 x 11 x 10 x 2)" in refusal(
        saved(tmp_path, np.stack([VALUES, VALUES], axis=-1))
    )
    assert "has 2 dimensions (12 x 11)" in refusal(saved(tmp_path, VALUES[..., 0]))


def test_nifti_images_of_colours_and_complex_numbers_are_refused(tmp_path: Path) -> None:
    colours = np.zeros(SHAPE, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    for values in (colours, VALUES.astype(np.complex64)):
        assert "holds colours or complex numbers" in refusal(saved(tmp_path, values))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nifti_values_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    values = VALUES.astype(np.float32)
    values[3, 4, 5] = value
    assert "1 of 1320 voxels" in refusal(saved(tmp_path, values))


def test_a_nifti_file_without_qform_and_sform_is_refused(tmp_path: Path) -> None:
    assert "qform and sform are both 0" in refusal(saved(tmp_path, affine=None))


def test_the_qform_of_a_nifti_file_is_used_if_there_is_no_sform(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VALUES, None)
    image.set_qform(AFFINE, 1)
    path = tmp_path / "qform.nii"
    nibabel.save(image, path)
    assert np.allclose(read_nifti(path, "CT", POLICY).geometry.affine_ras, AFFINE)


def test_a_nifti_qform_that_contradicts_the_sform_gives_a_warning(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VALUES, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(np.diag([2.0, -2.0, 3.0, 1.0]), 1)
    path = tmp_path / "both.nii"
    nibabel.save(image, path)
    volume = read_nifti(path, "CT", POLICY)
    assert np.array_equal(volume.geometry.affine_ras, AFFINE)
    assert "the sform and the qform of the NIfTI file differ" in volume.findings[-1]


@pytest.mark.parametrize(
    "second_row", [(0.0, 0.0, 0.0, 0.0), (-4.0, 0.0, 0.0, 0.0), (0.0, np.nan, 0.0, 0.0)]
)
def test_a_nifti_affine_without_three_dimensions_is_refused(
    tmp_path: Path, second_row: tuple[float, ...]
) -> None:
    content = bytearray(nibabel.Nifti1Image(VALUES, AFFINE).to_bytes())
    struct.pack_into("<4f", content, SROW_Y_AT, *second_row)
    path = tmp_path / "nowhere.nii"
    path.write_bytes(content)
    assert "gives its voxels no position" in refusal(path)


def test_nifti_axes_that_are_not_perpendicular_are_refused(tmp_path: Path) -> None:
    skewed = AFFINE.copy()
    skewed[0, 1] = 0.5
    said = refusal(saved(tmp_path, affine=skewed), UnsupportedGeometry)
    assert "14.0 degrees off a right angle" in said


def test_a_nifti_image_of_a_tilted_gantry_is_read_with_a_warning(tmp_path: Path) -> None:
    tilted = AFFINE.copy()
    tilted[1, 2] = 1.0
    volume = read_nifti(saved(tmp_path, affine=tilted), "CT", POLICY)
    assert not volume.geometry.is_grid
    assert "tilted by 18.4 degrees" in volume.findings[-1]


def test_too_many_voxels_of_a_nifti_image_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = saved(tmp_path)
    content = bytearray(gzip.decompress(path.read_bytes()))[:400]
    content[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(content)))
    wide = GeometrySection(max_extent_mm=1e6)
    with pytest.raises(UnsupportedGeometry, match=r"geometry\.max_voxels"):
        read_nifti(path, "CT", wide)


def test_a_nifti_image_of_a_single_slice_is_refused(tmp_path: Path) -> None:
    refusal(saved(tmp_path, VALUES[:, :, :1]), UnsupportedGeometry)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def without_header(content: bytes) -> bytes:
    return gzip.compress(b"x" * 1000 + gzip.decompress(content)[1000:])


def unpacked_and_cut(content: bytes) -> bytes:
    return gzip.compress(cut(gzip.decompress(content)))


def altered(content: bytes) -> bytes:
    return content[:700] + b"\xff\xff\xff\xff" + content[704:]


def nothing(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("spoil", [cut, without_header, unpacked_and_cut, altered, nothing])
def test_a_damaged_nifti_file_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = saved(tmp_path)
    path.write_bytes(spoil(path.read_bytes()))
    said = refusal(path)
    assert "can't be read" in said or "does not begin with a NIfTI header" in said


def test_the_geometry_is_read_from_the_header_of_a_nifti_file(tmp_path: Path) -> None:
    geometry = read_nifti_geometry(saved(tmp_path), POLICY)
    assert geometry.shape == (10, 11, 12)
    assert geometry.spacing_mm == (2.0, 2.0, 3.0)


def test_a_nifti_source_is_identified_by_its_voxels_and_position(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[0, 3] = 1.0
    names = {
        read_nifti(saved(tmp_path, values, affine), "CT", POLICY).source_names
        for values, affine in ((VALUES, AFFINE), (VALUES, moved), (VALUES + 1, AFFINE))
    }
    assert len(names) == 3
