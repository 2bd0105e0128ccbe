"""Tests the copy of a measurement report that a person has verified."""

from dataclasses import replace
from pathlib import Path

import highdicom
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.unit.writers.small_results import small_results
from tests.unit.writers.sr.test_writer import IOD, OWN_SCHEME
from tests.validators import errors_of_pixelmed, findings_of_dciodvfy, rendered_by_dcmtk
from totalmap.errors import ConfigError, OutputError
from totalmap.reviewer import Reviewer
from totalmap.writers.dicom.identifiers import verified_description
from totalmap.writers.sr.verified_report import write_verified_report

# 2026-12-03 22:15:16 UTC.
REVIEWER = Reviewer(name="Dr. Eva Müller", at=1_796_336_116.9, reason="All fine.", uid_key="7")
ORGANIZATION = "Klinikum Nord"
CHANGED = {
    *("SOPInstanceUID", "SeriesInstanceUID", "SeriesDescription", "ContentDate", "ContentTime"),
    *("PreliminaryFlag", "VerificationFlag"),
}
ADDED = {"PredecessorDocumentsSequence", "VerifyingObserverSequence"}
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def said(character_set: str | list[str], name: str) -> Dataset:
    """Returns attributes of a source: a patient's name in a character set."""
    source = Dataset()
    source.SpecificCharacterSet = character_set
    source.PatientName = name
    source.StudyDescription = name.partition("=")[0].replace("^", " ")
    return source


@pytest.fixture(scope="module")
def sr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = said("ISO_IR 100", "Müller^Jürgen")
    _, path = small_results(tmp_path_factory.mktemp("latin"), "seg", "sr", source=source)
    return path


@pytest.fixture(scope="module")
def verified(sr: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("verified") / "verified.dcm"
    write_verified_report(sr, REVIEWER, ORGANIZATION, target)
    return target


def test_a_verified_report_names_its_observer_and_its_predecessor(sr: Path, verified: Path) -> None:
    before, report = pydicom.dcmread(sr), pydicom.dcmread(verified)
    assert report.VerificationFlag == "VERIFIED"
    assert (report.PreliminaryFlag, report.CompletionFlag) == ("FINAL", "COMPLETE")
    (observer,) = report.VerifyingObserverSequence
    assert observer.VerifyingObserverName == "Dr. Eva Müller^"
    assert observer.VerifyingOrganization == ORGANIZATION
    assert observer.VerificationDateTime == "20261203221516+0000"
    assert observer.VerifyingObserverIdentificationCodeSequence == []
    assert (report.ContentDate, report.ContentTime) == ("20261203", "221516")
    (study,) = report.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert study.StudyInstanceUID == before.StudyInstanceUID == report.StudyInstanceUID
    assert series.SeriesInstanceUID == before.SeriesInstanceUID != report.SeriesInstanceUID
    assert instance.ReferencedSOPClassUID == before.SOPClassUID == report.SOPClassUID
    assert instance.ReferencedSOPInstanceUID == before.SOPInstanceUID != report.SOPInstanceUID
    assert report.file_meta.MediaStorageSOPInstanceUID == report.SOPInstanceUID
    assert "unverified" in before.SeriesDescription
    assert report.SeriesDescription.endswith("measurements (AI, verified)")


def test_all_else_in_a_verified_report_has_the_bytes_of_its_predecessor(
    sr: Path, verified: Path
) -> None:
    before, report = pydicom.dcmread(sr), pydicom.dcmread(verified)
    tags = {pydicom.datadict.keyword_for_tag(tag) for tag in set(report.keys()) - before.keys()}
    assert tags == ADDED
    differing = {
        pydicom.datadict.keyword_for_tag(tag)
        for tag in before.keys()  # noqa: SIM118  iterating would decode the elements
        if before.get_item(tag).value != report.get_item(tag).value
    }
    assert differing == CHANGED
    content = before.get_item("ContentSequence").value
    assert isinstance(content, bytes)
    assert len(content) > 1000


def test_validators_and_readers_accept_a_verified_report(
    sr: Path, verified: Path, tmp_path: Path
) -> None:
    assert set(findings_of_dciodvfy(verified, IOD)) <= {OWN_SCHEME}
    assert errors_of_pixelmed(verified) == []
    assert "Klinikum Nord" in rendered_by_dcmtk(verified, tmp_path)
    report, before = highdicom.sr.srread(verified), highdicom.sr.srread(sr)
    assert report.VerificationFlag == "VERIFIED"
    assert report.content == before.content


def test_the_same_decision_gives_the_same_verified_report_and_another_one_another_object(
    sr: Path, verified: Path, tmp_path: Path
) -> None:
    write_verified_report(sr, REVIEWER, ORGANIZATION, tmp_path / "again.dcm")
    assert (tmp_path / "again.dcm").read_bytes() == verified.read_bytes()
    write_verified_report(sr, replace(REVIEWER, uid_key="8"), ORGANIZATION, tmp_path / "other.dcm")
    first, other = pydicom.dcmread(verified), pydicom.dcmread(tmp_path / "other.dcm")
    assert other.SOPInstanceUID != first.SOPInstanceUID
    assert other.SeriesInstanceUID != first.SeriesInstanceUID


def test_a_report_that_is_verified_again_succeeds_the_verified_one(
    verified: Path, tmp_path: Path
) -> None:
    second = replace(REVIEWER, name="Dr. Jan Kowalski", uid_key="8")
    write_verified_report(verified, second, ORGANIZATION, tmp_path / "second.dcm")
    report, first = pydicom.dcmread(tmp_path / "second.dcm"), pydicom.dcmread(verified)
    (study,) = report.PredecessorDocumentsSequence
    instance = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert instance.ReferencedSOPInstanceUID == first.SOPInstanceUID
    (observer,) = report.VerifyingObserverSequence
    assert observer.VerifyingObserverName == "Dr. Jan Kowalski^"
    assert report.SeriesDescription == first.SeriesDescription


@pytest.mark.parametrize(
    ("character_set", "patient", "reviewer", "expected"),
    [
        ("ISO_IR 100", "Müller^Jürgen", "Łukasz Nowak", "ISO_IR 192"),
        ("ISO_IR 144", "Иванов^Иван", "Ева Мюллер", "ISO_IR 144"),
        ("ISO_IR 144", "Иванов^Иван", "Eva Müller", "ISO_IR 192"),
        (["", "ISO 2022 IR 87"], JAPANESE, "Eva Miller", ["", "ISO 2022 IR 87"]),
        (["", "ISO 2022 IR 87"], JAPANESE, "山田 太郎", "ISO_IR 192"),
    ],
)
def test_every_text_is_kept_if_the_name_of_the_observer_needs_another_character_set(
    tmp_path: Path,
    character_set: str | list[str],
    patient: str,
    reviewer: str,
    expected: str | list[str],
) -> None:
    _, sr = small_results(tmp_path, "seg", "sr", source=said(character_set, patient))
    target = tmp_path / "verified.dcm"
    write_verified_report(sr, replace(REVIEWER, name=reviewer), reviewer, target)
    before, report = pydicom.dcmread(sr), pydicom.dcmread(target)
    assert report.SpecificCharacterSet == expected
    assert str(report.PatientName) == str(before.PatientName) == patient
    assert report.StudyDescription == before.StudyDescription
    (observer,) = report.VerifyingObserverSequence
    assert observer.VerifyingObserverName.family_name == reviewer
    assert observer.VerifyingOrganization == reviewer
    content = [pydicom.dcmread(path).get_item("ContentSequence").value for path in (sr, target)]
    assert content[0] == content[1]
    assert set(findings_of_dciodvfy(target, IOD)) == set(findings_of_dciodvfy(sr, IOD))


def test_times_of_a_verified_report_are_in_the_time_zone_of_its_data_set(tmp_path: Path) -> None:
    source = Dataset()
    source.TimezoneOffsetFromUTC = "+0530"
    _, sr = small_results(tmp_path, "seg", "sr", source=source)
    write_verified_report(sr, REVIEWER, ORGANIZATION, tmp_path / "verified.dcm")
    report = pydicom.dcmread(tmp_path / "verified.dcm")
    assert report.TimezoneOffsetFromUTC == "+0530"
    assert (report.ContentDate, report.ContentTime) == ("20261204", "034516")
    (observer,) = report.VerifyingObserverSequence
    assert observer.VerificationDateTime == "20261204034516+0530"


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("TotalMAP total fast SR (AI, unverified)", "TotalMAP total fast SR (AI, verified)"),
        ("A (AI, unverified, NEEDS REVIEW)", "A (AI, verified)"),
        ("A (AI, REJECTED)", "A (AI, verified)"),
        ("A (AI, verified)", "A (AI, verified)"),
        ("", " (AI, verified)"),
        (
            "A DEMO MODEL (not for patients)",
            "A DEMO MODEL (not for patients) (AI, verified)",
        ),
        ("x" * 64, "x" * 49 + " (AI, verified)"),
    ],
)
def test_the_description_of_a_verified_series_says_so_in_64_characters(
    description: str, expected: str
) -> None:
    assert verified_description(description) == expected


def test_a_report_is_not_verified_without_the_names_of_person_and_organization(
    sr: Path, tmp_path: Path
) -> None:
    for name, organization in (("^= ", ORGANIZATION), ("Eva Müller", " \n")):
        with pytest.raises(ConfigError, match="needs the names"):
            write_verified_report(
                sr, replace(REVIEWER, name=name), organization, tmp_path / "verified.dcm"
            )
    assert list(tmp_path.iterdir()) == []


def test_only_a_report_can_be_verified(sr: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="only a structured report"):
        write_verified_report(
            sr.with_name("seg.dcm"), REVIEWER, ORGANIZATION, tmp_path / "verified.dcm"
        )


def test_a_damaged_report_is_not_verified(sr: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "sr.dcm"
    for content in (b"", b"no DICOM", sr.read_bytes()[:-9], sr.read_bytes()[:400]):
        damaged.write_bytes(content)
        with pytest.raises(OutputError, match="DICOM result 1 of 1 is "):
            write_verified_report(damaged, REVIEWER, ORGANIZATION, tmp_path / "verified.dcm")
    with pytest.raises(ConfigError, match=r"DICOM result 1 of 1 can't be read: No such file"):
        write_verified_report(
            tmp_path / "missing", REVIEWER, ORGANIZATION, tmp_path / "verified.dcm"
        )
