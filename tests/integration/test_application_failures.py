"""Failed runs of the application end with one clear line, a status and reports, without results."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.application_runs import REPORTS, command, run
from tests.conftest import REPOSITORY
from tests.disk import small_disk
from tests.phantom.study import SeriesSpec, WrittenStudy, write_series, write_study
from tests.waiting import WAIT_SECONDS
from totalmap.engine.tasks import load_task
from totalmap.settings import Variant

(FAST_MODEL,) = load_task("total", Variant.FAST).models


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> WrittenStudy:
    return write_study(tmp_path_factory.mktemp("study"), 5, size=64, n_slices=30)


def test_an_empty_input_folder_ends_the_run_with_status_65(
    fast_models: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    run(source, tmp_path / "out", fast_models).fails_with(65, "InputError", "no DICOM instance")


def test_a_missing_input_folder_ends_the_run_with_status_65(
    fast_models: Path, tmp_path: Path
) -> None:
    done = run(tmp_path / "none", tmp_path / "out", fast_models)
    done.fails_with(65, "InputError", "the input does not exist")


def test_a_study_without_images_ends_the_run_with_status_65(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    done = run(study.dose_report.parent, tmp_path, fast_models)
    done.fails_with(65, "NoSuitableSeries", "none of 1 series can be segmented: no images")


def test_a_study_of_a_localizer_only_ends_the_run_with_status_65(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    done = run(study.localizer.folder, tmp_path, fast_models)
    done.fails_with(65, "NoSuitableSeries", "a localizer")
    assert done.status["series"][0]["reason"] == "a localizer (scout view) (image type LOCALIZER)"


def test_a_text_file_named_dcm_ends_the_run_with_status_65(
    fast_models: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "image.dcm").write_text("not DICOM at all, though long enough to hold a preamble" * 9)
    done = run(source, tmp_path / "out", fast_models)
    done.fails_with(65, "InputError", "1 files are not DICOM")


def test_a_truncated_instance_ends_the_run_with_status_65(
    fast_models: Path, tmp_path: Path
) -> None:
    written = write_series(tmp_path / "in", 5, SeriesSpec(rows=32, columns=32, n_slices=12))
    path = written.paths[4]
    path.write_bytes(path.read_bytes()[:-700])
    done = run(tmp_path / "in", tmp_path / "out", fast_models)
    done.fails_with(65, "NoSuitableSeries", r"1 of 12 images can't be used: file 5 \(….*\) \(its")


def test_a_missing_models_folder_ends_the_run_with_status_66(
    study: WrittenStudy, tmp_path: Path
) -> None:
    done = run(study.folder, tmp_path / "out", tmp_path / "no-models")
    done.fails_with(66, "ModelError", "no-models does not exist")


def test_a_changed_checkpoint_ends_the_run_with_status_66(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    models = shutil.copytree(fast_models, tmp_path / "models")
    with (models / FAST_MODEL.checkpoint).open("r+b") as file:
        file.seek(-9, os.SEEK_END)
        file.write(b"\0")
    done = run(study.folder, tmp_path / "out", models)
    done.fails_with(66, "ModelError", "was changed: its SHA-256 is")


def test_a_misspelt_setting_ends_the_run_with_status_64(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    done = run(study.folder, tmp_path, fast_models, TOTALMAP_SEGMENTATION__VARIENT="full")
    done.fails_with(64, "ConfigError", r"segmentation\.varient")


def test_an_output_folder_that_can_not_be_written_ends_the_run_with_status_64(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    done = run(study.folder, tmp_path / "file" / "out", fast_models)
    assert done.exit_status == 64, done.text
    assert "out can't be written" in done.text
    assert (tmp_path / "file").read_text() == "mine"


def test_an_incomplete_installation_ends_the_run_with_status_70(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "packages" / "holoscan"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libcudart.so.13: cannot open')")
    done = run(study.folder, tmp_path / "out", fast_models, PYTHONPATH=str(broken.parent))
    done.fails_with(70, "InternalError", r"incomplete: libcudart\.so\.13")


@pytest.mark.parametrize("inside", [".", "results"])
def test_an_input_inside_the_output_folder_is_refused_and_kept(
    fast_models: Path, tmp_path: Path, inside: str
) -> None:
    source = tmp_path / inside
    written = write_series(source, 5, SeriesSpec(rows=16, columns=16, n_slices=12))
    done = run(source, tmp_path, fast_models)
    assert done.exit_status == 64
    assert "lies in the output folder" in done.text
    assert all(path.exists() for path in written.paths)


def test_a_full_disk_ends_the_run_with_status_75_and_leaves_reports_only(
    study: WrittenStudy, fast_models: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "96k") as disk:  # room for the reports and no results
        done = run(study.folder, disk, fast_models)
        done.fails_with(75, "ResourceError", "No space left on device")


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_no_results_and_can_be_repeated(
    study: WrittenStudy, fast_models: Path, tmp_path: Path, signal_number: signal.Signals
) -> None:
    process = subprocess.Popen(
        command(study.folder, tmp_path, fast_models),
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "series_selected" in line:  # networks are not even loaded
            break
    process.send_signal(signal_number)
    process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode != 0
    assert not (tmp_path / "results").exists()
    assert not list(tmp_path.rglob("*.dcm"))

    again = run(study.folder, tmp_path, fast_models)
    assert again.exit_status == 0
    assert again.files == REPORTS | {"results/seg.dcm", "results/labels.nii.gz"}


def test_a_licensed_task_without_a_licence_ends_the_run_with_status_66(tmp_path: Path) -> None:
    write_series(tmp_path / "in", 1, SeriesSpec(rows=24, columns=20, n_slices=10))
    finished = run(
        tmp_path / "in", tmp_path / "out", tmp_path, TOTALMAP_SEGMENTATION__TASK="tissue_types"
    )
    finished.fails_with(66, "ModelError", "tissue_types needs a licence")
