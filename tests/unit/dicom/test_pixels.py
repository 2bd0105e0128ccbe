"""Tests how stored values become HU, for each transfer syntax, bit depth, rescale and padding."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
)

from tests.phantom import write_enhanced, write_series
from tests.transfer_syntaxes import ALL_SYNTAXES, NATIVE, transcode
from tests.unit.dicom.pixel_files import (
    COMPRESSED,
    NAMES,
    SHAPE,
    SPEC,
    change,
    keyword,
    name_syntax,
    pattern,
    pixel_attributes,
    set_codestream,
    slices_of,
    store,
    voxels_of,
)
from totalmap.dicom.pixels import AIR_HU, decode_slices


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, NDArray[Any]]]:
    """Folders and their HU: classic and enhanced, 12 bits unsigned and 16 bits signed."""
    folder = tmp_path_factory.mktemp("originals")
    signed = pattern(np.int16, -32768, 32767)
    classic = write_series(folder / "classic", 1, SPEC)
    enhanced = write_enhanced(folder / "enhanced", 1, SPEC)
    store(folder / "classic signed", signed, RescaleIntercept="0")
    path = write_enhanced(folder / "enhanced signed", 1, SPEC).paths[0]
    shared = pydicom.dcmread(path).SharedFunctionalGroupsSequence
    shared[0].PixelValueTransformationSequence[0].RescaleIntercept = "0"
    change(path, SharedFunctionalGroupsSequence=shared, **pixel_attributes(signed, None))
    return {
        "classic": (classic.folder, classic.hu),
        "enhanced": (enhanced.folder, enhanced.hu),
        "classic signed": (folder / "classic signed", signed),
        "enhanced signed": (folder / "enhanced signed", signed),
    }


@pytest.mark.parametrize("kind", ["classic", "enhanced", "classic signed", "enhanced signed"])
@pytest.mark.parametrize("syntax", ALL_SYNTAXES, ids=keyword)
def test_every_transfer_syntax_gives_the_same_voxels(
    originals: dict[str, tuple[Path, NDArray[Any]]], tmp_path: Path, kind: str, syntax: UID
) -> None:
    source, hu = originals[kind]
    folder = Path(shutil.copytree(source, tmp_path / "in"))
    for path in folder.iterdir():
        transcode(path, syntax)
    voxels = voxels_of(folder)
    assert voxels.dtype == np.int16
    np.testing.assert_array_equal(voxels, hu)


def test_each_slice_is_rescaled_by_its_own_slope_and_intercept(tmp_path: Path) -> None:
    stored = pattern(np.uint16, 0, 4095)
    store(tmp_path, stored)
    change(tmp_path / NAMES[1], RescaleSlope="2", RescaleIntercept="-2000")
    change(tmp_path / NAMES[3], RescaleIntercept="-1000")
    voxels, whole = voxels_of(tmp_path), stored.astype(np.int64)
    assert voxels.dtype == np.int16
    np.testing.assert_array_equal(voxels[0], whole[0] - 1024)
    np.testing.assert_array_equal(voxels[1], whole[1] * 2 - 2000)
    np.testing.assert_array_equal(voxels[2], whole[2] - 1024)
    np.testing.assert_array_equal(voxels[3], whole[3] - 1000)


@pytest.mark.parametrize(("slope", "intercept"), [("0.5", "-1024"), ("1", "-1024.25")])
def test_a_fractional_rescale_of_one_slice_makes_the_whole_volume_float32(
    tmp_path: Path, slope: str, intercept: str
) -> None:
    stored = pattern(np.uint16, 0, 4095)
    store(tmp_path, stored)
    change(tmp_path / NAMES[2], RescaleSlope=slope, RescaleIntercept=intercept)
    voxels = voxels_of(tmp_path)
    assert voxels.dtype == np.float32
    np.testing.assert_array_equal(voxels[2], stored[2] * float(slope) + float(intercept))
    np.testing.assert_array_equal(voxels[[0, 1, 3]], stored[[0, 1, 3]] - 1024.0)


def test_slices_with_different_ranges_of_values_keep_their_values(tmp_path: Path) -> None:
    # The SDK takes the type from the first slice: unsigned, where all of it is above 0 HU.
    stored = np.full(SHAPE, 1124, np.uint16)
    stored[2] = 0
    voxels = voxels_of(store(tmp_path, stored))
    assert voxels[0].min() == 100
    assert voxels[2].max() == -1024


@pytest.mark.parametrize(
    ("intercept", "dtype"),
    [("28672", np.int16), ("28673", np.float32), ("-32768", np.int16), ("-32769", np.float32)],
)
def test_values_outside_int16_give_a_float32_volume(
    tmp_path: Path, intercept: str, dtype: type
) -> None:
    stored = pattern(np.uint16, 0, 4095)
    voxels = voxels_of(store(tmp_path, stored, RescaleIntercept=intercept))
    assert voxels.dtype == dtype
    np.testing.assert_array_equal(voxels, stored.astype(np.int64) + int(intercept))


def test_rescaled_values_outside_int16_are_not_clipped(tmp_path: Path) -> None:
    stored = pattern(np.int16, -32768, 32767)
    voxels = voxels_of(store(tmp_path, stored, RescaleSlope="-3", RescaleIntercept="7"))
    np.testing.assert_array_equal(voxels, stored.astype(np.int64) * -3 + 7)


def test_stored_pixel_values_are_used_without_a_rescale(tmp_path: Path) -> None:
    stored = pattern(np.int16, -1024, 3071)
    store(tmp_path, stored)
    for path in tmp_path.iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.RescaleSlope, dataset.RescaleIntercept
        dataset.save_as(path)
    np.testing.assert_array_equal(voxels_of(tmp_path), stored)


@pytest.mark.parametrize("overlay", [0x0000, 0x1000, 0x8000, 0xF000])
def test_unused_bits_of_unsigned_pixels_are_ignored(tmp_path: Path, overlay: int) -> None:
    stored = pattern(np.uint16, 0, 4095)
    store(tmp_path, stored | np.uint16(overlay), bits=12)
    np.testing.assert_array_equal(voxels_of(tmp_path), stored.astype(np.int64) - 1024)


@pytest.mark.parametrize("overlay", [0x0000, 0x1000, 0x8000, 0xF000])
def test_unused_bits_of_signed_pixels_are_filled_with_the_sign(
    tmp_path: Path, overlay: int
) -> None:
    values = pattern(np.int16, -2048, 2047)
    dirty = (values.view(np.uint16) & 0x0FFF | np.uint16(overlay)).view(np.int16)
    store(tmp_path, dirty, bits=12, RescaleIntercept="0")
    np.testing.assert_array_equal(voxels_of(tmp_path), values)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        (np.uint8, 0, 255),
        (np.int8, -128, 127),
        (np.uint32, 0, 4095),
        (np.int32, -1000, 30000),
    ],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=keyword)
def test_pixels_of_8_and_of_32_bits_are_read(
    tmp_path: Path, dtype: type[np.integer[Any]], low: int, high: int, syntax: UID
) -> None:
    stored = pattern(dtype, low, high)
    store(tmp_path, stored, RescaleIntercept="-10")
    for path in tmp_path.iterdir():
        dataset = pydicom.dcmread(path)
        dataset["PixelData"].VR = "OB" if stored.itemsize == 1 else "OW"
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path)
    np.testing.assert_array_equal(voxels_of(tmp_path), stored.astype(np.int64) - 10)


def set_padding(folder: Path, vr: str, value: int, limit: int | None = None) -> None:
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.add_new("PixelPaddingValue", vr, value)
        if limit is not None:
            dataset.add_new("PixelPaddingRangeLimit", vr, limit)
        dataset.save_as(path)


@pytest.mark.parametrize(("vr", "value"), [("US", 63536), ("SS", -2000)])
def test_pixel_padding_darker_than_air_is_unchanged(tmp_path: Path, vr: str, value: int) -> None:
    stored = pattern(np.int16, -1000, 3000)
    stored[:, 5] = -2000
    store(tmp_path, stored, RescaleIntercept="-24")
    set_padding(tmp_path, vr, value)
    np.testing.assert_array_equal(voxels_of(tmp_path), stored - 24)


@pytest.mark.parametrize("syntax", NATIVE, ids=keyword)
def test_bright_pixel_padding_becomes_air(tmp_path: Path, syntax: UID) -> None:
    stored = pattern(np.uint16, 0, 4095)
    stored[1:3, 5] = 65535
    store(tmp_path, stored)
    set_padding(tmp_path, "US", 65535)
    for path in tmp_path.iterdir():
        transcode(path, syntax)
    voxels = voxels_of(tmp_path)
    assert voxels.dtype == np.int16
    expected = np.where(stored == 65535, AIR_HU, stored.astype(np.int64) - 1024)
    np.testing.assert_array_equal(voxels, expected)


@pytest.mark.parametrize("syntax", NATIVE, ids=keyword)
@pytest.mark.parametrize(("value", "becomes"), [(32000, AIR_HU), (-32000, -32000)])
def test_pixel_padding_of_signed_pixels_is_read_in_every_syntax(
    tmp_path: Path, syntax: UID, value: int, becomes: int
) -> None:
    stored = pattern(np.int16, -1000, 3000)
    stored[0, 5] = value
    store(tmp_path, stored, RescaleIntercept="0")
    set_padding(tmp_path, "SS", value)
    for path in tmp_path.iterdir():
        transcode(path, syntax)
    np.testing.assert_array_equal(voxels_of(tmp_path), np.where(stored == value, becomes, stored))


@pytest.mark.parametrize(("value", "limit"), [(60000, 65535), (65535, 60000)])
def test_all_values_of_a_pixel_padding_range_become_air(
    tmp_path: Path, value: int, limit: int
) -> None:
    stored = pattern(np.uint16, 0, 4095)
    stored[0, 5, :4] = 59999, 60000, 62000, 65535
    store(tmp_path, stored)
    set_padding(tmp_path, "US", value, limit)
    voxels = voxels_of(tmp_path)
    assert voxels[0, 5, :4].tolist() == [59999 - 1024, AIR_HU, AIR_HU, AIR_HU]
    np.testing.assert_array_equal(voxels[1:], stored[1:].astype(np.int64) - 1024)


@pytest.mark.parametrize("value", [65535, 63536, 61440])
def test_pixel_padding_wider_than_bits_stored_becomes_air(tmp_path: Path, value: int) -> None:
    """Its low 12 bits would look like tissue: 3071, 1072 and -1024 HU."""
    stored = pattern(np.uint16, 0, 4095)
    stored[:, 5] = value
    store(tmp_path, stored, bits=12)
    set_padding(tmp_path, "US", value)
    expected = np.where(stored == value, AIR_HU, stored.astype(np.int64) - 1024)
    np.testing.assert_array_equal(voxels_of(tmp_path), expected)


def test_a_pixel_padding_range_written_unsigned_applies_to_signed_pixels(tmp_path: Path) -> None:
    """From 63536 to 5000 as unsigned numbers is from -2000 to 5000, which is bright."""
    stored = pattern(np.int16, 6000, 9000)
    stored[0, 5, :4] = -2001, -2000, 5000, 5001
    store(tmp_path, stored, RescaleIntercept="0")
    set_padding(tmp_path, "US", 63536, 5000)
    assert voxels_of(tmp_path)[0, 5, :4].tolist() == [-2001, AIR_HU, AIR_HU, 5001]


def test_pixel_values_next_to_the_padding_value_are_unchanged(tmp_path: Path) -> None:
    stored = pattern(np.uint16, 0, 4095)
    stored[0, 5, :3] = 4999, 5000, 5001
    store(tmp_path, stored)
    set_padding(tmp_path, "US", 5000)
    assert voxels_of(tmp_path)[0, 5, :3].tolist() == [3975, AIR_HU, 3977]


def test_pixel_padding_of_an_mr_series_is_unchanged(tmp_path: Path) -> None:
    written = write_series(tmp_path, 1, replace(SPEC, modality="MR"))
    stored = written.hu.astype(np.uint16)
    stored[:, 5] = 65535
    for name, slice_values in zip(NAMES, stored, strict=True):
        change(tmp_path / name, **pixel_attributes(slice_values, None))
    set_padding(tmp_path, "US", 65535)
    np.testing.assert_array_equal(voxels_of(tmp_path), stored)


def test_frames_are_decoded_in_the_requested_order(tmp_path: Path) -> None:
    spec = replace(SPEC, n_slices=80, slice_spacing_mm=1.0, file_order="shuffled")
    written = write_enhanced(tmp_path, 1, spec)
    slices, wanted = slices_of(tmp_path), [71, 3, 40, 4, 0]
    voxels, undecodable = decode_slices([slices[k] for k in wanted])
    assert undecodable == ()
    np.testing.assert_array_equal(voxels, written.hu[wanted])
    np.testing.assert_array_equal(decode_slices(slices)[0], written.hu)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=keyword)
@pytest.mark.parametrize("bits_stored", [8, 16])
def test_a_codestream_of_8_bits_is_read_where_16_are_allocated(
    tmp_path: Path, syntax: UID, bits_stored: int
) -> None:
    """Encoders use 8 bits for few grey levels, whatever Bits Allocated is."""
    stored = pattern(np.uint16, 0, 255)
    store(tmp_path, stored, RescaleIntercept="-10")
    for path, values in zip(sorted(tmp_path.iterdir()), stored, strict=True):
        narrow = values.astype(np.uint8)
        codestream = (
            imagecodecs.jpegls_encode(narrow)
            if syntax == JPEGLSLossless
            else imagecodecs.jpeg2k_encode(narrow, codecformat="j2k", level=0)
        )
        transcode(path, syntax)
        set_codestream(path, bytes(codestream))
        change(path, BitsStored=bits_stored, HighBit=bits_stored - 1)
    np.testing.assert_array_equal(voxels_of(tmp_path), stored.astype(np.int64) - 10)


@pytest.mark.parametrize("syntax", COMPRESSED, ids=keyword)
def test_native_pixels_are_read_whatever_transfer_syntax_a_file_names(
    tmp_path: Path, syntax: UID
) -> None:
    """Tools decompress pixels and keep the name of the old syntax (DICOMcloud#22)."""
    hu = write_series(tmp_path, 1, SPEC).hu
    for path in tmp_path.iterdir():
        name_syntax(path, syntax)
    np.testing.assert_array_equal(voxels_of(tmp_path), hu)
