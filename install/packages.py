"""Installs locked sets of packages into a virtual environment, and shows the progress.

It runs before any package is installed: it imports the standard library only.
"""

import argparse
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from install.read_lock_files import REPOSITORY, Lock, lock_of
from install.trim_and_compile import compile_all, compile_imported, trim

# PyTorch's own index has the builds for the CPU.
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
GPU_FILES = ("/proc/driver/nvidia/version", "/dev/nvidia0", "/dev/dxg")
# The lines of pip's output that are shown; other lines name every package several times.
SHOWN = ("Downloading ", "Building wheel", "Installing collected packages")


def main() -> int:
    """Installs the sets that the arguments name, and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m install.packages", description=__doc__)
    parser.add_argument("sets", nargs="+", choices=("run", "gateway", "development"))
    parser.add_argument("--torch", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--torch-index", default=TORCH_INDEX, help="index with PyTorch for the CPU")
    parser.add_argument("--without-totalmap", action="store_true", help="only its packages")
    given = parser.parse_args()
    try:
        install(given.sets, given.torch, given.torch_index, itself=not given.without_totalmap)
    except InstallError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


class InstallError(Exception):
    """pip could not install a set of packages."""


def install(sets: Sequence[str], torch: str, torch_index: str, *, itself: bool) -> None:
    """Installs sets of packages, PyTorch and TotalMAP itself into this Python's environment.

    Args:
        sets: The names of lock files, each after the sets that it builds on.
        torch: cpu, cuda, or auto: cuda on a machine with an NVIDIA GPU.
        torch_index: Address of an index with PyTorch for the CPU.
        itself: Whether TotalMAP is installed too, from this checkout.

    Raises:
        InstallError: pip failed.
    """
    if torch == "auto":
        torch = "cuda" if has_gpu() else "cpu"
    locks = [lock_of("build"), lock_of(f"torch-{torch}"), *map(lock_of, sets)]
    _announce(locks, torch)
    start = time.monotonic()
    for lock in locks:
        index = torch_index if lock.path.stem == "torch-cpu" else ""
        _install_lock(lock, index, replace_torch=_is_other_torch(lock))
    if itself:
        _pip("--no-deps", "--no-build-isolation", "--editable", str(REPOSITORY))
    # Holoscan's wheel makes links to its libraries at the first start of Python.
    _run_python("")
    packages = Path(sysconfig.get_paths()["purelib"])
    if "run" in sets:
        trim(packages)
    if itself and "run" in sets:
        compile_imported()
    if "development" in sets:
        compile_all(packages)
    _write_line(f"Installed in {time.monotonic() - start:.0f} s.")


def has_gpu() -> bool:
    """Returns whether this machine has an NVIDIA GPU with its driver."""
    return any(Path(name).exists() for name in GPU_FILES) or shutil.which("nvidia-smi") is not None


def _announce(locks: Sequence[Lock], torch: str) -> None:
    packages = sum(len(lock.pins) for lock in locks)
    megabytes = sum(lock.download_mb for lock in locks)
    kind = {"cpu": "the CPU (TORCH=cuda: for NVIDIA GPUs)", "cuda": "NVIDIA GPUs (TORCH=cpu: CPU)"}
    _write_line(
        f"Installing {packages} packages into {sys.prefix}, with PyTorch for {kind[torch]}: "
        f"up to {megabytes} MB of downloads."
    )


def _install_lock(lock: Lock, index: str, *, replace_torch: bool) -> None:
    options = ["--no-deps", "--no-build-isolation", "--requirement", str(lock.path)]
    if index:
        options += ["--index-url", index, "--retries", "1"]
    else:
        options += ["--require-hashes"]
    if replace_torch:
        options += ["--force-reinstall"]
    try:
        _pip(*options)
    except InstallError as error:
        if not index:
            raise
        raise InstallError(
            f"PyTorch for the CPU can't be installed from {index}. Set TORCH_INDEX to another "
            "address that has it, or take the larger build from PyPI with TORCH=cuda."
        ) from error


def _is_other_torch(lock: Lock) -> bool:
    """Returns whether the installed PyTorch is the CPU build and CUDA is wanted, or vice versa.

    pip takes both builds for the same version.
    """
    (wanted,) = [pin for pin in lock.pins if pin.startswith("torch==")] or [""]
    try:
        found = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return False
    return bool(wanted) and wanted != f"torch=={found}"


def _pip(*options: str) -> None:
    """Runs `pip install` and shows its progress.

    Raises:
        InstallError: pip failed. Its messages are on standard error.
    """
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--no-compile", *options]
    with subprocess.Popen(  # noqa: S603  our own command
        command, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as pip:
        assert pip.stdout is not None  # noqa: S101  it is a pipe
        for line in pip.stdout:
            words = line.strip().partition(": ")[0]
            if words.startswith(SHOWN):
                _write_line(f"  {words}")
    if pip.returncode:
        raise InstallError(f"pip ended with status {pip.returncode}; see its messages above.")


def _run_python(program: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", program]
    subprocess.run(command, check=True, cwd=REPOSITORY)  # noqa: S603  our own command


def _write_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
