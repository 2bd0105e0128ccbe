"""Gets the npm packages of the readers, and runs them with node.

They are fetched and bundled once for each version of package-lock.json, which has the hash of every
file. No script of a package runs while it is installed.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.kept_downloads import kept_folder
from tests.servers import require_program

HERE = Path(__file__).parent
MANIFEST = HERE / "package.json"
SOURCES = (MANIFEST, HERE / "package-lock.json", HERE / "readers.mjs")
BUNDLE = "bundle.mjs"
INSTALLING = (
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    "--fetch-retries=1",
)
BUNDLING = (
    "--bundle",
    "--format=esm",
    "--platform=node",
    "--main-fields=browser,module,main",
    "--log-level=error",
    # Old packages call require, which a module of node has to make for itself.
    "--banner:js=import { createRequire as requireOf } from 'node:module'; "
    "const require = requireOf(import.meta.url);",
)
SECONDS = 600
# npm's word for a file that was changed: no reason to leave a reader out.
CHANGED = "EINTEGRITY"


def read_results(task: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what read_results.mjs writes for a task, or skips the test that needs it.

    Args:
        task: As read_results.mjs takes it, without `readers` and `out`.
    """
    for name, package in (("node", "nodejs"), ("npm", "npm")):
        require_program(name, package)
    texts = [*(path.read_text() for path in SOURCES), *BUNDLING]
    made = kept_folder("javascript-readers", "\n".join(texts), _make)
    if isinstance(made, str):
        pytest.skip(f"dcmjs and the adapters of cornerstone were not tried: {made}")
    with TemporaryDirectory() as name:
        out = Path(name) / "read.json"
        whole = {**task, "readers": str(made / BUNDLE), "out": str(out)}
        done = _run("node", str(HERE / "read_results.mjs"), json.dumps(whole))
        assert done.returncode == 0, done.stderr[-2000:]
        read: dict[str, Any] = json.loads(out.read_text())
    return read


def _make(folder: Path) -> str:
    """Bundles the packages into one file; returns what npm can't get, or nothing."""
    with TemporaryDirectory() as name:
        for path in SOURCES:
            shutil.copy(path, name)
        done = _run("npm", "ci", *INSTALLING, cwd=Path(name))
        assert CHANGED not in done.stderr, done.stderr
        if done.returncode:
            reason = done.stderr.strip().partition("\n")[0]  # such as: npm error code ENOTFOUND
            return f"npm can't install their packages ({reason})"
        esbuild = (
            "node_modules/esbuild/bin/esbuild",
            "readers.mjs",
            f"--outfile={folder / BUNDLE}",
        )
        done = _run(*esbuild, f"--outfile={folder / BUNDLE}", *BUNDLING, cwd=Path(name))
        assert done.returncode == 0, done.stderr[-2000:]
    return ""


def _run(*command: str, cwd: Path = HERE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
    )
