from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from gateway.read_study_attributes import read_study_attributes
from gateway.store.file_storage import Storage
from gateway.store.ledger import KeptInstance
from gateway.store.study_index import StudyAttributes
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.instances import ONE

STUDY = "1.2"


def stored(storage: Storage, source: Path, number: int, **attributes: Any) -> KeptInstance:
    """Stores an instance of a series of its own."""
    header = pydicom.dcmread(source)
    header.SpecificCharacterSet = "ISO_IR 192"
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    values = {name: getattr(ONE, name) for name in ONE.__slots__}
    instance = KeptInstance(
        **{**values, "sha256": f"{number:064x}", "series_instance_uid": f"{STUDY}.{number}"}
    )
    storage.study_folder(STUDY).mkdir(exist_ok=True)
    header.save_as(storage.path(instance))
    return instance


def test_the_first_instance_of_a_study_names_the_patient_and_each_series_its_modality(
    storage: Storage, phantom_series: WrittenSeries
) -> None:
    instances = [
        stored(
            *(storage, phantom_series.paths[0], 1),
            PatientName="Müller^Eva^Maria^Dr.=山田^太郎",
            PatientID=" 4711 ",
            StudyDate="20261126",
            StudyDescription="CT Hüfte",
            AccessionNumber="A-100",
            Modality="CT",
        ),
        stored(storage, phantom_series.paths[0], 2, Modality="SR", PatientName="Other"),
        stored(storage, phantom_series.paths[0], 3, Modality="CT"),
    ]
    assert read_study_attributes(STUDY, instances, storage) == StudyAttributes(
        study_instance_uid=STUDY,
        patient_name="Müller, Eva Maria",
        patient_id="4711",
        accession_number="A-100",
        study_date="2026-11-26",
        description="CT Hüfte",
        modalities="CT, SR",
        other_names="Müller^Eva^Maria^Dr.=山田^太郎",
    )


def test_study_attributes_that_are_too_long_or_not_printable_are_cut_or_cleaned(
    storage: Storage, phantom_series: WrittenSeries
) -> None:
    one = stored(
        *(storage, phantom_series.paths[0], 1),
        PatientID="1\x00\x1b2" + "x" * 5000,
        AccessionNumber=None,
    )
    found = read_study_attributes(STUDY, [one], storage)
    assert found is not None
    assert found.patient_id == ("12" + "x" * 5000)[:200]
    assert found.accession_number == ""


@pytest.mark.parametrize(
    ("date", "shown"),
    [("20260230", ""), ("2026.11.26", "2026-11-26"), ("", ""), ("today", "")],
)
def test_a_study_date_that_does_not_exist_is_left_out(
    storage: Storage, phantom_series: WrittenSeries, date: str, shown: str
) -> None:
    path = phantom_series.paths[0]
    with pydicom.config.disable_value_validation():
        one = stored(storage, path, 1, StudyDate=date)
    found = read_study_attributes(STUDY, [one], storage)
    assert found is not None
    assert found.study_date == shown


def test_a_study_whose_files_are_gone_or_broken_has_no_attributes(
    storage: Storage, phantom_series: WrittenSeries
) -> None:
    one = stored(storage, phantom_series.paths[0], 1)
    storage.path(one).write_bytes(b"no DICOM")
    assert read_study_attributes(STUDY, [one], storage) is None
    storage.path(one).unlink()
    assert read_study_attributes(STUDY, [one], storage) is None
