"""Runs the unmodified TotalSegmentator command, offline, with the weights that a test names."""

import json
import os
import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("TotalSegmentator")

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
    (home / "sitecustomize.py").write_text(_DECLARE_MISSING_OPERATORS)
    environment = os.environ | {
        "TOTALSEG_HOME_DIR": str(home),
        "TOTALSEG_WEIGHTS_PATH": str(models),
        "PYTHONPATH": str(home),
    }
    # One process for saving, for each would import torch.
    command = [COMMAND, "-i", source, "-o", labels, "--ml", "-d", "cpu", "-ns", "1", *options]
    done = subprocess.run(
        [str(word) for word in command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
