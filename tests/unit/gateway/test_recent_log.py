import json
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.recent_log import (
    FOLDER,
    LINES_KEPT,
    LoggedEvent,
    RecentLog,
    keep_recent_log,
    recent_events,
)
from totalmap import log


def event(number: int, level: str = "warning", **values: Any) -> dict[str, Any]:
    at = f"2026-12-01T10:00:00.{number:06d}Z"
    return {"event": "sender_rejected", "level": level, "timestamp": at, **values}


def names(folder: Path) -> list[str]:
    return [f"{found.process} {found.values.get('n', '')}" for found in recent_events(folder)]


def test_the_newest_warnings_and_errors_of_all_gateway_processes_are_listed_newest_first(
    tmp_path: Path,
) -> None:
    receive, web = RecentLog(tmp_path, "receive"), RecentLog(tmp_path, "web")
    receive.keep(event(1, n=1))
    web.keep(event(2, "error", n=2, reason="no answer"))
    receive.keep(event(3, "info", n=3))
    receive.keep(event(4, n=4))
    assert names(tmp_path) == ["receive 4", "web 2", "receive 1"]
    found = recent_events(tmp_path, limit=2)[1]
    assert found == LoggedEvent(
        at=found.at,
        process="web",
        level="error",
        event="sender_rejected",
        values={"n": "2", "reason": "no answer"},
    )


def test_the_recent_log_of_a_process_stays_short_and_private(tmp_path: Path) -> None:
    kept = RecentLog(tmp_path, "receive")
    for number in range(5 * LINES_KEPT):
        kept.keep(event(number, n=number))
    (file,) = (tmp_path / FOLDER).iterdir()
    assert len(file.read_text().splitlines()) < 2 * LINES_KEPT
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = recent_events(tmp_path)
    assert [one.values["n"] for one in found] == [
        str(number) for number in reversed(range(4 * LINES_KEPT, 5 * LINES_KEPT))
    ]


def test_the_recent_log_of_a_process_survives_its_restart_and_a_line_that_was_cut_off(
    tmp_path: Path,
) -> None:
    RecentLog(tmp_path, "worker/1").keep(event(1, n=1))
    (file,) = (tmp_path / FOLDER).iterdir()
    with file.open("a") as cut_off:
        cut_off.write('{"event": "cut')
    RecentLog(tmp_path, "worker/1").keep(event(2, n=2))
    assert names(tmp_path) == ["worker_1 2", "worker_1 1"]


def test_a_line_too_long_for_the_recent_log_is_kept_without_its_values(tmp_path: Path) -> None:
    RecentLog(tmp_path, "web").keep(event(1, reason="x" * 10_000))
    (found,) = recent_events(tmp_path)
    assert found.event == "sender_rejected"
    assert "reason" not in found.values


def test_a_recent_log_that_cannot_be_written_disturbs_nothing(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file in place of the folder")
    RecentLog(tmp_path, "web").keep(event(1))
    assert recent_events(tmp_path) == []


def test_a_gateway_process_keeps_what_it_logs_as_a_warning_in_the_recent_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("json")
    stop_keeping = keep_recent_log(tmp_path, "web")
    try:
        log.get_logger().info("page_served")
        log.get_logger().warning("page_not_shown", reason="https://user:secret@host is away")
    finally:
        stop_keeping()
    log.get_logger().warning("afterwards")
    (found,) = recent_events(tmp_path)
    assert found.event == "page_not_shown"
    assert "secret" not in found.values["reason"]
    printed = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert printed == ["page_served", "page_not_shown", "afterwards"]
