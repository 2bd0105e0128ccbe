import shutil
from pathlib import Path

import pytest

from gateway.dispatch.study_indexing import StudyIndexing
from gateway.web.study_titles import StudyTitle, StudyTitles
from tests.unit.gateway.web.filling import Filled


@pytest.fixture
def study_titles(gateway: Filled) -> StudyTitles:
    return StudyTitles(gateway.database, gateway.storage)


def test_the_headline_of_a_study_page_is_read_from_a_file_of_the_study(
    gateway: Filled, study_titles: StudyTitles, instance: Path
) -> None:
    study = gateway.receive(
        instance,
        PatientName="Müller^Eva^Maria^Dr.",
        PatientID="4711",
        StudyDate="20261126",
        StudyDescription="CT Hüfte",
        AccessionNumber="A-100",
    )
    assert study_titles.of(study) == StudyTitle(
        title="Müller, Eva Maria",
        patient_id="4711",
        study_date="2026-11-26",
        description="CT Hüfte",
        accession_number="A-100",
    )


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("", "(no name)"),
        ("^^^", "(no name)"),
        ("Cher", "Cher"),
        ("^Anna", "Anna"),
        ("Yamada^Tarou=山田^太郎", "Yamada, Tarou"),
        ("=山田^太郎", "山田, 太郎"),
    ],
)
def test_a_dicom_patient_name_is_shown_on_the_page_as_family_name_and_given_names(
    gateway: Filled, study_titles: StudyTitles, instance: Path, name: str, title: str
) -> None:
    assert study_titles.of(gateway.receive(instance, PatientName=name)).title == title


def test_the_headline_of_the_page_of_an_indexed_study_needs_no_file(
    gateway: Filled, study_titles: StudyTitles, instance: Path
) -> None:
    study = gateway.receive(instance, PatientName="Müller^Eva")
    StudyIndexing(gateway.storage, gateway.database).apply()
    shutil.rmtree(gateway.storage.study_folder(study))
    assert study_titles.of(study).title == "Müller, Eva"


def test_a_study_without_files_is_shown_on_the_page_by_the_end_of_its_uid(
    gateway: Filled, study_titles: StudyTitles, instance: Path
) -> None:
    study = gateway.receive(instance, PatientName="Müller^Eva")
    assert study_titles.of(study).title == "Müller, Eva"
    shutil.rmtree(gateway.storage.study_folder(study))
    assert study_titles.of(study) == StudyTitle(title=f"…{study[-12:]}")


def test_an_unknown_or_broken_study_is_shown_on_the_page_by_the_end_of_its_uid(
    gateway: Filled, study_titles: StudyTitles, instance: Path
) -> None:
    assert study_titles.of("1.2.840.99").title == "…1.2.840.99"
    study = gateway.receive(instance)
    (file,) = gateway.storage.study_folder(study).iterdir()
    file.write_bytes(b"no DICOM")
    assert study_titles.of(study).title == f"…{study[-12:]}"
