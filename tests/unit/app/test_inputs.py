"""Runs the application with a small network on each kind of input."""

import json
import shutil
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import yaml
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from app.run_study import RunOutcome, RunRequest, run_application
from tests.phantom import write_enhanced
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from totalmap.errors import ConfigError, InputError
from totalmap.open_input import InputKind

SMALL = SeriesSpec(rows=24, columns=24, n_slices=12)
KINDS = ["seg", "csv", "nifti"]


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> WrittenSeries:
    return write_series(tmp_path_factory.mktemp("series") / "DOE^JOHN", 1, SMALL)


@pytest.fixture(scope="module")
def two_patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patients")
    for body in (1, 2):
        write_series(folder / str(body), body, SMALL)
    return folder


@pytest.fixture(scope="module")
def from_folder(
    series: WrittenSeries, fast_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The output folder of a run on the folder of `series`."""
    folder = tmp_path_factory.mktemp("from-folder")
    assert run(series.folder, folder / "out", fast_models).error is None
    return folder / "out"


def run(
    source: Path, output: Path, models: Path, study: str | None = None, kinds: list[str] = KINDS
) -> RunOutcome:
    settings = output.parent / f"{output.name}.yaml"
    sections = {
        "segmentation": {"variant": "fast", "device": "cpu"},
        "results": {"kinds": kinds},
        # A network of random weights finds what is not to be believed.
        "quality": {"rejected": "deliver"},
    }
    settings.write_text(yaml.safe_dump(sections))
    return run_application(
        RunRequest(
            input_path=source,
            output_folder=output,
            models_folder=models,
            settings_file=settings,
            study=study,
        )
    )


def failed(outcome: RunOutcome, output: Path, kind: type[Exception]) -> str:
    """Asserts that the run failed, and returns the message in status.json, which has no name."""
    assert isinstance(outcome.error, kind)
    text = (output / "status.json").read_text()
    assert "DOE^" not in text
    assert not (output / "results").exists()
    message: str = json.loads(text)["error"]["message"]
    return message


def labels_of(output: Path) -> nibabel.Nifti1Image:
    return nibabel.load(output / "results" / "labels.nii.gz")


def image_of(series: WrittenSeries, axes: str) -> nibabel.Nifti1Image:
    """Returns the CT as a NIfTI image with the given axes."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ series.affine_lps
    image = nibabel.Nifti1Image(series.hu.transpose(2, 1, 0), affine)
    return image.as_reoriented(ornt_transform(io_orientation(affine), axcodes2ornt(axes)))


@pytest.fixture(scope="module")
def from_nifti(
    series: WrittenSeries, fast_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The output folder of a run on `series` as NIfTI, with axes that no DICOM series has."""
    folder = tmp_path_factory.mktemp("from-nifti")
    nibabel.save(image_of(series, "PSR"), folder / "DOE^JOHN.nii.gz")
    kinds = [*KINDS, "preview", "report"]
    assert run(folder / "DOE^JOHN.nii.gz", folder / "out", fast_models, kinds=kinds).error is None
    return folder / "out"


def test_a_nifti_file_gives_the_labels_of_the_dicom_series_on_its_own_grid(
    series: WrittenSeries, from_folder: Path, from_nifti: Path
) -> None:
    given, labels = image_of(series, "PSR"), labels_of(from_nifti)
    assert labels.shape == given.shape
    assert np.array_equal(labels.affine, given.affine)
    expected = nibabel.as_closest_canonical(labels_of(from_folder))
    found = nibabel.as_closest_canonical(labels)
    assert np.array_equal(np.asanyarray(found.dataobj), np.asanyarray(expected.dataobj))
    assert len(np.unique(expected.dataobj)) > 2


def test_a_nifti_file_gives_no_dicom_results_and_a_warning(from_nifti: Path) -> None:
    files = {path.name for path in (from_nifti / "results").iterdir()}
    assert files == {"preview.png", "report.html", "measurements.csv", "labels.nii.gz"}
    text = (from_nifti / "status.json").read_text()
    status = json.loads(text)
    assert status["input"]["kind"] == "nifti"
    assert status["series"] == []
    assert status["warnings"][0] == (
        "DICOM results need DICOM: the input is a NIfTI file, so these are left out: seg, "
        "the DICOM pages of the preview"
    )
    assert "its values are taken for CT" in status["warnings"][1]
    for written in (text, (from_nifti / "results" / "report.html").read_text()):
        assert "DOE^" not in written


def test_measurements_of_a_nifti_file_are_those_of_the_dicom_series(
    series: WrittenSeries, from_folder: Path, from_nifti: Path
) -> None:
    rows, expected = (
        (folder / "results" / "measurements.csv").read_text().splitlines()
        for folder in (from_nifti, from_folder)
    )
    assert len(rows) > 2
    assert [row + series.series_uid for row in rows[1:]] == expected[1:]


def test_a_nifti_file_is_refused_if_only_dicom_results_are_wanted(
    series: WrittenSeries, fast_models: Path, tmp_path: Path
) -> None:
    nibabel.save(image_of(series, "LAS"), tmp_path / "ct.nii")
    output = tmp_path / "out"
    outcome = run(tmp_path / "ct.nii", output, fast_models, kinds=["seg", "sr"])
    assert "asks for seg, sr alone" in failed(outcome, output, ConfigError)


def test_the_option_study_is_refused_for_a_nifti_file(
    series: WrittenSeries, fast_models: Path, tmp_path: Path
) -> None:
    nibabel.save(image_of(series, "LAS"), tmp_path / "ct.nii")
    outcome = run(tmp_path / "ct.nii", tmp_path / "out", fast_models, study="1")
    assert "--study chooses among DICOM studies" in failed(outcome, tmp_path / "out", ConfigError)


def test_a_zip_archive_gives_the_results_of_its_folder_and_leaves_no_temporary_files(
    series: WrittenSeries,
    from_folder: Path,
    fast_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = shutil.make_archive(
        str(tmp_path / "study"), "zip", series.folder.parent, series.folder.name
    )
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    outcome = run(Path(archive), tmp_path / "out", fast_models)
    assert outcome.status.input is not None
    assert outcome.status.input.kind is InputKind.ZIP
    assert not list((tmp_path / "temporary").iterdir())
    for name in ("seg.dcm", "measurements.csv", "labels.nii.gz"):
        written, expected = (
            (folder / "results" / name).read_bytes() for folder in (tmp_path / "out", from_folder)
        )
        assert written == expected


def test_a_broken_zip_archive_is_refused_as_input(fast_models: Path, tmp_path: Path) -> None:
    (tmp_path / "DOE^JOHN.zip").write_text("no archive")
    outcome = run(tmp_path / "DOE^JOHN.zip", tmp_path / "out", fast_models)
    assert "the ZIP archive is broken" in failed(outcome, tmp_path / "out", InputError)


def test_a_single_multi_frame_file_is_segmented_as_a_study(
    fast_models: Path, tmp_path: Path
) -> None:
    (path,) = set(write_enhanced(tmp_path / "in", 1, SMALL).paths)
    outcome = run(path, tmp_path / "out", fast_models)
    assert outcome.error is None
    assert outcome.status.input is not None
    assert outcome.status.input.kind is InputKind.DICOM_FILE
    assert (tmp_path / "out" / "results" / "seg.dcm").exists()


def test_a_study_of_a_single_slice_is_refused(
    series: WrittenSeries, fast_models: Path, tmp_path: Path
) -> None:
    outcome = run(series.paths[0], tmp_path / "out", fast_models)
    assert "1 slices, at least 10 are needed" in failed(outcome, tmp_path / "out", InputError)


def test_a_text_file_is_refused_as_input(fast_models: Path, tmp_path: Path) -> None:
    (tmp_path / "DOE^JOHN.txt").write_text("a letter")
    outcome = run(tmp_path / "DOE^JOHN.txt", tmp_path / "out", fast_models)
    message = failed(outcome, tmp_path / "out", InputError)
    assert message == "no DICOM instance in the input: 1 files are not DICOM, 0 are broken"


def test_an_input_folder_of_two_patients_is_refused(
    two_patients: Path, fast_models: Path, tmp_path: Path
) -> None:
    outcome = run(two_patients, tmp_path / "out", fast_models)
    assert outcome.exit_status == 65
    message = failed(outcome, tmp_path / "out", InputError)
    assert message.startswith("the input holds 2 studies: choose one with --study")
    assert "12 images" in message


def test_the_study_that_is_chosen_by_number_is_segmented(
    two_patients: Path, fast_models: Path, tmp_path: Path
) -> None:
    outcome = run(two_patients, tmp_path / "out", fast_models, study="2")
    source = outcome.status.input
    assert source is not None
    assert (source.study, source.studies) == (2, 2)
    seg = pydicom.dcmread(tmp_path / "out" / "results" / "seg.dcm")
    assert seg.StudyInstanceUID == source.study_instance_uid
    assert len(outcome.status.series) == 1
