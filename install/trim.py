"""Removes from an environment what its packages bring along and no run needs.

Removed are the tests of the packages, PyTorch's C++ headers and test programs, and OpenVINO's parts
for devices that TotalMAP does not use. Runs as a script as well, and imports the standard library
only.
"""

import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

TEST_FOLDERS = ("test", "tests")
# They test other packages' code; PyTorch imports them itself.
KEPT = ("torch/testing",)
# PyTorch asks for this program when it is imported; the other ones are tests.
TORCH_PROGRAM = "torch_shm_manager"
# OpenVINO computes on the CPU; these are for Intel's GPUs and NPUs.
OPENVINO_FILES = (
    "libopenvino_intel_gpu_plugin.so",
    "libopenvino_intel_npu_plugin.so",
    "cache.json",
)


def trim(packages: Path) -> None:
    """Removes what no run needs from a folder of installed packages."""
    for path in list(_needless(packages)):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _needless(packages: Path) -> Iterator[Path]:
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
