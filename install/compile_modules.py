"""Compiles modules after an installation, so that every start is fast.

pip compiles nothing here: it would compile more modules than a run needs. Python compiles a module
when it first imports it, but not if PYTHONDONTWRITEBYTECODE is set.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from install.locks import REPOSITORY

SWITCHED_OFF_BY = "PYTHONDONTWRITEBYTECODE"
# Importing these compiles what a run and the gateway need, and nothing else.
ENTRY_POINTS = (
    "app.application",
    "cli.run",
    "cli.run_all_studies",
    "cli.inspect_output",
    "gateway.supervisor",
    "gateway.web.server",
    "totalmap.engine.totalsegmentator_api",
)


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
    compile_imported()
