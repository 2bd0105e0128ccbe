"""Runs a driver of Chromium, a module of node with Playwright, and returns what it prints."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.ohif.packages import PLAYWRIGHT, require_package
from tests.servers import require_program
from tests.waiting import WAIT_SECONDS


def browse(driver: Path, **task: Any) -> dict[str, Any]:
    """Returns what a driver prints, one line of JSON; skips the test if a program is missing.

    Args:
        driver: The module; it gets the task as JSON, with the paths of Playwright and Chromium.
        task: What the driver needs besides.
    """
    chromium, node = (
        require_program(*names) for names in (("chromium", "chromium"), ("node", "nodejs"))
    )
    require_package(PLAYWRIGHT)
    tools = {"playwright": str(PLAYWRIGHT.folder / "index.js"), "chromium": str(chromium)}
    done = subprocess.run(
        [node, driver, json.dumps(tools | task)],
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said
