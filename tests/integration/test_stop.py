"""A run that is told to stop: it says so, leaves nothing half-done, and ends at once."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.phantom.study import WrittenSeries

AT_ONCE_SECONDS = 5


@pytest.mark.parametrize(
    ("stop", "stage"), [(signal.SIGTERM, "series_selected"), (signal.SIGINT, "model_verified")]
)
def test_a_run_that_is_stopped_cleans_up(
    phantom_series: WrittenSeries, tmp_path: Path, stop: signal.Signals, stage: str
) -> None:
    folders = f"-i{phantom_series.folder}", f"-o{tmp_path}", f"-m{DEMO_MODELS}"
    process = subprocess.Popen(
        [sys.executable, "-m", "app", *folders], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert any(stage in line for line in process.stderr), "it never came so far"
    start = time.monotonic()
    process.send_signal(stop)
    said = process.stderr.read()
    assert process.wait() == 75, said
    assert time.monotonic() - start < AT_ONCE_SECONDS
    assert not list(tmp_path.rglob("*.part"))
    assert not (tmp_path / "results").exists()
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["outcome"] == "failed"
    assert status["error"]["kind"] == "Stopped"
    assert stop.name in status["error"]["message"]
