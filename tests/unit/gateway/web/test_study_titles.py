import shutil
from pathlib import Path

import pytest

from gateway.dispatch.study_indexing import StudyIndexing
from gateway.web.study_titles import Headline, Headlines
from tests.unit.gateway.web.filling import Filled


@pytest.fixture
def headlines(gateway: Filled) -> Headlines:
    return Headlines(gateway.database, gateway.storage)


def test_the_headline_is_read_from_a_file_of_the_study(
    gateway: Filled, headlines: Headlines, instance: Path
) -> None:
    study = gateway.receive(
        instance,
        PatientName="Müller^Eva^Maria^Dr.",
        PatientID="4711",
        StudyDate="20261126",
        StudyDescription="CT Hüfte",
        AccessionNumber="A-100",
    )
    assert headlines.of(study) == Headline(
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
def test_a_dicom_name_is_shown_as_family_name_and_given_names(
    gateway: Filled, headlines: Headlines, instance: Path, name: str, title: str
) -> None:
    assert headlines.of(gateway.receive(instance, PatientName=name)).title == title


def test_the_headline_of_an_indexed_study_needs_no_file(
    gateway: Filled, headlines: Headlines, instance: Path
) -> None:
    study = gateway.receive(instance, PatientName="Müller^Eva")
    StudyIndexing(gateway.storage, gateway.database).apply()
    shutil.rmtree(gateway.storage.study_folder(study))
    assert headlines.of(study).title == "Müller, Eva"


def test_a_study_without_files_is_shown_by_the_end_of_its_uid(
    gateway: Filled, headlines: Headlines, instance: Path
) -> None:
    study = gateway.receive(instance, PatientName="Müller^Eva")
    assert headlines.of(study).title == "Müller, Eva"
    shutil.rmtree(gateway.storage.study_folder(study))
    assert headlines.of(study) == Headline(title=f"…{study[-12:]}")


def test_an_unknown_or_broken_study_is_shown_by_the_end_of_its_uid(
    gateway: Filled, headlines: Headlines, instance: Path
) -> None:
    assert headlines.of("1.2.840.99").title == "…1.2.840.99"
    study = gateway.receive(instance)
    (file,) = gateway.storage.study_folder(study).iterdir()
    file.write_bytes(b"no DICOM")
    assert headlines.of(study).title == f"…{study[-12:]}"
