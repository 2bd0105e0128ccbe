"""Tests that datasets are encoded with the same bytes as by pydicom."""

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sr.coding import Code

from totalmap.writers.dicom.codes import code_item
from totalmap.writers.dicom.fast_dataset_encoding import encoded


def by_pydicom(dataset: Dataset, *, implicit: bool) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, implicit
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def sample() -> Dataset:
    """Returns a dataset with elements of many kinds, also in items of items."""
    item = code_item(Code("123", "DCM", "Odd"))
    item.ReferencedSOPInstanceUID = "1.2.3"
    item.PurposeOfReferenceCodeSequence = [code_item(Code("4", "SCT", "Even"))]
    item.DimensionIndexValues = [1, 2]
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.PatientName = "Müller^Anna"
    dataset.PatientID = None
    dataset.StudyDescription = "Übersicht"
    dataset.StudyDate, dataset.StudyTime = "20240101", "120000"
    dataset.SliceThickness, dataset.InstanceNumber = 1.5, 7
    dataset.ImagePositionPatient = [1.25, -3, 0]
    dataset.Rows, dataset.RecommendedDisplayCIELabValue = 512, [1, 2, 3]
    dataset.ImageComments = ""
    dataset.SourceImageSequence = [item, Dataset()]
    dataset.ReferencedSeriesSequence = []
    dataset.add_new(0x00091001, "UN", b"\1\2")
    dataset.add_new(0x00100000, "UL", 12)
    dataset.ModalityLUTType = "x" * 70_000
    return dataset


@pytest.mark.parametrize("implicit", [False, True])
def test_all_kinds_of_dicom_elements_are_encoded_as_by_pydicom(implicit: bool) -> None:
    del (dataset := sample()).ModalityLUTType
    assert encoded(dataset, implicit=implicit) == by_pydicom(dataset, implicit=implicit)
    assert encoded(sample(), implicit=True) == by_pydicom(sample(), implicit=True)


@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 144", ["", "ISO 2022 IR 87"]])
def test_dicom_texts_are_encoded_in_the_character_set_of_the_dataset(
    character_set: str | list[str],
) -> None:
    dataset = Dataset()
    dataset.SpecificCharacterSet = character_set
    dataset.StudyDescription = "Ж" if character_set == "ISO_IR 144" else "plain"
    dataset.SourceImageSequence = [code_item(Code("1", "DCM", "Meaning"))]
    assert encoded(dataset) == by_pydicom(dataset, implicit=False)


def test_dicom_items_with_another_character_set_or_without_a_length_are_left_to_pydicom() -> None:
    foreign, endless = code_item(Code("1", "DCM", "Größe")), code_item(Code("2", "DCM", "Two"))
    foreign.SpecificCharacterSet = "ISO_IR 100"
    endless.is_undefined_length_sequence_item = True
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SourceImageSequence = [foreign]
    dataset.ReferencedSeriesSequence = [endless]
    assert encoded(dataset) == by_pydicom(dataset, implicit=False)


def test_a_dicom_element_with_an_ambiguous_vr_gets_the_vr_of_its_pixels() -> None:
    dataset = sample()
    dataset.PixelRepresentation, dataset.PixelPaddingValue = 1, -1000
    del dataset.ModalityLUTType
    assert encoded(dataset) == by_pydicom(dataset, implicit=False)
    assert b"\x28\x00\x20\x01SS" in encoded(dataset)
