"""The benchmark of a GPU, on the CPU; its seconds are not checked."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from benchmarks import gpu
from benchmarks.bare_machine import CARRIED
from benchmarks.speed import __main__ as speed
from totalmap.errors import ConfigError

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


def with_requirements(names: Iterable[str]) -> set[str]:
    """Returns the names of packages and of all that they require and that is installed."""
    found: set[str] = set()
    remaining = list(names)
    while remaining:
        name = remaining.pop()
        if name in found:
            continue
        try:
            requirements = distribution(name).requires or ()
        except PackageNotFoundError:
            continue
        found.add(name)
        needed = (Requirement(text) for text in requirements)
        remaining += [
            each.name for each in needed if not each.marker or each.marker.evaluate({"extra": ""})
        ]
    return found


def link_packages(folder: Path, names: Iterable[str]) -> None:
    """Makes a folder that holds these installed packages and no others."""
    for name in names:
        package = distribution(name)
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            if (source := Path(str(package.locate_file(top)))).exists():
                (folder / top).symlink_to(source)


def test_the_gpu_benchmark_runs_whole_on_a_bare_cpu_and_writes_no_results_of_it(
    tmp_path: Path,
) -> None:
    """The packages are those of a bare machine: PyTorch, NumPy, SciPy and the carried ones."""
    link_packages(tmp_path, {*with_requirements(["torch", "numpy", "scipy"]), *CARRIED})
    report = tmp_path / "speed-cuda.md"
    options = ("--device", "cpu", "--narrow", "--output", str(report))
    done = subprocess.run(
        [sys.executable, "-S", "-m", "benchmarks.gpu", *options],
        cwd=Path(gpu.__file__).parents[1],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for title in ("fast, 3 mm", "full, 1.5 mm"):
        lines = [line for line in done.stdout.splitlines() if line.startswith(title)]
        names = [line.removeprefix(f"{title}: ").partition(",")[0] for line in lines]
        for name in ("cold", "warm", "nnU-Net", "networks", "sums", "one upload of the image"):
            assert any(found.startswith(name) for found in names), (name, lines)
        for name in ("when repeated", "from the CPU's"):
            (differing,) = [line for line in lines if name in line]
            assert " 0 of " in differing
    assert "left out" not in done.stdout
    assert not report.exists()


def test_the_gpu_benchmark_names_the_parts_for_which_the_time_was_short(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert gpu.main(["--device", "cpu", "--narrow", "--minutes", "0"]) == 0
    left_out = [line for line in capsys.readouterr().out.splitlines() if "left out: time" in line]
    assert [line.split()[0] for line in left_out] == ["fast", "full"]


@without_gpu
@pytest.mark.parametrize("main", [gpu.main, speed.main])
def test_a_benchmark_of_a_missing_gpu_ends_with_a_sentence_and_the_status_of_wrong_settings(
    main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--device", "cuda"]) == ConfigError.exit_status
    assert capsys.readouterr().err == (
        "--device cuda: PyTorch finds no NVIDIA GPU here; choose --device cpu\n"
    )
