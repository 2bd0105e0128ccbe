"""A run that is stopped says so, leaves no results, and ends at once."""

import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.disk import small_disk
from tests.phantom.study import WrittenSeries
from tests.waiting import WAIT_SECONDS

# Of processor time; a complete run would take more.
AT_ONCE_SECONDS = 5


def started(series: WrittenSeries, output: Path) -> subprocess.Popen[str]:
    folders = f"-i{series.folder}", f"-o{output}", f"-m{DEMO_MODELS}"
    command = [sys.executable, "-m", "app", *folders]
    return subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], stage: str) -> None:
    assert process.stderr is not None
    assert any(stage in line for line in process.stderr), "it never came so far"


def stopped(process: subprocess.Popen[str], stop: signal.Signals) -> str:
    """Stops a run, which ends soon, and returns what it says meanwhile."""
    before, reaped = used_so_far(process.pid), used_by_ended_children()
    process.send_signal(stop)
    _, said = process.communicate(timeout=WAIT_SECONDS)
    assert used_by_ended_children() - reaped - before < AT_ONCE_SECONDS
    return said


def used_so_far(pid: int) -> float:
    """Returns the seconds of processor time of a process that runs (proc_pid_stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def used_by_ended_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    ("stop", "stage"), [(signal.SIGTERM, "series_selected"), (signal.SIGINT, "model_verified")]
)
def test_a_stopped_run_ends_with_status_75_and_leaves_no_results(
    phantom_series: WrittenSeries, tmp_path: Path, stop: signal.Signals, stage: str
) -> None:
    with started(phantom_series, tmp_path) as process:
        wait_for(process, stage)
        said = stopped(process, stop)
    assert process.returncode == 75, said
    assert not list(tmp_path.rglob("*.part"))
    assert not (tmp_path / "results").exists()
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["outcome"] == "failed"
    assert status["error"]["kind"] == "Stopped"
    assert stop.name in status["error"]["message"]


def test_a_stopped_run_ends_with_status_75_even_if_the_disk_is_full(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "output", "64k") as output:
        with started(phantom_series, output) as process:
            wait_for(process, "series_selected")
            with suppress(OSError), (output / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(4096))
            said = stopped(process, signal.SIGTERM)
        assert process.returncode == 75, said
        assert "SIGTERM" in said
        assert not (output / "results").exists()
