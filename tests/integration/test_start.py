"""Commands and processes of the gateway import no package that they do not need."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.startup import helps
from cli.__main__ import app
from tests.conftest import REPOSITORY
from tests.phantom.study import WrittenSeries

# Packages that take long to import and that no help needs.
SLOW = frozenset(
    [
        "gateway",
        "highdicom",
        "holoscan",
        "imagecodecs",
        "monai",
        "nibabel",
        "numpy",
        "operators",
        "pandas",
        "pydicom",
        "pynetdicom",
        "scipy",
        "sqlalchemy",
        "structlog",
        "torch",
        "totalsegmentator",
        "uvicorn",
        "yaml",
    ]
)
SEGMENTING = frozenset(
    [
        "highdicom",
        "holoscan",
        "imagecodecs",
        "monai",
        "nibabel",
        "openvino",
        "operators",
        "pandas",
        "scipy",
        "torch",
    ]
)
# Processes of the gateway beside the worker.
NOT_SEGMENTING = (
    "gateway.supervisor",
    "gateway.receive.receive_process",
    "gateway.receive.serve_handed_over_connections",
    "gateway.dispatch.dispatcher",
    "gateway.web.server",
)
# One command of each group; a help imports its whole group.
COMMANDS = ("", "run", "models list", "deploy render", "gateway retry")


def imported(*words: str) -> set[str]:
    """Returns the packages that a command imports, in a process of its own."""
    command = [sys.executable, "-X", "importtime", "-m", "cli", *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_help_text_of_the_command_line_imports_no_slow_package(command: str) -> None:
    packages = imported(*command.split(), "--help")
    assert "typer" in packages
    assert not packages & SLOW


def test_the_version_option_imports_no_slow_package() -> None:
    assert not imported("--version") & SLOW


def test_inspect_imports_no_package_of_the_segmentation(phantom_series: WrittenSeries) -> None:
    packages = imported("inspect", str(phantom_series.folder))
    assert "pydicom" in packages
    assert not packages & SEGMENTING


def test_gateway_processes_that_segment_nothing_import_no_package_of_the_segmentation() -> None:
    program = f"import sys, {', '.join(NOT_SEGMENTING)}\nprint(*sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert "pynetdicom" in packages
    assert not packages & SEGMENTING


def test_the_startup_benchmark_times_the_help_of_every_command_and_each_of_them_succeeds() -> None:
    """In this process, so that the helps of all commands take a second."""
    timed = list(helps())
    names = {help_text.name for help_text in timed}
    assert {"totalmap models list --help", "totalmap gateway urgent --help"} <= names
    for help_text in timed:
        said = CliRunner().invoke(app, list(help_text.words[1:]))
        assert said.exit_code == help_text.status, help_text.name
        assert "Usage: " in said.output


def test_the_startup_benchmark_measures_helps_and_inspect(tmp_path: Path) -> None:
    report = tmp_path / "startup.md"
    command = [sys.executable, "-m", "benchmarks.startup", "--runs", "1", "--commands-only"]
    command += ["--helps", "models list", "gateway urgent"]
    done = subprocess.run(
        [*command, "--output", str(report)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout in report.read_text()
    table = done.stdout.splitlines()[2:]
    names = (
        "totalmap models list --help",
        "totalmap gateway urgent --help",
        "totalmap inspect, 20",
    )
    assert len(table) == len(names)
    assert all(line.startswith(name) for line, name in zip(table, names, strict=True))
