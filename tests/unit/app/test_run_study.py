"""Runs the application on folders that the user may not read or write; needs root."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import holoscan.logger  # noqa: F401  imported now: nobody may not read the interpreter's folders
import pytest

import app.application  # noqa: F401  likewise
from app.run_study import RunRequest, run_application
from tests.conftest import REPOSITORY
from totalmap.errors import ConfigError, InputError
from totalmap.writers.all_or_nothing import REPORT_NAMES

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@contextmanager
def nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that every user can read and write."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o777)
        # A repository in root's home is not for everybody to read.
        shutil.copy(REPOSITORY / "app.yaml", name)
        yield Path(name)


def request_in(folder: Path) -> RunRequest:
    return RunRequest(
        input_path=folder / "in",
        output_folder=folder / "out",
        models_folder=folder,
        settings_file=folder / "app.yaml",
    )


def test_an_unreadable_input_folder_fails_the_run_with_status_65(open_place: Path) -> None:
    (open_place / "in").mkdir(mode=0o700)
    with nobody():
        outcome = run_application(request_in(open_place))
    assert isinstance(outcome.error, InputError)
    assert "the input folder can't be read: Permission denied" in str(outcome.error)
    status = json.loads((open_place / "out" / "status.json").read_text())
    assert status["error"]["exit_status"] == 65
    metadata = json.loads((open_place / "out" / "metadata.json").read_text())
    assert metadata["exception"] == "InputError"
    assert metadata["exception_message"] == status["error"]["message"]
    assert {path.name for path in (open_place / "out").iterdir()} == set(REPORT_NAMES)


def test_an_output_folder_without_write_permission_is_a_config_error(open_place: Path) -> None:
    (open_place / "out").mkdir(mode=0o755)
    with nobody():
        outcome = run_application(request_in(open_place))
    assert isinstance(outcome.error, ConfigError)
    assert "out can't be written: Permission denied" in str(outcome.error)
    assert outcome.status.outcome == "failed"
    assert not list((open_place / "out").iterdir())
