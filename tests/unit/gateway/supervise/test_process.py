"""Processes under a supervisor: real ones, with roles of the gateway."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from structlog.testing import capture_logs

from gateway.heartbeat import HeartbeatTable, UnpausedClock
from gateway.supervise import systemd
from gateway.supervise.process import Limits, Loss, SupervisedProcess
from gateway.supervise.process_status import used_bytes, with_descendants
from tests.servers import free_port
from tests.waiting import NEVER_SECONDS, wait_until


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


def test_a_process_that_uses_too_much_memory_is_restarted(
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


def test_memory_is_what_a_process_and_those_that_it_started_use_alone() -> None:
    before = used_bytes(os.getpid())
    held = bytearray(os.urandom(1)) * 60_000_000
    assert used_bytes(os.getpid()) - before == pytest.approx(60e6, abs=20e6)
    assert len(held) == 60_000_000
    assert next(iter(with_descendants(os.getpid()))) == os.getpid()
    assert used_bytes(2**22 + 1) == 0, "no such process"


def test_systemd_is_told_where_it_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    systemd.notify(systemd.READY)  # nobody asked
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        systemd.notify(systemd.ALIVE)
        assert heard.recv(100) == b"WATCHDOG=1"
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    systemd.notify(systemd.ALIVE)
