"""Makes the environment of the readers, and runs them in it.

It is made once for each version of Python and of locked.txt, because it takes half a minute. Every
file that pip installs has to have the hash that is in locked.txt.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from install.read_lock_files import lock_of
from tests.kept_downloads import kept_folder, last_line

HERE = Path(__file__).parent
LOCK = HERE / "locked.txt"
# What builds the one package that the index has as a source only.
BUILD_LOCK = lock_of("build").path
INSTALL_SECONDS = 600
READ_SECONDS = 300
# pip's words for a file that was changed: no reason to leave a reader out.
CHANGED = "DO NOT MATCH THE HASHES"


def run_reader(script: str, *arguments: object) -> None:
    """Runs one of the read_*.py with its readers, or skips the test that needs it.

    Args:
        script: Its file name.
        arguments: Its arguments.
    """
    made = kept_folder("python-readers", _ingredients(), _make)
    if isinstance(made, str):
        pytest.skip(f"pydicom-seg, dcmrtstruct2nii and dicompyler-core were not tried: {made}")
    done = subprocess.run(
        [made / "bin" / "python", "-I", HERE / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=READ_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def _ingredients() -> str:
    return "\n".join([sys.version, sys.base_prefix, BUILD_LOCK.read_text(), LOCK.read_text()])


def _make(folder: Path) -> str:
    """Makes the environment; returns what pip can't get, or nothing."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    pip += ["--quiet", "--disable-pip-version-check", "--retries=1", "--no-cache-dir"]
    pip += ["--no-deps", "--require-hashes", "--no-build-isolation"]
    for lock in (BUILD_LOCK, LOCK):
        done = subprocess.run(
            [*pip, "--requirement", str(lock)],
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        assert CHANGED not in done.stderr, done.stderr
        if done.returncode:
            return f"pip can't install their packages ({last_line(done.stderr)})"
    return ""
