"""`totalmap run` and `totalmap verify` are stopped by signals and by Ctrl-C on a terminal."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.phantom.study import WrittenSeries
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.seg.binary import write_seg

CTRL_C = b"\x03"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
# Ends a test that hangs; nothing is measured with it.
HANGS_SECONDS = 300

ENTRY = "from cli.entry import main; main()"
# Makes standard input the controlling terminal, so that Ctrl-C on it reaches the process.
ON_TERMINAL = f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {ENTRY}"


def started(*words: object, temporary: Path | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ENTRY, *map(str, words)]
    folder = temporary or Path(tempfile.gettempdir())
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    assert any(text in line for line in process.stdout), "it never came so far"


def stopped(process: subprocess.Popen[str], stop: signal.Signals) -> str:
    """Stops a process and returns what it says on standard error."""
    process.send_signal(stop)
    return process.communicate(timeout=HANGS_SECONDS)[1]


def check_status(output: Path, stop: signal.Signals) -> None:
    """Checks that a run that was stopped left its status and nothing else."""
    assert sorted(path.name for path in output.iterdir()) == ["metadata.json", "status.json"]
    status = json.loads((output / "status.json").read_text())
    assert status["error"]["kind"] == "Stopped"
    assert status["error"]["exit_status"] == 75
    assert stop.name in status["error"]["message"]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_run_stopped_during_segmentation_prints_one_line(
    phantom_series: WrittenSeries, tmp_path: Path, stop: signal.Signals
) -> None:
    with started("run", phantom_series.folder, tmp_path, "-m", DEMO_MODELS) as process:
        wait_for_line(process, "Segmenting ...")
        said = stopped(process, stop)
    assert process.returncode == 75, said
    assert said == f"Error: stopped by {stop.name}; nothing was released, run it again\n"
    check_status(tmp_path, stop)


def test_a_run_stopped_before_it_begins_ends_with_status_75(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    with started("run", phantom_series.folder, tmp_path, "-m", DEMO_MODELS) as process:
        said = stopped(process, signal.SIGTERM)
    assert process.returncode in (75, -signal.SIGTERM), said
    assert "Traceback" not in said
    assert not (tmp_path / "results").exists()


def test_ctrl_c_on_a_terminal_ends_a_run_and_leaves_the_cursor_visible(
    phantom_series: WrittenSeries, tmp_path: Path
) -> None:
    words = ["run", str(phantom_series.folder), str(tmp_path), "-m", str(DEMO_MODELS)]
    terminal, end = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", ON_TERMINAL, *words],
        cwd=REPOSITORY,
        env={**os.environ, "TERM": "xterm"},
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    ) as process:
        os.close(end)
        shown = ""
        for text in read(terminal):
            if "Segmenting" in text and "Segmenting" not in shown:
                os.write(terminal, CTRL_C)
            shown += text
        process.wait(HANGS_SECONDS)
    os.close(terminal)
    assert process.returncode == 75, shown
    assert shown.count("Error: stopped by SIGINT") == 1
    assert HIDE_CURSOR in shown
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)
    check_status(tmp_path, signal.SIGINT)


def read(terminal: int) -> Iterator[str]:
    """Yields what is written to a terminal, until nobody writes to it any more."""
    while True:
        try:
            yield os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # EIO: the last process has closed it
            return


def test_a_stopped_verify_command_removes_its_temporary_folder(
    phantom_series: WrittenSeries,
    true_segmentation: Segmentation,
    settings: Settings,
    tmp_path: Path,
) -> None:
    output, temporary = tmp_path / "output", tmp_path / "temporary"
    temporary.mkdir()
    with open_release(output) as release:
        (result,) = write_seg(true_segmentation, settings, release)
        release.publish({})
    words = (output / result.path, "--source", phantom_series.folder, "-m", DEMO_MODELS)
    with started("verify", *words, temporary=temporary) as process:
        wait_for_line(process, "Segmenting ...")
        said = stopped(process, signal.SIGINT)
    assert process.returncode == 75, said
    assert said == "Error: stopped by SIGINT; nothing was released, run it again\n"
    assert not list(temporary.glob("totalmap-*"))
