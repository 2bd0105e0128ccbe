"""A process that takes part in the queue and can be killed: `python -m ... FOLDER NAME KIND...`.

What it begins it writes down in FOLDER/begun, a line each, and what it has done in FOLDER/done.
It goes on with a job or a destination only when there is no FOLDER/hold-NAME of it.
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
from gateway.process import stop_signals
from tests.waiting import LOOK_SECONDS


@contextmanager
def running_process(folder: Path, name: str, *kinds: str) -> Iterator[subprocess.Popen[str]]:
    """Yields a process that is in the queue; it is killed at the end."""
    command = [sys.executable, "-m", "tests.unit.gateway.queue_process", str(folder), name, *kinds]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


def lines(folder: Path, name: str) -> list[str]:
    """Returns what the processes have written down."""
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
