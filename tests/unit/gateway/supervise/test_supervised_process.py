"""Tests supervision of real processes of the gateway."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from structlog.testing import capture_logs

from gateway.heartbeat import HeartbeatTable, UnpausedClock
from gateway.supervise.read_process_state import with_descendants
from gateway.supervise.supervised_process import Limits, Loss, SupervisedProcess
from gateway.supervisor import ALIVE, READY, notify_systemd
from tests.servers import free_port
from tests.waiting import NEVER_SECONDS, wait_until
from totalmap.machine_limits import used_bytes


@pytest.fixture
def table() -> Iterator[HeartbeatTable]:
    made = HeartbeatTable.create(["web"])
    yield made
    made.close()


def page(folder: Path, table: HeartbeatTable, **limits: float) -> SupervisedProcess:
    """Returns the page's process, which starts fastest."""
    file = folder / "gateway.yaml"
    storage, web = str(folder / "storage"), {"port": free_port()}
    file.write_text(yaml.safe_dump({"storage_folder": storage, "web": web}))
    given = {
        "hang_seconds": NEVER_SECONDS,
        "start_seconds": NEVER_SECONDS,
        "memory_bytes": 1e12,
        **limits,
    }
    return SupervisedProcess(["web", "--config", str(file)], Limits(**given), table, 0)


def test_the_supervisor_restarts_a_process_that_uses_too_much_memory(
    tmp_path: Path, table: HeartbeatTable
) -> None:
    process, clock = page(tmp_path, table, memory_bytes=3e6), UnpausedClock()
    losses: list[Loss | None] = []
    with capture_logs() as events:
        wait_until(
            lambda: sum(loss is not None for loss in losses) == 2,
            act=lambda: losses.append(process.keep_up(clock.now())),
        )
    process.kill()
    first = next(loss for loss in losses if loss)
    assert first == Loss(reason="its worker used more than 0.0 GB")
    large = [event for event in events if event["event"] == "process_too_large"]
    assert len(large) == 2, "one line each"
    assert (large[0]["role"], large[0]["limit_gb"]) == ("web", 0.003)


HOLDS_MEMORY = """
print("started", flush=True)
held = b"x" * int(input())
print("holds", flush=True)
input()
"""


def test_the_supervisor_measures_the_memory_of_a_process_and_its_children() -> None:
    """Of a process of its own: this one frees memory of other tests meanwhile."""
    held_bytes = 60_000_000
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_MEMORY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        before = used_bytes(process.pid)
        process.stdin.write(f"{held_bytes}\n")
        assert process.stdout.readline() == "holds\n"
        assert used_bytes(process.pid) - before == pytest.approx(held_bytes, rel=0.1)
        assert process.pid in with_descendants(os.getpid())
        process.stdin.write("\n")
    assert used_bytes(2**22 + 1) == 0, "no such process"


def test_the_supervisor_notifies_systemd_at_its_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notify_systemd(READY)  # nobody asked
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify_systemd(ALIVE)
        assert heard.recv(100) == b"WATCHDOG=1"
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify_systemd(ALIVE)
