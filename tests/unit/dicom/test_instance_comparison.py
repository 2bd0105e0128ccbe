from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from tests.phantom.study import WrittenSeries
from totalmap.dicom.instance_comparison import (
    PIXEL_DATA,
    UNREADABLE,
    attribute_name,
    differing_keywords,
)


@pytest.fixture
def first(phantom_series: WrittenSeries) -> Path:
    return phantom_series.paths[0]


@pytest.fixture
def dataset(first: Path) -> Dataset:
    return pydicom.dcmread(first)


def saved(dataset: Dataset, folder: Path) -> Path:
    path = folder / "second.dcm"
    dataset.save_as(path)
    return path


def test_a_dicom_file_in_another_transfer_syntax_has_the_same_content(
    first: Path, dataset: Dataset, tmp_path: Path
) -> None:
    dataset.compress(RLELossless, generate_instance_uid=False)
    assert differing_keywords(first, saved(dataset, tmp_path)) == ()
    for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        again = pydicom.dcmread(first)
        again.file_meta.TransferSyntaxUID = syntax
        path = tmp_path / f"{syntax}.dcm"
        pydicom.dcmwrite(
            path,
            again,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=True,
            enforce_file_format=True,
        )
        assert differing_keywords(first, path) == ()


def test_attributes_that_an_archive_may_change_are_not_compared_between_instances(
    first: Path, dataset: Dataset, tmp_path: Path
) -> None:
    dataset.file_meta.SourceApplicationEntityTitle = "ARCHIVE"
    dataset.file_meta.ImplementationVersionName = "OTHER"
    dataset.add_new(0x00091001, "LO", "private")
    dataset.RetrieveAETitle = "ARCHIVE"
    dataset.ReferringPhysicianName = ""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Other^Patient"  # totalmap.dicom.patient_comparison compares it
    assert differing_keywords(first, saved(dataset, tmp_path)) == ()


def test_differing_pixels_and_attributes_are_named_between_instances(
    first: Path, dataset: Dataset, tmp_path: Path
) -> None:
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.ImagePositionPatient = [0, 0, 7]
    path = saved(dataset, tmp_path)
    assert differing_keywords(first, path) == ("ImagePositionPatient", PIXEL_DATA)
    assert attribute_name("ImagePositionPatient") == "Image Position (Patient)"
    dataset.compress(RLELossless, generate_instance_uid=False)
    assert PIXEL_DATA in differing_keywords(first, saved(dataset, tmp_path))


def test_a_truncated_or_unreadable_dicom_file_has_different_content(
    first: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(first.read_bytes()[:-1000])
    assert differing_keywords(first, cut) == (PIXEL_DATA,)
    cut.write_bytes(b"no DICOM")
    assert differing_keywords(first, cut) == (UNREADABLE,)
