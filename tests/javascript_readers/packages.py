"""Gets the npm packages of the readers, and runs them with node.

They are fetched once for each version of package-lock.json, which has the hash of every file. No
script of a package runs while it is installed.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.kept_downloads import kept_folder, last_line
from tests.servers import require_program

HERE = Path(__file__).parent
MANIFESTS = (HERE / "package.json", HERE / "package-lock.json")
DRIVER = HERE / "read_results.mjs"
INSTALL_SECONDS = 600
READ_SECONDS = 300
# npm's word for a file that was changed: no reason to leave a reader out.
CHANGED = "EINTEGRITY"


def read_results(task: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what read_results.mjs writes for a task, or skips the test that needs it.

    Args:
        task: As read_results.mjs takes it, without `out`.
    """
    for name, package in (("node", "nodejs"), ("npm", "npm")):
        require_program(name, package)
    texts = [path.read_text() for path in (*MANIFESTS, DRIVER)]
    made = kept_folder("javascript-readers", "\n".join(texts), _make)
    if isinstance(made, str):
        pytest.skip(f"dcmjs and the adapters of cornerstone were not tried: {made}")
    with TemporaryDirectory() as name:
        out = Path(name) / "read.json"
        done = subprocess.run(
            ["node", made / DRIVER.name, json.dumps({**task, "out": str(out)})],
            capture_output=True,
            text=True,
            timeout=READ_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        read: dict[str, Any] = json.loads(out.read_text())
    return read


def _make(folder: Path) -> str:
    """Installs the packages beside the driver; returns what npm can't get, or nothing."""
    folder.mkdir()
    for path in (*MANIFESTS, DRIVER):
        shutil.copy(path, folder)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    assert CHANGED not in done.stderr, done.stderr
    if done.returncode:
        return f"npm can't install their packages ({last_line(done.stderr, done.stdout)})"
    return ""
