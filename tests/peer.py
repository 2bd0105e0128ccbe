"""Runs the unmodified TotalSegmentator command, offline, with the weights that a test names."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

COMMAND = Path(sys.executable).with_name("TotalSegmentator")
TIMEOUT_SECONDS = 600

# TotalSegmentator's dependency timm imports torchvision, whose wheels for CUDA do not load
# beside a torch for the CPU: two operators are missing that inference never calls. Declaring
# them is enough. Python runs a sitecustomize.py on its path at the start of each process; this
# one waits for the import of torchvision, so that a process without it starts as fast as ever.
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
    """The words of a command and the whole environment that it runs in."""

    words: tuple[str, ...]
    environment: Mapping[str, str]


def peer_command(
    source: Path, labels: Path, models: Path, *options: str, device: Literal["cpu", "gpu"] = "cpu"
) -> PeerCommand:
    """Returns the command that segments a DICOM folder or NIfTI file into multi-label NIfTI.

    Makes TotalSegmentator's home beside the labels, so that it asks and sends nothing.
    """
    home = labels.with_name(labels.name + "-home")
    home.mkdir()
    (home / "config.json").write_text(
        json.dumps(
            {
                "totalseg_id": "totalseg_OFFLINE0",
                "send_usage_stats": False,
                "prediction_counter": 0,
                "statistics_disclaimer_shown": True,
            }
        )
    )
    environment = os.environ | {
        "TOTALSEG_HOME_DIR": str(home),
        "TOTALSEG_WEIGHTS_PATH": str(models),
    }
    if not _torchvision_loads():
        (home / "sitecustomize.py").write_text(_DECLARE_MISSING_OPERATORS)
        environment["PYTHONPATH"] = str(home)
    words = [COMMAND, "-i", source, "-o", labels, "--ml", "-d", device, *options]
    return PeerCommand(words=tuple(str(word) for word in words), environment=environment)


@cache
def _torchvision_loads() -> bool:
    words = [sys.executable, "-c", "import torchvision"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def totalsegmentator(source: Path, labels: Path, models: Path, *options: str) -> None:
    """Segments a DICOM folder or NIfTI file into one multi-label NIfTI on the CPU."""
    # One process for saving, for each would import torch.
    command = peer_command(source, labels, models, "-ns", "1", *options)
    done = subprocess.run(
        command.words,
        env=command.environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
