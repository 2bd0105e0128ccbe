from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, RLELossless

from tests.phantom.study import CORONAL, SAGITTAL, SeriesSpec, WrittenSeries, write_series
from totalmap.dicom.study import read_study
from totalmap.dicom.volume import Volume, build_volume
from totalmap.errors import IncompleteSeries, UnreadableInstance, UnsupportedGeometry

SMALL = SeriesSpec(rows=20, columns=24, n_slices=12)
PRONE = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
ROW_TO_THE_RIGHT = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def volume_of(folder: Path) -> Volume:
    (series,) = read_study(folder).series
    return build_volume(series)


def change(path: Path, **values: Any) -> None:
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


@pytest.mark.parametrize("orientation", [PRONE, ROW_TO_THE_RIGHT, CORONAL, SAGITTAL])
@pytest.mark.parametrize("order", ["descending", "shuffled"])
def test_voxels_and_affine_are_the_phantoms(tmp_path: Path, orientation: Any, order: Any) -> None:
    spec = replace(
        SMALL,
        pixel_spacing_mm=(12.0, 9.0),
        slice_spacing_mm=5.0,
        orientation=orientation,
        file_order=order,
    )
    written = write_series(tmp_path, 2, spec)
    volume = volume_of(tmp_path)
    np.testing.assert_allclose(volume.geometry.affine_lps, written.affine_lps, atol=1e-4)
    np.testing.assert_array_equal(volume.voxels, written.hu)
    assert volume.voxels.dtype == np.int16
    assert [one.sop_instance_uid for one in volume.instances] == list(written.sop_uids)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_pixels(
    phantom_series: WrittenSeries, phantom_copy: Path, syntax: pydicom.uid.UID
) -> None:
    for path in phantom_copy.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
    np.testing.assert_array_equal(volume_of(phantom_copy).voxels, phantom_series.hu)


def test_rescale_may_differ_from_slice_to_slice(
    phantom_series: WrittenSeries, phantom_copy: Path
) -> None:
    path = phantom_copy / phantom_series.paths[3].name
    change(path, RescaleIntercept="-1000")
    voxels = volume_of(phantom_copy).voxels
    np.testing.assert_array_equal(voxels[3], phantom_series.hu[3] + 24)
    np.testing.assert_array_equal(voxels[4], phantom_series.hu[4])


def test_fractional_rescale_is_kept(phantom_series: WrittenSeries, phantom_copy: Path) -> None:
    for path in phantom_copy.iterdir():
        change(path, RescaleSlope="0.5", RescaleIntercept="-1024")
    voxels = volume_of(phantom_copy).voxels
    assert voxels.dtype == np.float32
    expected = (phantom_series.hu.astype(np.float64) + 1024) * 0.5 - 1024
    np.testing.assert_allclose(voxels, expected)


def test_a_missing_slice(phantom_series: WrittenSeries, phantom_copy: Path) -> None:
    (phantom_copy / phantom_series.paths[7].name).unlink()
    with pytest.raises(IncompleteSeries, match=r"from 3\.00 to 6\.00 mm.*missing"):
        volume_of(phantom_copy)


def test_a_doubled_slice(phantom_series: WrittenSeries, phantom_copy: Path) -> None:
    path = phantom_copy / phantom_series.paths[7].name
    position = pydicom.dcmread(phantom_series.paths[8]).ImagePositionPatient
    change(path, ImagePositionPatient=position)
    with pytest.raises(IncompleteSeries, match="1 slices lie at the position of another"):
        volume_of(phantom_copy)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ImageOrientationPatient": [0.8, 0.6, 0, -0.6, 0.8, 0]}, "different orientation"),
        ({"PixelSpacing": [1, 2]}, "different pixel spacing"),
        ({"FrameOfReferenceUID": "1.2"}, "different frames of reference"),
        ({"Rows": 95}, "95x96"),
    ],
)
def test_mixed_geometry(
    phantom_series: WrittenSeries, phantom_copy: Path, values: dict[str, Any], message: str
) -> None:
    change(phantom_copy / phantom_series.paths[4].name, **values)
    with pytest.raises(UnsupportedGeometry, match=message):
        volume_of(phantom_copy)


def test_gantry_tilt_is_refused_not_ignored(
    phantom_series: WrittenSeries, phantom_copy: Path
) -> None:
    for k, path in enumerate(phantom_series.paths):
        x, y, z = pydicom.dcmread(path).ImagePositionPatient
        change(phantom_copy / path.name, ImagePositionPatient=[x, y + 0.5 * k, z])
    with pytest.raises(UnsupportedGeometry, match="gantry tilt"):
        volume_of(phantom_copy)


def test_truncated_pixels_are_named(phantom_series: WrittenSeries, phantom_copy: Path) -> None:
    path = phantom_copy / phantom_series.paths[5].name
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UnreadableInstance, match=path.name):
        volume_of(phantom_copy)
