"""Runs the real command on folders and archives as a user gives them."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.phantom.study import SeriesSpec, WrittenSeries, write_series
from tests.waiting import WAIT_SECONDS

# Too few slices: every study is refused before a network is loaded.
FEW = SeriesSpec(rows=16, columns=16, n_slices=4, scanner=None)


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patients")
    write_series(folder / "DOE^JOHN", 1, FEW)
    write_series(folder / "DOE^JANE", 2, replace(FEW, n_slices=5))
    return folder


def totalmap(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *map(str, arguments)],
        cwd=REPOSITORY,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_totalmap_run_refuses_a_folder_of_two_patients_with_advice(
    patients: Path, tmp_path: Path
) -> None:
    done = totalmap("run", patients, tmp_path / "out", "--models", DEMO_MODELS)
    assert done.returncode == 65
    assert "the input holds 2 studies: choose one with --study" in done.stdout
    assert "DOE^" not in done.stdout + done.stderr
    assert json.loads((tmp_path / "out" / "status.json").read_text())["outcome"] == "failed"


def test_a_run_of_all_studies_prints_one_summary_and_ends_with_the_worst_exit_status(
    patients: Path, tmp_path: Path
) -> None:
    done = totalmap("run", patients, tmp_path / "out", "--all", "--models", DEMO_MODELS)
    assert done.returncode == 65, done.stderr
    assert "Study 2 of 2: 2.25." in done.stdout
    assert done.stdout.count("failed (65)") == 2
    assert "Study 1 failed: none of 1 series can be segmented" in done.stdout
    assert "0 of 2 studies were segmented. Exit status 65." in done.stdout
    for name in ("study-001", "study-002"):
        status = json.loads((tmp_path / "out" / name / "status.json").read_text())
        assert status["error"]["exit_status"] == 65


def test_the_options_for_one_study_and_for_all_studies_exclude_each_other(
    patients: Path, tmp_path: Path
) -> None:
    done = totalmap("run", patients, tmp_path / "out", "--all", "--study", "1")
    assert done.returncode == 64
    assert "--study takes one study and --all takes every study" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_application_segments_the_study_chosen_by_number(
    patients: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", f"-i{patients}", f"-o{tmp_path}", "--study", "2"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 65
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["input"]["study"] == 2
    assert status["error"]["kind"] == "NoSuitableSeries"


def test_a_stopped_run_on_a_zip_archive_leaves_no_temporary_files_behind(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    archive = shutil.make_archive(str(tmp_path / "study"), "zip", phantom_series.folder)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "app", f"-i{archive}", f"-o{tmp_path / 'out'}"]
    with subprocess.Popen(
        [*command, f"-m{DEMO_MODELS}"],
        cwd=REPOSITORY,
        env=os.environ | {"TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert any("series_selected" in line for line in process.stderr)
        assert list(temporary.glob("totalmap-*"))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 75
    assert not list(temporary.glob("totalmap-*"))
