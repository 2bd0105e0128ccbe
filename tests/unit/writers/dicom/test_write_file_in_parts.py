import zlib
from io import BytesIO

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SegmentationStorage,
)

from totalmap.writers.dicom.fast_dataset_encoding import encoded
from totalmap.writers.dicom.write_file_in_parts import (
    decimal_strings,
    element,
    element_header,
    sequence,
    write_parts,
)


def a_dataset() -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = SegmentationStorage
    dataset.SOPInstanceUID = "1.2.3"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Αθηνά^山田"
    return dataset


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("length", [2, 4, 70_000])
def test_pydicom_reads_a_dicom_file_that_was_written_in_parts(syntax: UID, length: int) -> None:
    inner = Dataset()
    inner.Rows = 7
    value = bytes(range(256)) * (length // 256) + bytes(length % 256)
    parts: list[bytes | memoryview] = [
        sequence("PerFrameFunctionalGroupsSequence", encoded(inner)),
        element_header("PixelData", b"OB", length),
        memoryview(value)[:1],
        value[1:],
    ]
    file = BytesIO()
    write_parts(file, a_dataset(), parts, syntax)
    assert len(file.getvalue()) % 2 == 0
    file.seek(0)
    read = pydicom.dcmread(file)
    assert read.file_meta.TransferSyntaxUID == syntax
    assert read.PatientName == "Αθηνά^山田"
    assert read.PerFrameFunctionalGroupsSequence[0].Rows == 7
    assert read.PixelData == value


@pytest.mark.parametrize(
    ("keyword", "value", "read"),
    [
        ("ReferencedSOPInstanceUID", "1.2.3", "1.2.3"),
        ("ReferencedFrameNumber", "127", 127),
        ("ImagePositionPatient", "-1.5\\2.0\\3.25", [-1.5, 2.0, 3.25]),
        ("DimensionIndexValues", bytes([1, 0, 0, 0, 2, 1, 0, 0]), [1, 258]),
        ("ReferencedSegmentNumber", bytes([3, 1]), 259),
    ],
)
@pytest.mark.parametrize("implicit", [False, True])
def test_encoded_dicom_elements_equal_those_of_pydicom(
    keyword: str, value: str | bytes, read: object, implicit: bool
) -> None:
    inner, dataset = Dataset(), Dataset()
    setattr(inner, keyword, read)
    dataset.ContourSequence = [inner]
    item = element(keyword, value, implicit=implicit)
    assert item == encoded(inner, implicit=implicit)
    whole = sequence("ContourSequence", item, implicit=implicit)
    assert whole == encoded(dataset, implicit=implicit)


def test_implicit_vr_allows_values_longer_than_64_kb() -> None:
    value = b"-1.5\\0.25" * 20_000
    file = BytesIO()
    part = element("ContourData", value, implicit=True)
    write_parts(file, a_dataset(), [part], ImplicitVRLittleEndian)
    file.seek(0)
    read = pydicom.dcmread(file)
    assert read.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert read.PatientName == "Αθηνά^山田"
    assert read.get_item("ContourData").value == value


def test_the_deflated_stream_of_a_written_dicom_file_has_no_header() -> None:
    file = BytesIO()
    write_parts(file, a_dataset(), [], DeflatedExplicitVRLittleEndian)
    meta = pydicom.dcmread(BytesIO(file.getvalue()), stop_before_pixels=True).file_meta
    start = 128 + 4 + 12 + meta.FileMetaInformationGroupLength
    assert zlib.decompress(file.getvalue()[start:], wbits=-15).startswith(b"\x08\x00\x05\x00CS")


# Numbers within a metre of each other, anywhere.
NUMBERS = st.floats(-1e7, 1e7).flatmap(
    lambda middle: st.lists(
        st.lists(st.floats(middle - 500, middle + 500), min_size=1, max_size=5), min_size=1
    )
)


@given(texts=NUMBERS)
def test_written_decimal_strings_are_the_numbers_with_three_decimals(
    texts: list[list[float]],
) -> None:
    values = np.concatenate(texts)
    written = decimal_strings(values, np.cumsum([len(text) for text in texts]))
    for text, numbers in zip(written, texts, strict=True):
        decimals = text.decode("ascii").split("\\")
        assert max(map(len, decimals)) <= 16
        np.testing.assert_allclose(
            [float(decimal) for decimal in decimals], numbers, rtol=0, atol=5.01e-4
        )


def test_written_decimal_strings_have_no_unnecessary_characters() -> None:
    values = np.array([1.0, -0.5, 0.0, -0.0004, 12.345, -12.34, 0.9996, 100.0])
    (text,) = decimal_strings(values, np.array([8]))
    assert text == rb"1\-0.5\0\0\12.345\-12.34\1\100"
