"""Runs all studies of an input one after the other, with a small network."""

import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml

from app.all_studies import StudyRun, run_all_studies, worst_exit_status
from app.run_study import RunOutcome, RunRequest, run_application
from tests.phantom.study import SeriesSpec, write_series
from totalmap.dicom.study_choice import StudyEntry
from totalmap.errors import (
    ConfigError,
    InputError,
    ModelError,
    OutputError,
    ResourceError,
    TotalMapError,
)
from totalmap.run_log import RunLog, SilentObserver
from totalmap.writers.status_json import describe_run

SMALL = SeriesSpec(rows=24, columns=24, n_slices=12)
FEW = replace(SMALL, n_slices=4)


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients in one folder; the slices of one are too few."""
    folder = tmp_path_factory.mktemp("patients")
    for body, spec in ((1, SMALL), (2, SMALL), (3, FEW)):
        write_series(folder / f"DOE^{body}", body, spec)
    return folder


@pytest.fixture(scope="module")
def base(patients: Path, fast_models: Path, tmp_path_factory: pytest.TempPathFactory) -> RunRequest:
    """A request to run all patients; many tests read its output folder."""
    folder = tmp_path_factory.mktemp("base")
    sections = {
        "segmentation": {"variant": "fast", "device": "cpu"},
        "results": {"kinds": ["seg", "csv"]},
        "quality": {"rejected": "deliver"},
    }
    (folder / "app.yaml").write_text(yaml.safe_dump(sections))
    return RunRequest(
        input_path=patients,
        output_folder=folder / "out",
        models_folder=fast_models,
        settings_file=folder / "app.yaml",
    )


@dataclass(frozen=True)
class Finished:
    """The studies that a run of all patients finished, and its log."""

    runs: tuple[StudyRun, ...]
    log: str


@pytest.fixture(scope="module")
def finished(base: RunRequest) -> Finished:
    log = io.StringIO()
    with redirect_stdout(log), redirect_stderr(log):
        runs = run(base)
    return Finished(runs, log.getvalue())


@pytest.fixture
def request_for(base: RunRequest, tmp_path: Path) -> RunRequest:
    """The same request with an output folder for one test."""
    return replace(base, output_folder=tmp_path / "out")


def run(request: RunRequest) -> tuple[StudyRun, ...]:
    begun: list[StudyEntry] = []
    runs = run_all_studies(request, SilentObserver(), begun.append)
    assert begun == [study_run.study for study_run in runs]
    return runs


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_run_of_all_studies_gives_each_study_its_own_folder_with_a_status(
    base: RunRequest, finished: Finished
) -> None:
    assert names_in(base.output_folder) == {"study-001", "study-002", "study-003"}
    for study_run in finished.runs:
        text = (study_run.output_folder / "status.json").read_text()
        status = json.loads(text)
        assert status["input"]["study_instance_uid"] == study_run.study.uid
        assert status["input"]["kind"] == "folder"
        assert (study_run.output_folder / "results").exists() is (study_run.outcome.error is None)
        assert "DOE^" not in text
    assert sorted(study_run.outcome.exit_status for study_run in finished.runs) == [0, 0, 65]
    assert worst_exit_status(finished.runs) == 65


def test_a_run_of_all_studies_loads_the_networks_once(finished: Finished) -> None:
    assert finished.log.count("model_verified") == 1


def test_in_a_run_of_all_studies_a_study_gives_the_same_results_as_in_a_run_of_its_own(
    request_for: RunRequest, finished: Finished
) -> None:
    study_run = next(
        study_run for study_run in reversed(finished.runs) if study_run.outcome.error is None
    )
    assert run_application(replace(request_for, study=study_run.study.uid)).error is None
    for name in ("seg.dcm", "measurements.csv"):
        written, expected = (
            (folder / "results" / name).read_bytes()
            for folder in (study_run.output_folder, request_for.output_folder)
        )
        assert written == expected


def test_results_of_an_earlier_run_of_all_studies_are_removed(
    base: RunRequest, request_for: RunRequest, finished: Finished, patients: Path
) -> None:
    output = request_for.output_folder
    shutil.copytree(base.output_folder, output)
    assert len(names_in(output)) == len(finished.runs)
    fewer = replace(request_for, input_path=patients / "DOE^3")
    run(fewer)
    assert names_in(output) == {"study-001"}
    run_application(fewer)
    assert names_in(output) == {"status.json", "metadata.json"}
    run(fewer)
    assert names_in(output) == {"study-001"}


def test_a_run_of_all_studies_removes_no_study_folder_that_no_run_made(
    request_for: RunRequest, patients: Path
) -> None:
    kept = request_for.output_folder / "study-009" / "letter.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("not ours")
    run(replace(request_for, input_path=patients / "DOE^3"))
    assert kept.read_text() == "not ours"


def test_a_run_of_all_studies_on_an_input_without_studies_fails_with_a_status(
    request_for: RunRequest, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no DICOM instance"):
        run(replace(request_for, input_path=tmp_path / "empty"))
    assert names_in(request_for.output_folder) == {"status.json", "metadata.json"}
    status = json.loads((request_for.output_folder / "status.json").read_text())
    assert status["error"]["exit_status"] == 65


def test_the_option_all_is_refused_for_a_nifti_file(
    request_for: RunRequest, tmp_path: Path
) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((9, 9, 9)), np.eye(4)), tmp_path / "ct.nii")
    with pytest.raises(ConfigError, match="--all"):
        run(replace(request_for, input_path=tmp_path / "ct.nii"))


def ended(error: TotalMapError | None) -> StudyRun:
    return StudyRun(
        study=StudyEntry(number=1, of=1, uid="1.2", series=1, images=1),
        output_folder=Path("out"),
        outcome=RunOutcome(error=error, status=describe_run(RunLog(), None, error)),
    )


def test_the_exit_status_of_a_run_of_all_studies_is_that_of_the_worst_error() -> None:
    """Each error is worse than all that stand after it."""
    kinds = (OutputError, ConfigError, ModelError, ResourceError, InputError)
    errors = [*(kind("a reason") for kind in kinds), None]
    expected = [70, 64, 66, 75, 65, 0]
    for first, exit_status in enumerate(expected):
        runs = [ended(error) for error in reversed(errors[first:])]
        assert worst_exit_status(runs) == exit_status
