"""Runs the unmodified TotalSegmentator, offline, with the weights that a test names."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

COMMAND = Path(sys.executable).with_name("TotalSegmentator")
DRIVER = Path(__file__).with_name("peer_driver.py")
LICENCE_NUMBER = "aca_00000000000000"  # what looks like one is one, see config.py

# TotalSegmentator's dependency timm imports torchvision, whose wheels for CUDA do not load
# beside a torch for the CPU: two operators are missing that inference never calls. Declaring
# them is enough. Python runs a sitecustomize.py on its path at the start of each process.
_DECLARE_MISSING_OPERATORS = """
import torch
try:
    import torchvision
except RuntimeError:
    import sys
    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def totalsegmentator(source: Path, labels: Path, models: Path, *options: str) -> None:
    """Segments a DICOM folder or NIfTI file into one multi-label NIfTI on the CPU."""
    home = labels.with_name(labels.name + "-home")
    command = [COMMAND, *_arguments(source, labels, *options)]
    done = subprocess.run(
        [str(word) for word in command],
        env=_environment(home, models),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


class Peer:
    """The command, many times in one process: importing all it needs takes longer than it works.

    Its processes are forked off a server that has imported torch, where they would be spawned and
    import it themselves. That is the only difference but one, which tests/peer_driver.py explains.
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
        words = [str(word) for word in _arguments(source, labels, *options)]
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
    """Writes what torchvision needs on a machine with torch for the CPU; put it on PYTHONPATH."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_DECLARE_MISSING_OPERATORS)
    return folder


def _arguments(source: Path, labels: Path, *options: str) -> tuple[str | Path, ...]:
    # One process for saving, for each would import torch.
    return "-i", source, "-o", labels, "--ml", "-d", "cpu", "-ns", "1", *options


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
