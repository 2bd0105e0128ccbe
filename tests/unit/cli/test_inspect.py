import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import app
from tests.phantom.study import SeriesSpec, WrittenStudy, write_series, write_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    return write_study(tmp_path_factory.mktemp("study"), 3, size=32, n_slices=20)


def inspected(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["inspect", *map(str, arguments)])


def test_inspect_shows_every_series_with_its_reason(study: WrittenStudy) -> None:
    done = inspected(study.folder)
    assert done.exit_code == 0
    for expected in (
        "* │ 2 Trunk 3.0 STANDARD",
        "chosen: 20 slices every 3 mm, soft kernel; best of 3 suitable series",
        "ranked 3 of 3: 20 slices every 3 mm, sharp kernel",
        "a localizer (scout view)",
        "no images",
    ):
        assert expected in done.stdout


def test_inspect_counts_and_numbers_ignored_files(study: WrittenStudy, tmp_path: Path) -> None:
    folder = shutil.copytree(study.thin_soft.folder, tmp_path / "in")
    (folder / "notes.txt").write_text("not DICOM")
    content = study.thin_soft.paths[0].read_bytes()
    (folder / "broken.dcm").write_bytes(content[: content.index(b"ORIGINAL") + 4])
    done = inspected(folder)
    assert "1 files are not DICOM: ignored" in done.stdout
    assert "Warning: file 21 (…" in done.stdout
    assert "begins like DICOM and is broken" in done.stdout
    assert "broken.dcm" not in done.stdout + done.stderr
    listed = inspected(folder, "--files").stdout.splitlines()
    assert len(listed) == 22
    assert listed[20].startswith("file 21 (…")
    assert listed[20].endswith("): broken.dcm")


def test_inspect_prints_the_series_as_json(study: WrittenStudy) -> None:
    series = json.loads(inspected(study.folder, "--json").stdout)
    assert [entry["chosen"] for entry in series] == [True] + [False] * 4
    assert series[0]["series_instance_uid"] == study.thin_soft.series_uid
    assert series[0]["slices"] == 20
    assert all(entry["reason"] for entry in series)


def test_inspect_ends_with_65_if_no_series_can_be_segmented(study: WrittenStudy) -> None:
    done = inspected(study.localizer.folder)
    assert done.exit_code == 65
    assert "a localizer (scout view)" in done.stdout
    assert "Error: none of 1 series can be segmented" in done.stderr


def test_inspect_refuses_a_series_of_two_patients_without_their_names(tmp_path: Path) -> None:
    written = write_series(tmp_path, 1, SeriesSpec(rows=32, columns=32, n_slices=20))
    for path in written.paths[10:]:
        dataset = pydicom.dcmread(path)
        dataset.PatientID, dataset.PatientName = "SECRET-ID", "SECRET^NAME"
        dataset.save_as(path)
    done = inspected(tmp_path)
    assert done.exit_code == 65
    assert "Error: the files of the chosen series disagree in Patient ID, Patient's Name" in (
        done.stderr
    )
    assert "SECRET" not in done.stdout + done.stderr


def test_inspect_writes_no_file(study: WrittenStudy) -> None:
    before = sorted(study.folder.rglob("*"))
    inspected(study.folder)
    assert sorted(study.folder.rglob("*")) == before


def test_inspect_refuses_a_missing_folder(tmp_path: Path) -> None:
    done = inspected(tmp_path / "none")
    assert done.exit_code == 65
    assert "the input does not exist" in done.stderr


@pytest.fixture(scope="module")
def patients(study: WrittenStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients in one folder; no series of the second one can be segmented."""
    folder = tmp_path_factory.mktemp("patients")
    shutil.copytree(study.folder, folder / "3")
    write_series(folder / "4", 4, SeriesSpec(rows=16, columns=16, n_slices=4, scanner=None))
    return folder


def test_inspect_numbers_several_studies(patients: Path, study: WrittenStudy) -> None:
    done = inspected(patients)
    assert done.exit_code == 0
    number = next(
        line.split()[1].rstrip(":") for line in done.stdout.splitlines() if study.study_uid in line
    )
    other = "2" if number == "1" else "1"
    assert f"Study {number}: {study.study_uid}, 5 series" in done.stdout
    assert f"Study {other}: 2.25." in done.stdout
    assert "1 series, 4 images" in done.stdout
    assert "The input holds 2 studies: run one of them with --study" in done.stdout
    one_study = inspected(patients, "--study", number)
    assert one_study.exit_code == 0
    assert "Trunk 3.0 LUNG" in one_study.stdout
    assert "The input holds" not in one_study.stdout
    assert inspected(patients, "--study", other).exit_code == 65
    assert inspected(patients, "--study", "3").exit_code == 65


def test_inspect_json_names_the_study_of_each_series(patients: Path) -> None:
    series = json.loads(inspected(patients, "--json").stdout)
    assert {entry["study"] for entry in series} == {1, 2}
    assert len({entry["study_instance_uid"] for entry in series}) == 2


def test_inspect_shows_a_zip_archive_like_its_folder(study: WrittenStudy, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "study"), "zip", study.folder)
    assert inspected(archive).stdout == inspected(study.folder).stdout


def test_inspect_describes_a_nifti_file(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((12, 11, 10), np.int16), np.diag([2.0, 2.0, 3.0, 1.0]))
    nibabel.save(image, tmp_path / "ct.nii.gz")
    done = inspected(tmp_path / "ct.nii.gz")
    assert done.exit_code == 0
    assert "A NIfTI file of 12 x 11 x 10 voxels, 2.00 x 2.00 x 3.00 mm, axial" in done.stdout
    assert "DICOM results need a DICOM input" in done.stdout
    assert json.loads(inspected(tmp_path / "ct.nii.gz", "--json").stdout)["shape"] == [12, 11, 10]
