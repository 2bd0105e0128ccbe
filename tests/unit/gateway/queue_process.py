"""A process that takes part in the queue and can be killed: `python -m ... FOLDER NAME KIND...`.

It writes a line into FOLDER/begun for each entry that it begins, and into FOLDER/done for each
entry that it ends. A job NAME, or a delivery to a destination NAME, ends only when there is no file
FOLDER/hold-NAME.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.config import GatewaySettings
from gateway.job_queue import DELIVER, SEGMENT, Handlers, running_queue
from gateway.run_one_process import stop_signals
from tests.waiting import LOOK_SECONDS


@contextmanager
def running_process(folder: Path, name: str, *kinds: str) -> Iterator[subprocess.Popen[str]]:
    """Yields a process that takes entries of the queue; it is killed at the end."""
    command = [sys.executable, "-m", "tests.unit.gateway.queue_process", str(folder), name, *kinds]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


def lines(folder: Path, name: str) -> list[str]:
    """Returns the lines that the processes have written."""
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


def _write(folder: Path, name: str, line: str) -> None:
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def _main(folder: Path, name: str, kinds: list[str]) -> None:
    def do(what: str, held: str) -> None:
        _write(folder, "begun", f"{what} {name}")
        while (folder / f"hold-{held}").exists():
            time.sleep(LOOK_SECONDS)
        _write(folder, "done", f"{what} {name}")

    handlers = Handlers(
        segment=(lambda job, run: do(f"{job} {run}", job)) if SEGMENT in kinds else None,
        deliver=(lambda job, where, run: do(f"{job} {where} {run}", where))
        if DELIVER in kinds
        else None,
    )
    with (
        stop_signals() as stop,
        running_queue(GatewaySettings(storage_folder=folder), name, handlers),
    ):
        print("up", flush=True)  # noqa: T201  for who has started it
        stop.wait()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
