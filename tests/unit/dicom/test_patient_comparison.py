"""Tests pairs of headers that one patient can have, and pairs that belong to two patients."""

import shutil
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.unit.dicom.patient_headers import (
    GERMAN,
    LATIN_1,
    NAMES,
    ONE_PATIENT,
    TWO_PATIENTS,
    VRS,
    Values,
    encoded,
    said,
)
from totalmap.dicom.instance import read_instance
from totalmap.dicom.patient_comparison import UNKNOWN, disagreements, read_patient
from totalmap.dicom.series_selection import judge, selected
from totalmap.dicom.study import Study, read_study
from totalmap.dicom.volume import build_volume
from totalmap.errors import MixedPatients
from totalmap.finding import Severity
from totalmap.quality.suitability.header_rules import header_findings
from totalmap.selection_settings import SelectionRule, SelectionSection
from totalmap.settings import GeometrySection

SMALL = SeriesSpec(rows=32, columns=32, n_slices=40, pixel_spacing_mm=(13.0, 13.0), scanner=None)
PAIR = replace(SMALL, n_slices=2)


def change(path: Path, values: Values) -> None:
    """Writes values into a file as the bytes that they are, an odd one padded."""
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        tag = Tag(keyword)
        dataset.pop(tag, None)
        if value is not None:
            padded = value + b" " * (len(value) % 2)
            dataset[tag] = RawDataElement(tag, VRS[keyword], len(padded), padded, 0, False, True)
    # Or pydicom would write the values anew in the character set.
    encodings = convert_encodings(dataset.get("SpecificCharacterSet"))
    is_declared = "SpecificCharacterSet" in dataset
    dataset.set_original_encoding(False, True, encodings if is_declared else "iso8859")
    dataset.save_as(path)
    if "PatientName" in values:
        assert (values["PatientName"] or b"") in path.read_bytes()


@pytest.fixture(scope="module")
def written_pair(tmp_path_factory: pytest.TempPathFactory) -> WrittenSeries:
    """Two slices; copy them, never change them."""
    return write_series(tmp_path_factory.mktemp("pair"), 1, PAIR)


def read_pair(written: WrittenSeries, folder: Path, pair: tuple[Values, Values]) -> Study:
    for path, values in zip(written.paths, pair, strict=True):
        change(Path(shutil.copy(path, folder)), values)
    return read_study(folder)


@pytest.mark.filterwarnings("ignore:.*Specific Character Set")
@pytest.mark.filterwarnings("ignore:Unknown encoding")
@pytest.mark.parametrize("case", ONE_PATIENT)
def test_different_headers_of_one_patient_agree_as_those_of_the_same_patient(
    case: str, written_pair: WrittenSeries, tmp_path: Path
) -> None:
    (series,) = read_pair(written_pair, tmp_path, ONE_PATIENT[case]).series
    assert series.disagreements == ()
    assert len(series.instances) == 2


@pytest.mark.parametrize("case", TWO_PATIENTS)
def test_headers_of_two_patients_disagree_in_the_attribute_that_differs(
    case: str, written_pair: WrittenSeries, tmp_path: Path
) -> None:
    pair = TWO_PATIENTS[case]
    study = read_pair(written_pair, tmp_path, pair)
    (series,) = study.series
    (keyword,) = [keyword for keyword in pair[0] if keyword != "SpecificCharacterSet"]
    assert series.disagreements == (NAMES[keyword],)
    assert f"files of a series of 2 disagree in {NAMES[keyword]}" in study.warnings


def test_at_least_twenty_pairs_of_headers_of_one_and_of_two_patients_are_compared() -> None:
    assert min(len(ONE_PATIENT), len(TWO_PATIENTS)) >= 20


OTHER = said(
    LATIN_1,
    PatientID=b"SECRET-ID",
    PatientName=b"SECRET^NAME",
    PatientBirthDate=b"19991231",
    PatientSex=b"M",
)


def chosen_from(folder: Path) -> Study:
    study = read_study(folder)
    selected(judge(study, SelectionSection(), GeometrySection()))
    return study


def test_a_series_of_two_patients_is_refused_without_showing_their_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = write_series(tmp_path, 1, SMALL)
    for path in written.paths[20:]:
        change(path, OTHER)
    with pytest.raises(MixedPatients) as caught:
        chosen_from(tmp_path)
    message = str(caught.value)
    assert message.startswith(
        "the files of the chosen series disagree in Patient ID, Patient's Birth Date, "
        "Patient's Name, Patient's Sex:"
    )
    captured = capsys.readouterr()
    shown = message + repr(caught.value) + captured.out + captured.err + repr(read_study(tmp_path))
    for value in ("SECRET", "19991231", "PHANTOM", "TM-PHANTOM", "19700102"):
        assert value not in shown


def test_a_left_out_file_of_another_patient_makes_its_series_refused(tmp_path: Path) -> None:
    """The file has the SOP Instance UID, position and number of a slice, and another patient."""
    written = write_series(tmp_path, 1, SMALL)
    change(Path(shutil.copy(written.paths[3], tmp_path / "z.dcm")), OTHER)
    with pytest.raises(MixedPatients):
        chosen_from(tmp_path)


def test_a_file_of_another_patient_and_study_makes_its_series_refused(
    tmp_path: Path,
) -> None:
    written = write_series(tmp_path, 1, SMALL)
    change(written.paths[-1], OTHER)
    dataset = pydicom.dcmread(written.paths[-1])
    dataset.StudyInstanceUID = "1.2.3"
    dataset.save_as(written.paths[-1])
    with pytest.raises(MixedPatients):
        chosen_from(tmp_path)


def test_another_patient_in_another_series_gives_a_review_finding(tmp_path: Path) -> None:
    write_series(tmp_path / "a", 1, SMALL)
    other = write_series(tmp_path / "b", 1, replace(SMALL, number=3, n_slices=12))
    for path in other.paths:
        change(path, OTHER)
    study = read_study(tmp_path)
    assert len({series.study_instance_uid for series in study.series}) == 1
    (selection,) = selected(judge(study, SelectionSection(), GeometrySection()))
    assert len(selection.audit.slices) == SMALL.n_slices
    findings = header_findings(build_volume(selection, GeometrySection()))
    (finding,) = [finding for finding in findings if finding.code == "OTHER_PATIENT"]
    assert finding.severity is Severity.REVIEW
    assert "Patient ID, Patient's Name, Patient's Birth Date" in finding.sentence
    assert "SECRET" not in str(finding)


def test_two_chosen_series_of_two_patients_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a", 1, SMALL)
    other = write_series(tmp_path / "b", 1, replace(SMALL, number=3, n_slices=12))
    for path in other.paths:
        change(path, OTHER)
    rules = SelectionSection(
        rules=(
            SelectionRule(name="long", min_slices=20),
            SelectionRule(name="short", max_slices=12),
        )
    )
    judgement = judge(read_study(tmp_path), rules, GeometrySection())
    assert len(judgement.selections) == 2
    with pytest.raises(MixedPatients):
        selected(judgement)


def test_two_series_of_one_patient_give_no_review_finding(tmp_path: Path) -> None:
    write_series(tmp_path / "a", 1, SMALL)
    write_series(tmp_path / "b", 1, replace(SMALL, number=3))
    (selection,) = selected(judge(read_study(tmp_path), SelectionSection(), GeometrySection()))
    codes = {
        finding.code for finding in header_findings(build_volume(selection, GeometrySection()))
    }
    assert "OTHER_PATIENT" not in codes


def test_a_decoded_dataset_names_the_same_patient_as_its_file(
    written_pair: WrittenSeries, tmp_path: Path
) -> None:
    path = Path(shutil.copy(written_pair.paths[0], tmp_path))
    change(path, encoded(GERMAN, "latin-1", LATIN_1))
    instance = read_instance(path)
    dataset = pydicom.dcmread(path)
    assert str(dataset.PatientName) == GERMAN  # decodes it
    assert instance is not None
    assert read_patient(dataset) == instance.patient


def test_the_text_form_of_a_patient_shows_no_value(written_pair: WrittenSeries) -> None:
    instance = read_instance(written_pair.paths[0])
    assert instance is not None
    for shown in (repr(instance), str(instance), repr(instance.patient), f"{instance.patient}"):
        assert "PHANTOM" not in shown.replace(str(written_pair.folder), "")
        assert "19700102" not in shown
        assert "meanings" not in shown


def test_a_header_without_patient_attributes_agrees_with_every_patient(
    written_pair: WrittenSeries,
) -> None:
    instance = read_instance(written_pair.paths[0])
    assert instance is not None
    assert disagreements([UNKNOWN, instance.patient, read_patient(Dataset())]) == ()
    assert disagreements([]) == ()
