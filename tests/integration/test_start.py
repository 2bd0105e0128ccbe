"""Commands import no slow package for a help, and no package of the segmentation for `inspect`."""

import subprocess
import sys
from pathlib import Path

import pytest

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
def test_a_help_text_imports_no_slow_package(command: str) -> None:
    packages = imported(*command.split(), "--help")
    assert "typer" in packages
    assert not packages & SLOW


def test_the_version_option_imports_no_slow_package() -> None:
    assert not imported("--version") & SLOW


def test_inspect_imports_no_package_of_the_segmentation(phantom_series: WrittenSeries) -> None:
    packages = imported("inspect", str(phantom_series.folder))
    assert "pydicom" in packages
    assert not packages & SEGMENTING


def test_the_startup_benchmark_measures_every_help(tmp_path: Path) -> None:
    report = tmp_path / "startup.md"
    command = [sys.executable, "-m", "benchmarks.startup", "--runs", "1", "--commands-only"]
    done = subprocess.run(
        [*command, "--output", str(report)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout in report.read_text()
    for name in ("totalmap models list --help", "totalmap gateway urgent --help", "inspect, 20"):
        assert name in done.stdout
