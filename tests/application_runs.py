"""Runs the application in a process of its own, and checks what a failed run leaves."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY
from tests.waiting import WAIT_SECONDS

REPORTS = {"status.json", "metadata.json"}
# The quality rules reject labels of random networks; they are delivered here.
DELIVER_REJECTED = {"TOTALMAP_QUALITY__REJECTED": "deliver"}
NOTE = "results/rejection.dcm"


class Finished:
    """The exit status, the output and the files of a run."""

    def __init__(self, process: subprocess.CompletedProcess[str], output: Path) -> None:
        self.exit_status = process.returncode
        self.text = process.stdout + process.stderr
        self.output = output

    @property
    def status(self) -> Any:
        return json.loads((self.output / "status.json").read_text())

    @property
    def metadata(self) -> Any:
        return json.loads((self.output / "metadata.json").read_text())

    @property
    def files(self) -> set[str]:
        files = (path for path in self.output.rglob("*") if path.is_file())
        return {path.relative_to(self.output).as_posix() for path in files} - {NOTE}

    def fails_with(self, exit_status: int, kind: str, message: str) -> None:
        """Checks that the run failed with one clear line and left the two reports only."""
        assert self.exit_status == exit_status, self.text
        assert self.files == REPORTS, self.files
        status = self.status
        assert status["outcome"] == "failed"
        assert status["results"] == []
        assert status["error"]["kind"] == kind
        assert status["error"]["exit_status"] == exit_status
        assert re.search(message, status["error"]["message"])
        assert "\n" not in status["error"]["message"]
        metadata = self.metadata
        assert metadata["outcome"] == "failed"
        assert metadata["exception"] == kind
        assert metadata["exception_message"] == status["error"]["message"]
        assert metadata["exit_status"] == exit_status
        assert metadata["results"] == 0
        assert "Traceback" not in self.text


def command(source: Path, output: Path, models: Path) -> list[str]:
    words = [sys.executable, "-m", "app", "-i", source, "-o", output, "-m", models]
    return [str(word) for word in words]


def run(source: Path, output: Path, models: Path, **environment: str) -> Finished:
    process = subprocess.run(
        command(source, output, models),
        cwd=REPOSITORY,
        env=os.environ
        | DELIVER_REJECTED
        | {"TOTALMAP_RESULTS__KINDS": "[seg, nifti]"}
        | environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    return Finished(process, output)
