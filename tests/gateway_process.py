"""A receiving gateway in a process of its own, which can be killed.

`python -m tests.gateway_process FOLDER PORT PROCESSES`
"""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from gateway.config import GatewaySettings, ReceiveSection
from gateway.receive.receive_process import receiving
from tests.servers import LOOPBACK, require_program
from tests.serving import patient
from tests.waiting import NEVER_SECONDS, wait_until
from totalmap import log

AE_TITLE = "TOTALMAP"


@contextmanager
def running_gateway(
    folder: Path, port: int, processes: int = 1
) -> Iterator[subprocess.Popen[bytes]]:
    """Yields the process of a gateway that listens; it is killed at the end."""
    given = [str(folder), str(port), str(processes)]
    command = [sys.executable, "-m", "tests.gateway_process", *given]
    process = subprocess.Popen(command)
    try:
        wait_until_up(process, port)
        yield process
    finally:
        process.kill()
        process.wait()


def children(pid: int) -> list[int]:
    """Returns the processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def has_a_connection(process: int, port: int) -> bool:
    """Returns whether a process has a connection that came in at a port."""
    connected = _connected_sockets(port)
    for path in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has just been closed
            if str(path.readlink()) in connected:
                return True
    return False


def _connected_sockets(port: int) -> set[str]:
    """Returns the sockets of a port as /proc/PID/fd names them (proc_net_tcp of Linux)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}")}


def wait_until_processes_serve(receivers: Sequence[int], port: int) -> None:
    """Waits until each of them has had a connection, and closes the connections."""
    entity = patient(AE("CT1"))
    entity.add_requested_context(Verification)

    def all_serve() -> bool:
        # Each goes to whoever has the fewest.
        opened = [entity.associate(LOOPBACK, port, ae_title=AE_TITLE) for _ in (None, *receivers)]
        serve = all(has_a_connection(receiver, port) for receiver in receivers)
        for item in opened:
            item.release()
        return serve

    wait_until(all_serve, "all processes up")
    wait_until(
        lambda: not any(has_a_connection(receiver, port) for receiver in receivers), "free again"
    )


def storescu(port: int, folders: Sequence[Path], *options: str) -> subprocess.Popen[str]:
    """Starts dcmtk's sender on all files of some folders, in one association."""
    program = str(require_program("storescu", "dcmtk"))
    command = [program, "--call", AE_TITLE, "--propose-lossless", "--scan-directories", *options]
    where = [LOOPBACK, str(port), *map(str, folders)]
    return subprocess.Popen(
        [*command, *where], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_until_up(process: subprocess.Popen[bytes], port: int) -> None:
    """Returns when a process of this machine listens at a port; fails if it has ended."""

    def is_up() -> bool:
        try:
            socket.create_connection((LOOPBACK, port)).close()
        except ConnectionRefusedError:
            assert process.poll() is None, "the gateway has ended"
            return False
        return True

    wait_until(is_up, "listening")


def _main(arguments: Sequence[str]) -> None:
    folder, port, processes = arguments
    log.configure()
    ways = ReceiveSection(
        port=int(port),
        processes=int(processes),
        keep_free_gb=0.1,
        request_seconds=NEVER_SECONDS,
        pdu_seconds=NEVER_SECONDS,
        idle_seconds=NEVER_SECONDS,
    )
    settings = GatewaySettings(storage_folder=Path(folder), receive=ways)
    with receiving(settings):
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    _main(sys.argv[1:])
