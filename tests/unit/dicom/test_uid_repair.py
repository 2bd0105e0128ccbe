"""Tests that missing, invalid, repeated or split UIDs are repaired if the settings allow it.

Sources: dcm2niix#495 and medInria#156 (a Series Instance UID for every slice); de-identifiers that
run file by file, or write a constant; UUIDs with letters, as some tools write them.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.phantom.dose_report import write_dose_report
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from totalmap.dicom.series_selection import judge, selected
from totalmap.dicom.study import Study, read_study
from totalmap.dicom.study_choice import choose_study
from totalmap.dicom.volume import build_volume
from totalmap.errors import InputError, MixedPatients, NoSuitableSeries
from totalmap.selection_settings import SelectionSection
from totalmap.settings import GeometrySection

SMALL = SeriesSpec(rows=32, columns=32, n_slices=40, pixel_spacing_mm=(13.0, 13.0), scanner=None)
UUID = "5e0b1b1c-6f0a-4d0c-9d1c-aabbccddeeff"

Change = Callable[[int, Dataset], None]


def per_slice(*keywords: str) -> Change:
    def change(number: int, dataset: Dataset) -> None:
        for keyword in keywords:
            setattr(dataset, keyword, f"{dataset[keyword].value[:55]}.{number + 1}")

    return change


def constant(**values: str) -> Change:
    def change(_: int, dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return change


def both(*changes: Change) -> Change:
    def change(number: int, dataset: Dataset) -> None:
        for each in changes:
            each(number, dataset)

    return change


def change_files(written: WrittenSeries, change: Change) -> None:
    for number, path in enumerate(written.paths):
        dataset = pydicom.dcmread(path)
        change(number, dataset)
        dataset.save_as(path)


SPLIT_SERIES = "SeriesInstanceUID differs in each of 40 files that agree in the rest"
SPLIT_STUDY = "StudyInstanceUID differs in each of 40 files that agree in the rest"
REPEATED = "SOPInstanceUID is repeated in 40 files with different images"
CASES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "a series for every slice": (per_slice("SeriesInstanceUID"), (SPLIT_SERIES,)),
    "a study, series and frame of reference for every slice": (
        per_slice("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
        (SPLIT_STUDY, SPLIT_SERIES),
    ),
    "a study and series for every slice": (
        per_slice("StudyInstanceUID", "SeriesInstanceUID"),
        (SPLIT_STUDY, SPLIT_SERIES),
    ),
    "one SOP Instance UID": (constant(SOPInstanceUID="1.2.3.4.5"), (REPEATED,)),
    "one SOP Instance UID and a series for every slice": (
        both(constant(SOPInstanceUID="1.2.3.4.5"), per_slice("SeriesInstanceUID")),
        (SPLIT_SERIES, REPEATED),
    ),
    "UUIDs of series and study": (
        constant(SeriesInstanceUID=UUID, StudyInstanceUID=UUID[::-1]),
        ("SeriesInstanceUID, StudyInstanceUID of 40 of 40 instances are not valid UIDs",),
    ),
    "one invalid SOP Instance UID": (
        constant(SOPInstanceUID="ANONYMOUS"),
        ("SOPInstanceUID of 40 of 40 instances are not valid UIDs", REPEATED),
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Change, tuple[str, ...]]:
    return CASES[request.param]


pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI")


def test_a_series_with_wrong_uids_is_repaired_with_a_warning(
    case: tuple[Change, tuple[str, ...]], tmp_path: Path
) -> None:
    change, findings = case
    written = write_series(tmp_path / "ct", 1, SMALL)
    change_files(written, change)
    study = read_study(tmp_path)
    assert len(study.warnings) == len(findings)
    for warning, finding in zip(study.warnings, findings, strict=True):
        assert warning.startswith(finding)
        assert "derived" in warning
    choose_study(study, None)
    (selection,) = selected(judge(study, SelectionSection(), GeometrySection()))
    volume = build_volume(selection, GeometrySection())
    assert (volume.voxels == written.hu).all()
    assert len({item.key for item in volume.slices}) == SMALL.n_slices
    assert all(item.instance.repaired_uids for item in volume.slices)
    assert len({item.instance.frame_of_reference_uid for item in volume.slices}) == 1


def test_derived_uids_depend_on_the_content_alone(
    case: tuple[Change, tuple[str, ...]], tmp_path: Path
) -> None:
    written = write_series(tmp_path / "ct", 1, SMALL)
    change_files(written, case[0])
    (tmp_path / "moved").mkdir()
    for number, path in enumerate(reversed(written.paths)):
        shutil.copy(path, tmp_path / "moved" / f"{number}.dcm")
    assert uids(read_study(tmp_path / "ct")) == uids(read_study(tmp_path / "moved"))


def uids(study: Study) -> set[tuple[str, ...]]:
    return {instance.uids for series in study.series for instance in series.instances}


def test_wrong_uids_are_refused_if_repair_is_not_allowed(
    case: tuple[Change, tuple[str, ...]], tmp_path: Path
) -> None:
    change, findings = case
    change_files(write_series(tmp_path, 1, SMALL), change)
    with pytest.raises(InputError, match=r"study\.missing_uids is `refuse`") as caught:
        read_study(tmp_path, repair_missing_uids=False)
    assert str(caught.value).startswith(findings[0])
    assert UUID not in str(caught.value)


def test_a_structured_report_without_uids_does_not_make_its_study_refused(tmp_path: Path) -> None:
    written = write_series(tmp_path, 1, SMALL)
    report = pydicom.dcmread(written.paths[0])
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "Rows", "Columns", "PixelData"):
        del report[keyword]
    report.Modality = "SR"
    report.save_as(tmp_path / "report.dcm")
    study = read_study(tmp_path, repair_missing_uids=False)
    assert sorted(len(series.instances) for series in study.series) == [1, SMALL.n_slices]


def test_an_image_with_the_uid_of_another_image_gets_a_derived_uid(tmp_path: Path) -> None:
    written = write_series(tmp_path, 1, SMALL)
    dataset = pydicom.dcmread(written.paths[-1])
    dataset.SOPInstanceUID = written.sop_uids[0]
    dataset.save_as(written.paths[-1])
    study = read_study(tmp_path)
    assert study.warnings == (
        "SOPInstanceUID is repeated in 2 files with different images; others were derived from "
        "the content",
    )
    assert len(study.series[0].instances) == SMALL.n_slices


def test_copies_of_dicom_files_with_one_uid_count_once(tmp_path: Path) -> None:
    written = write_series(tmp_path / "ct", 1, SMALL)
    change_files(written, constant(SOPInstanceUID="1.2.3.4.5"))
    shutil.copytree(tmp_path / "ct", tmp_path / "copy")
    (series,) = read_study(tmp_path).series
    assert len(series.instances) == SMALL.n_slices


def test_slices_of_two_de_identified_patients_are_not_joined_to_a_series(tmp_path: Path) -> None:
    """Both are de-identified alike, one lies between the slices of the other."""
    split = per_slice("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    for seed, offset_mm in ((1, 0.0), (2, 1.5)):
        written = write_series(tmp_path / str(seed), seed, SMALL)

        def move(number: int, dataset: Dataset, offset_mm: float = offset_mm) -> None:
            split(number, dataset)
            x, y, z = dataset.ImagePositionPatient
            dataset.ImagePositionPatient = [x, y, z + offset_mm]
            dataset.StudyID = "1"

        change_files(written, move)
    study = read_study(tmp_path)
    assert len(study.series) == 2 * SMALL.n_slices
    with pytest.raises(NoSuitableSeries):
        selected(judge(study, SelectionSection(), GeometrySection()))


def test_joined_slices_that_name_two_patients_are_refused(tmp_path: Path) -> None:
    def change(number: int, dataset: Dataset) -> None:
        per_slice("SeriesInstanceUID")(number, dataset)
        dataset.PatientID = "A" if number < 20 else "B"

    change_files(write_series(tmp_path, 1, SMALL), change)
    with pytest.raises(MixedPatients, match="Patient ID"):
        selected(judge(read_study(tmp_path), SelectionSection(), GeometrySection()))


def test_a_localizer_and_a_report_with_study_uids_of_their_own_join_the_study_of_the_slices(
    tmp_path: Path,
) -> None:
    """A localizer and a dose report lie beside slices that have one Study Instance UID each."""
    split = per_slice("StudyInstanceUID", "SeriesInstanceUID")
    change_files(write_series(tmp_path / "ct", 1, SMALL), split)
    scout = write_series(tmp_path / "scout", 1, replace(SMALL, number=3, n_slices=1))
    change_files(scout, constant(StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.4"))
    report = write_dose_report(tmp_path / "dose" / "sr.dcm", 1)
    dataset = pydicom.dcmread(report)
    dataset.StudyInstanceUID = "1.2.5"
    dataset.save_as(report)
    study = read_study(tmp_path)
    assert len(study.series) == 3
    choose_study(study, None)
    (selection,) = selected(judge(study, SelectionSection(), GeometrySection()))
    assert len(selection.audit.slices) == SMALL.n_slices


def test_unrelated_series_of_one_image_each_are_not_joined(tmp_path: Path) -> None:
    """The images lie at one position and have one Instance Number, so they are no stack."""
    for number in range(1, 6):
        write_series(tmp_path / str(number), 1, replace(SMALL, number=number, n_slices=1))
    study = read_study(tmp_path)
    assert len(study.series) == 5
    assert study.warnings == ()
