"""Runs the unmodified TotalSegmentator command, offline, with the weights of a test."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.waiting import WAIT_SECONDS

COMMAND = Path(sys.executable).with_name("TotalSegmentator")
DRIVER = Path(__file__).with_name("peer_driver.py")
LICENCE_NUMBER = "aca_00000000000000"  # what looks like one is one, see config.py

# Each would import torch.
ONE_PROCESS_FOR_SAVING = ("-ns", "1")

# TotalSegmentator's dependency timm imports torchvision, whose wheels for CUDA do not load
# beside a torch for the CPU: two operators are missing that inference never calls. Declaring
# them is enough. Python runs a sitecustomize.py on its path at the start of each process; this
# one acts at the import of torchvision, so that other processes start as fast as without it.
_DECLARE_MISSING_OPERATORS = """
import sys

class DeclareMissingOperators:
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch
            library = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                library.define(
                    f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                )
            sys.torchvision_operators = library  # they vanish with it

sys.meta_path.insert(0, DeclareMissingOperators())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCommand:
    """The words of a command, and all its environment variables."""

    words: tuple[str, ...]
    environment: Mapping[str, str]


def peer_command(
    source: Path, labels: Path, models: Path, *options: str, device: Literal["cpu", "gpu"] = "cpu"
) -> PeerCommand:
    """Returns the command that segments a DICOM folder or NIfTI file into multi-label NIfTI.

    TotalSegmentator gets a home folder beside the labels, so that it asks and sends nothing.
    """
    words = [COMMAND, *_arguments(source, labels, device, *options)]
    return PeerCommand(
        words=tuple(str(word) for word in words),
        environment=_environment(labels.with_name(labels.name + "-home"), models),
    )


def totalsegmentator(source: Path, labels: Path, models: Path, *options: str) -> None:
    """Segments a DICOM folder or NIfTI file into one multi-label NIfTI on the CPU."""
    command = peer_command(source, labels, models, *ONE_PROCESS_FOR_SAVING, *options)
    done = subprocess.run(
        command.words,
        env=command.environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


class Peer:
    """Runs the command many times in one process, because its imports take longer than its work.

    There are two differences from the command. Its processes are forked from a server that has
    imported torch; the command would spawn them, and each would import torch itself.
    tests/peer_driver.py explains the other difference.
    """

    def __init__(self, folder: Path) -> None:
        self._weights = folder / "weights"
        self._log = (folder / "peer.log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, DRIVER],
            env=_environment(folder / "home", self._weights),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def totalsegmentator(self, source: Path, labels: Path, models: Path, *options: str) -> None:
        """Segments a DICOM folder or NIfTI file into one multi-label NIfTI on the CPU."""
        self._weights.unlink(missing_ok=True)
        self._weights.symlink_to(models)
        assert self._process.stdin
        assert self._process.stdout
        words = [
            str(word)
            for word in _arguments(source, labels, "cpu", *ONE_PROCESS_FOR_SAVING, *options)
        ]
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer == "done", f"{answer}: {self._said()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process:  # waits after the end of its input
            assert self._process.stdin
            self._process.stdin.close()
        self._log.close()

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read()[-3000:]


def shim(folder: Path) -> Path:
    """Writes a folder for PYTHONPATH with which torchvision loads beside torch for the CPU."""
    folder.mkdir(exist_ok=True)
    if not _torchvision_loads():
        (folder / "sitecustomize.py").write_text(_DECLARE_MISSING_OPERATORS)
    return folder


@cache
def _torchvision_loads() -> bool:
    words = [sys.executable, "-c", "import torchvision"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _arguments(
    source: Path, labels: Path, device: Literal["cpu", "gpu"], *options: str
) -> tuple[str | Path, ...]:
    return "-i", source, "-o", labels, "--ml", "-d", device, *options


def _environment(home: Path, models: Path) -> dict[str, str]:
    shim(home)
    (home / "config.json").write_text(
        json.dumps(
            {
                "totalseg_id": "totalseg_OFFLINE0",
                "send_usage_stats": False,
                "prediction_counter": 0,
                "statistics_disclaimer_shown": True,
                "license_number": LICENCE_NUMBER,
            }
        )
    )
    return os.environ | {
        "TOTALSEG_HOME_DIR": str(home),
        "TOTALSEG_WEIGHTS_PATH": str(models),
        "PYTHONPATH": str(home),
    }
