"""Tests the faults of images that can't be used."""

from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from tests.phantom import WrittenSeries
from tests.transfer_syntaxes import transcode
from tests.unit.dicom.instance_files import (
    BYTES,
    change,
    fault_of,
    instance_of,
    keyword,
    overwrite,
)
from totalmap.dicom.frame import Rescale


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"ImagePositionPatient": None}, "no valid Image Position (Patient)"),
        ({"ImagePositionPatient": ["1", "2"]}, "no valid Image Position (Patient)"),
        ({"ImageOrientationPatient": None}, "no valid Image Orientation (Patient)"),
        ({"PixelSpacing": None}, "no valid Pixel Spacing"),
        ({"PixelSpacing": ["1", "0"]}, "no valid Pixel Spacing"),
        ({"PixelSpacing": ["-1", "1"]}, "no valid Pixel Spacing"),
        (
            {"ImageOrientationPatient": ["1", "0", "0", "0.6", "0.8", "0"]},
            "Image Orientation (Patient) is not two perpendicular directions",
        ),
        (
            {"ImageOrientationPatient": ["2", "0", "0", "0", "1", "0"]},
            "Image Orientation (Patient) is not two perpendicular directions",
        ),
        (
            {"ImageOrientationPatient": ["0"] * 6},
            "Image Orientation (Patient) is not two perpendicular directions",
        ),
    ],
)
def test_a_missing_or_invalid_position_orientation_or_spacing_is_a_fault_of_an_image(
    path: Path, values: dict[str, Any], fault: str
) -> None:
    change(path, **values)
    assert fault_of(path) == fault
    assert instance_of(path).frames[0].plane is None


def test_direction_cosines_with_four_decimals_are_accepted(path: Path) -> None:
    cosines = ["0.9063", "0.4226", "0", "-0.4226", "0.9063", "0"]
    change(path, ImageOrientationPatient=cosines)
    assert fault_of(path) == ""


@pytest.mark.parametrize("text", [b"nan\\1\\2 ", b"1\\inf\\2 ", b"a\\b\\c "])
def test_an_image_position_that_is_no_number_is_a_fault(path: Path, text: bytes) -> None:
    overwrite(path, "ImagePositionPatient", text)
    assert fault_of(path) == "no valid Image Position (Patient)"


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"RescaleSlope": "0"}, "Rescale Slope 0 and Intercept -1024"),
        ({"RescaleSlope": "1e7"}, "Rescale Slope 1e+07 and Intercept -1024"),
        ({"RescaleIntercept": "-1e7"}, "Rescale Slope 1 and Intercept -1e+07"),
    ],
)
def test_an_impossible_rescale_is_a_fault_of_an_image(
    path: Path, values: dict[str, Any], fault: str
) -> None:
    change(path, **values)
    assert fault_of(path) == fault
    assert instance_of(path).frames[0].rescale is None


@pytest.mark.parametrize("name", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize("text", [b"abc ", b"1,5 ", b"nan "])
def test_a_rescale_that_is_no_number_is_a_fault_of_an_image(
    path: Path, name: str, text: bytes
) -> None:
    overwrite(path, name, text)
    assert fault_of(path) == "Rescale Slope or Intercept is not a number"


def test_a_missing_rescale_slope_is_1_a_missing_intercept_0_and_none_if_both_are_missing(
    path: Path,
) -> None:
    change(path, RescaleSlope="")
    assert instance_of(path).frames[0].rescale == Rescale(slope=1.0, intercept=-1024.0)
    change(path, RescaleSlope="2", RescaleIntercept="")
    assert instance_of(path).frames[0].rescale == Rescale(slope=2.0, intercept=0.0)
    change(path, RescaleSlope="", RescaleIntercept="")
    assert instance_of(path).frames[0].rescale is None
    assert fault_of(path) == ""


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"Rows": 65535}, "65535 x 40 pixels; at most 8192 x 8192 are plausible"),
        ({"Columns": 8193}, "36 x 8193 pixels; at most 8192 x 8192 are plausible"),
        ({"BitsAllocated": 12}, "12 of 12 bits a pixel"),
        ({"BitsStored": 17}, "17 of 16 bits a pixel"),
        ({"BitsStored": 0}, "0 of 16 bits a pixel"),
        ({"BitsAllocated": None}, "12 of 0 bits a pixel"),
        ({"HighBit": 15}, "the highest of 12 bits is not the last (High Bit)"),
        ({"SamplesPerPixel": 3}, "a colour image"),
        ({"SamplesPerPixel": 0}, "0 samples a pixel"),
        ({"NumberOfFrames": 2}, "2 frames with positions for 1"),
        ({"Rows": 37}, f"its pixels break off after {BYTES} of {BYTES + 80} bytes"),
        ({"PixelData": None}, f"its pixels break off after 0 of {BYTES} bytes"),
    ],
)
def test_contradictory_or_unsupported_pixel_attributes_are_a_fault(
    path: Path, values: dict[str, Any], fault: str
) -> None:
    change(path, **values)
    assert fault_of(path) == fault


def test_a_missing_high_bit_of_an_image_is_no_fault(path: Path) -> None:
    change(path, HighBit=None)
    assert fault_of(path) == ""


@pytest.mark.parametrize(("name", "size"), [("Rows", "0 x 40"), ("Columns", "36 x 0")])
def test_an_image_without_rows_or_columns_is_a_fault(path: Path, name: str, size: str) -> None:
    change(path, **{name: 0})
    assert fault_of(path) == f"{size} pixels; at most 8192 x 8192 are plausible"


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian],
    ids=keyword,
)
@pytest.mark.parametrize("missing", [1, 2, 1000, BYTES])
def test_the_fault_of_truncated_pixels_states_how_many_bytes_are_left(
    path: Path, syntax: UID, missing: int
) -> None:
    transcode(path, syntax)
    assert fault_of(path) == ""
    path.write_bytes(path.read_bytes()[:-missing])
    assert fault_of(path) == f"its pixels break off after {BYTES - missing} of {BYTES} bytes"


def test_a_pixel_length_beyond_the_end_of_the_dicom_file_is_not_trusted(path: Path) -> None:
    content = path.read_bytes()
    place = content.index(b"\xe0\x7f\x10\x00OW") + 8
    path.write_bytes(content[:place] + b"\xfe\xff\xff\x7f" + content[place + 4 :])
    assert fault_of(path) == ""
    path.write_bytes(content[:place] + b"\xff\xff\xff\xff" + content[place + 4 :])
    assert fault_of(path) == f"its pixels break off after 0 of {BYTES} bytes"


def test_a_number_of_frames_other_than_that_of_the_functional_groups_is_an_image_fault(
    enhanced: WrittenSeries,
) -> None:
    file = enhanced.paths[0]
    change(file, NumberOfFrames=2)
    assert {frame.fault for frame in instance_of(file).frames} == {"2 frames with positions for 3"}
    change(file, NumberOfFrames=4)
    assert {frame.fault for frame in instance_of(file).frames} == {"4 frames with positions for 3"}


def test_only_the_frame_of_a_file_that_lacks_a_position_has_a_fault(
    enhanced: WrittenSeries,
) -> None:
    file = enhanced.paths[0]
    groups = pydicom.dcmread(file).PerFrameFunctionalGroupsSequence
    del groups[1].PlanePositionSequence
    change(file, PerFrameFunctionalGroupsSequence=groups)
    faults = [frame.fault for frame in instance_of(file).frames]
    assert faults == ["", "no valid Image Position (Patient)", ""]


def test_truncated_compressed_pixels_are_left_to_the_decoder(path: Path) -> None:
    transcode(path, RLELossless)
    path.write_bytes(path.read_bytes()[:-20])
    assert fault_of(path) == ""


@pytest.mark.parametrize("cut", [200, 400, 800])
def test_a_truncated_dicom_header_is_an_error_or_a_fault(path: Path, cut: int) -> None:
    path.write_bytes(path.read_bytes()[:cut])
    try:
        assert fault_of(path)
    except Exception as error:
        assert not isinstance(error, AssertionError)  # noqa: PT017  a fault that is empty
