"""Removes files of installed packages that no run needs.

These are the tests of the packages, PyTorch's C++ headers and test programs, and OpenVINO's
plug-ins for devices that TotalMAP does not use. The module also runs as a script, and imports the
standard library only.
"""

import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

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
    for name in OPENVINO_FILES:
        yield packages / "openvino" / "libs" / name


if __name__ == "__main__":
    trim(Path(sysconfig.get_paths()["purelib"]))
    sys.exit(0)
