"""Finishes an installation: removes files that no run needs, and compiles the modules of a run.

The removed files are the tests of the packages, PyTorch's C++ headers and test programs,
OpenVINO's plug-ins for devices that TotalMAP does not use, and a font of reportlab. Modules are
compiled so that every start is fast. pip compiles nothing, because it would compile more modules
than a run needs.
Python compiles a module when it first imports it, but not if PYTHONDONTWRITEBYTECODE is set.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from install.read_lock_files import REPOSITORY

TEST_FOLDERS = ("test", "tests")
# PyTorch itself imports this folder, which tests the code of others.
KEPT = ("torch/testing",)
# PyTorch needs this program when it is imported; the other programs are tests.
TORCH_PROGRAM = "torch_shm_manager"
# OpenVINO computes on the CPU; these are for Intel's GPUs and NPUs.
OPENVINO_FILES = (
    "libopenvino_intel_gpu_plugin.so",
    "libopenvino_intel_npu_plugin.so",
    "cache.json",
)
# A font of reportlab that is under the GPL; no code uses it.
REPORTLAB_FONTS = "DarkGarden*"
SWITCHED_OFF_BY = "PYTHONDONTWRITEBYTECODE"
# Importing these compiles what a run and the gateway need, and nothing else.
ENTRY_POINTS = (
    "app.application",
    "cli.run",
    "cli.run_summary",
    "cli.print_series_of_input",
    "gateway.supervisor",
    "gateway.web.server",
    "totalmap.engine.totalsegmentator_api",
)


def trim(packages: Path) -> None:
    """Removes the files that no run needs from a folder of installed packages."""
    for path in list(_unneeded(packages)):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _unneeded(packages: Path) -> Iterator[Path]:
    for name in TEST_FOLDERS:
        for folder in packages.rglob(name):
            place = folder.relative_to(packages).as_posix()
            if folder.is_dir() and not place.startswith(KEPT):
                yield folder
    yield packages / "torch" / "include"
    for program in (packages / "torch" / "bin").glob("*"):
        if program.name != TORCH_PROGRAM:
            yield program
    yield from (packages / "reportlab" / "fonts").glob(REPORTLAB_FONTS)
    for name in OPENVINO_FILES:
        yield packages / "openvino" / "libs" / name


def compile_imported(modules: Sequence[str] = ENTRY_POINTS, folder: Path = REPOSITORY) -> None:
    """Compiles modules of a folder and all modules that they import.

    Raises:
        CalledProcessError: A module can't be imported.
    """
    environment = {name: value for name, value in os.environ.items() if name != SWITCHED_OFF_BY}
    command = [sys.executable, "-W", "ignore", "-c", f"import {', '.join(modules)}"]
    subprocess.run(command, check=True, cwd=folder, env=environment)  # noqa: S603  our own


def compile_all(folder: Path) -> None:
    """Compiles all modules of a folder; skips files that are not valid in this Python version."""
    command = [sys.executable, "-m", "compileall", "-qq", "-j", "0", str(folder)]
    subprocess.run(command, check=False)  # noqa: S603  our own command


if __name__ == "__main__":
    trim(Path(sysconfig.get_paths()["purelib"]))
    compile_imported()
