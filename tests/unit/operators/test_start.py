"""Tests that the application starts fast, and on a machine without CUDA."""

import subprocess
import sys

from tests.conftest import REPOSITORY

SAME_OBJECTS = """
import operators
from holoscan import core
from monai.deploy import core as monai_core
for name in ("Application", "Operator", "OperatorSpec", "Fragment", "ConditionType"):
    assert getattr(core, name) is getattr(monai_core, name), name
"""

HEAVY_MODULES = """
import sys
import app.application
print(*sorted({"monai", "torch", "highdicom", "nnunetv2"} & set(sys.modules)))
"""

CUDA_RUNTIME = """
import ctypes
real = ctypes.CDLL
def only_by_path(name, *args, **kwargs):
    if "/" not in str(name):
        raise OSError("not on the linker's path")
    return real(name, *args, **kwargs)
ctypes.CDLL = only_by_path
import app.application
maps = open("/proc/self/maps").read().splitlines()
print(*sorted({line.split()[-1] for line in maps if "libcudart" in line}))
"""


def run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def test_operators_have_the_base_classes_of_monai_deploy() -> None:
    run(SAME_OBJECTS)


def test_importing_the_application_imports_no_slow_module() -> None:
    assert run(HEAVY_MODULES) in {"", "highdicom"}


def test_the_cuda_runtime_is_loaded_from_the_wheel_if_the_system_has_none() -> None:
    """The linker loads a library of one name once: later imports get the first one."""
    (library,) = run(CUDA_RUNTIME).split()
    assert "site-packages/nvidia/cu13/lib/libcudart.so.13" in library
