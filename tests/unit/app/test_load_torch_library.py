"""Tests that PyTorch's library is loaded beside other imports, in a process of its own."""

import subprocess
import sys

from tests.conftest import REPOSITORY

LOADED_EARLY = """
import sys
from app.load_torch_library import load_torch_library_in_thread
thread = load_torch_library_in_thread()
thread.join()
assert "torch" not in sys.modules
print("libtorch_cpu.so" in open("/proc/self/maps").read())
import torch
print(int(torch.ones(2).sum()), load_torch_library_in_thread())
"""


def test_the_library_of_pytorch_is_loaded_without_its_import_and_only_once() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOADED_EARLY],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["True", "2", "None"]
