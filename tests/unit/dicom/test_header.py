"""Tests how a header looks up attributes, and how it treats invalid values."""

import io
from collections.abc import Callable
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from totalmap.dicom.header import BROKEN_VALUE, Header


def dataset(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def item(**values: Any) -> Sequence:
    return Sequence([dataset(**values)])


def raw(group: int, element: int, vr: str, value: bytes) -> Dataset:
    """A dataset as read from a file, with one element whose value is exactly these bytes."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    made = Dataset()
    made.add_new((group, element), vr, None)
    write_dataset(buffer, made)
    content = buffer.getvalue()[:6] + len(value).to_bytes(2, "little") + value
    return pydicom.dcmread(io.BytesIO(content), force=True)


def slope(text: bytes) -> Header:
    return Header(raw(0x0028, 0x1053, "DS", text))


def test_a_dicom_header_takes_an_attribute_from_the_first_dataset_that_has_it() -> None:
    header = Header(dataset(SliceThickness="1"), dataset(SliceThickness="2", KVP="120"))
    assert header.number("SliceThickness") == 1.0
    assert header.number("KVP") == 120.0


def test_a_dicom_header_skips_a_dataset_in_which_the_attribute_is_empty() -> None:
    header = Header(dataset(SliceThickness=None, Modality=""), dataset(SliceThickness="2"))
    assert header.number("SliceThickness") == 2.0
    assert header.text("Modality") == ""
    assert header.malformed == set()


def test_a_dicom_header_tries_each_keyword_in_all_datasets_before_the_next_keyword() -> None:
    header = Header(dataset(EchoTime="5"), dataset(EffectiveEchoTime=7.0))
    assert header.number("EffectiveEchoTime", "EchoTime") == 7.0
    assert header.number("EchoTime", "EffectiveEchoTime") == 5.0


def test_text_of_a_dicom_attribute_joins_several_values_and_strips_blanks_and_nulls() -> None:
    header = Header(dataset(ImageType=["ORIGINAL ", "PRIMARY"], StudyID="  7\0"))
    assert header.text("ImageType") == "ORIGINAL\\PRIMARY"
    assert header.text("StudyID") == "7"
    assert header.text("SeriesDescription") == ""


def test_words_of_a_dicom_attribute_are_returned_in_capitals_without_empty_values() -> None:
    header = Header(dataset(ImageType=["original", "", "Axial"]))
    assert header.words("ImageType") == ("ORIGINAL", "AXIAL")
    assert header.words("FrameType") == ()


@pytest.mark.parametrize(("text", "value"), [(b"1.5 ", 1.5), (b"-2E1", -20.0), (b"0 ", 0.0)])
def test_a_dicom_decimal_string_is_read_as_a_number(text: bytes, value: float) -> None:
    header = slope(text)
    assert header.number("RescaleSlope") == value
    assert header.malformed == set()


@pytest.mark.parametrize(
    "text", [b"abc ", b"1,5 ", b"nan ", b"inf ", b"1\\2 ", b"1E999 ", b"\xff\xfe"]
)
def test_a_dicom_value_that_is_no_finite_number_is_missing_and_malformed(text: bytes) -> None:
    header = slope(text)
    assert header.number("RescaleSlope") is None
    assert header.malformed == {"RescaleSlope"}


@pytest.mark.parametrize("text", [b"", b"  "])
def test_an_empty_dicom_number_is_missing_and_not_malformed(text: bytes) -> None:
    header = slope(text)
    assert header.number("RescaleSlope") is None
    assert header.malformed == set()


def test_a_wrong_count_of_numbers_in_a_dicom_attribute_is_missing_and_malformed() -> None:
    header = Header(dataset(PixelSpacing=["0.5", "0.7"], SliceThickness="3"))
    assert header.numbers(2, "PixelSpacing") == (0.5, 0.7)
    assert header.numbers(1, "SliceThickness") == (3.0,)
    assert header.malformed == set()
    assert header.numbers(3, "PixelSpacing") is None
    assert header.numbers(2, "SliceThickness") is None
    assert header.malformed == {"PixelSpacing", "SliceThickness"}


def test_one_invalid_number_makes_the_whole_dicom_attribute_malformed() -> None:
    header = Header(raw(0x0020, 0x0032, "DS", b"1\\x\\3 "))
    assert header.numbers(3, "ImagePositionPatient") is None
    assert header.malformed == {"ImagePositionPatient"}


def test_a_fraction_in_an_integer_dicom_attribute_is_malformed() -> None:
    header = Header(dataset(Rows=512), raw(0x0020, 0x0013, "IS", b"7.5 "))
    assert header.integer("Rows") == 512
    assert isinstance(header.integer("Rows"), int)
    assert header.integer("Columns") is None
    assert header.malformed == set()
    assert header.integer("InstanceNumber") is None
    assert "InstanceNumber" in header.malformed


def test_a_dicom_integer_written_with_a_decimal_point_is_read() -> None:
    assert Header(raw(0x0020, 0x0013, "IS", b"7.0 ")).integer("InstanceNumber") == 7


@pytest.mark.parametrize(
    "read",
    [
        lambda header: header.number("RescaleSlope"),
        lambda header: header.numbers(1, "RescaleSlope"),
        lambda header: header.integer("RescaleSlope"),
    ],
)
def test_a_dicom_sequence_in_place_of_a_number_is_malformed(
    read: Callable[[Header], object],
) -> None:
    spoilt = Dataset()
    spoilt.add_new(0x00281053, "SQ", [dataset(KVP="1")])
    header = Header(spoilt)
    assert read(header) is None
    assert header.malformed == {"RescaleSlope"}


def test_the_header_of_a_classic_dicom_file_is_its_only_frame_header() -> None:
    header = Header(dataset(KVP="120"))
    assert list(header.frames()) == [header]


def test_frame_groups_override_shared_groups_which_override_file_attributes() -> None:
    shared = dataset(
        PixelMeasuresSequence=item(SliceThickness="2", PixelSpacing=["1", "1"]),
        CTXRayDetailsSequence=item(KVP="100"),
    )
    own = [
        dataset(PixelMeasuresSequence=item(SliceThickness="1")),
        dataset(PlanePositionSequence=item(ImagePositionPatient=["1", "2", "3"])),
    ]
    header = Header(
        dataset(
            SharedFunctionalGroupsSequence=Sequence([shared]),
            PerFrameFunctionalGroupsSequence=Sequence(own),
            KVP="80",
            SliceThickness="9",
            Modality="CT",
        )
    )
    first, second = header.frames()
    assert first.number("SliceThickness") == 1.0
    assert second.number("SliceThickness") == 2.0
    assert first.numbers(2, "PixelSpacing") == (1.0, 1.0)
    assert first.number("KVP") == 100.0
    assert first.text("Modality") == "CT"
    assert first.numbers(3, "ImagePositionPatient") is None
    assert second.numbers(3, "ImagePositionPatient") == (1.0, 2.0, 3.0)


def test_a_malformed_value_in_one_frame_does_not_mark_other_frames() -> None:
    own = [
        dataset(PlanePositionSequence=item(ImagePositionPatient=["1", "2"])),
        dataset(PlanePositionSequence=item(ImagePositionPatient=["1", "2", "3"])),
    ]
    first, second = Header(dataset(PerFrameFunctionalGroupsSequence=Sequence(own))).frames()
    assert first.numbers(3, "ImagePositionPatient") is None
    assert second.numbers(3, "ImagePositionPatient") == (1.0, 2.0, 3.0)
    assert (first.malformed, second.malformed) == ({"ImagePositionPatient"}, set())


def test_empty_functional_groups_are_ignored() -> None:
    own = [
        dataset(PlanePositionSequence=Sequence()),
        Dataset(),
        dataset(PlanePositionSequence=item(ImagePositionPatient=["1", "2", "3"])),
    ]
    frames = list(Header(dataset(PerFrameFunctionalGroupsSequence=Sequence(own))).frames())
    assert [frame.numbers(3, "ImagePositionPatient") for frame in frames] == [
        None,
        None,
        (1.0, 2.0, 3.0),
    ]


def test_functional_groups_without_sequences_are_malformed() -> None:
    own = [dataset(SliceThickness="3"), dataset(KVP="120")]
    header = Header(dataset(PerFrameFunctionalGroupsSequence=Sequence(own)))
    frames = list(header.frames())
    assert len(frames) == 2
    assert header.malformed == {"PerFrameFunctionalGroupsSequence"}


KEYWORDS = {
    "AS": "PatientAge",
    "CS": "Modality",
    "DA": "StudyDate",
    "DS": "ImagePositionPatient",
    "DT": "AcquisitionDateTime",
    "FD": "DiffusionBValue",
    "IS": "InstanceNumber",
    "LO": "SeriesDescription",
    "SS": "PixelPaddingValue",
    "TM": "StudyTime",
    "UI": "SOPInstanceUID",
    "US": "Rows",
}


@given(
    vr=st.sampled_from(sorted(KEYWORDS)),
    value=st.binary(max_size=48)
    | st.text("0123456789.-+e\\ A", max_size=48).map(lambda text: text.encode()),
)
def test_the_text_of_a_dicom_attribute_of_any_bytes_is_that_which_pydicom_converts(
    vr: str, value: bytes
) -> None:
    keyword = KEYWORDS[vr]
    tag = Tag(keyword)
    stored = raw(tag.group, tag.element, vr, value)
    converted = Dataset()
    try:
        converted[tag] = raw(tag.group, tag.element, vr, value)[tag]
    except BROKEN_VALUE:
        header = Header(stored)
        assert (header.text(keyword), header.malformed) == ("", {keyword})
    else:
        ours, theirs = Header(stored), Header(converted)
        for _ in range(2):  # converted, and remembered
            assert ours.text(keyword) == theirs.text(keyword)
        assert ours.malformed == theirs.malformed
