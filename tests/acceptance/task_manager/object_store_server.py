"""Runs moto's server, an object store in memory, on a free port of this machine."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

from tests.acceptance.task_manager.object_store import ObjectStore
from tests.servers import LOOPBACK, POLL_SECONDS, free_port
from tests.waiting import WAIT_SECONDS


@contextmanager
def running_store(folder: Path) -> Iterator[ObjectStore]:
    """Yields an empty object store that is up; it ends with the block."""
    port = free_port()
    with (folder / "store.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_up(port, process)
        yield ObjectStore(f"{LOOPBACK}:{port}")
    finally:
        process.kill()  # it has no files to write
        process.wait()


def _wait_until_up(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not _answers(port):
        assert time.monotonic() < deadline, "moto does not answer"
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
            raise AssertionError("moto has ended")


def _answers(port: int) -> bool:
    http = HTTPConnection(LOOPBACK, port, timeout=WAIT_SECONDS)
    try:
        http.request("GET", "/")
        http.getresponse().read()
    except OSError:
        return False
    finally:
        http.close()
    return True
