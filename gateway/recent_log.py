"""Keeps the newest warnings and errors of each process in a file, for the page.

```
STORAGE/log/PROCESS.jsonl     a line of JSON for each, the oldest first
```

Only the process itself writes its file. The events are those that it also logs to standard error:
they hold no patient data.
"""

import json
import os
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from totalmap import log

FOLDER = "log"
LINES_KEPT = 200
# The file is written anew, with LINES_KEPT lines, when it has so many.
_MOST_LINES = 2 * LINES_KEPT
_MOST_CHARACTERS = 2000
_MODE = 0o600
_KEPT_LEVELS = ("warning", "error", "critical")
_KNOWN_KEYS = ("event", "level", "timestamp")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """A line of the log.

    Attributes:
        at: Seconds since 1970, UTC.
        process: The process that logged it.
        level: `warning` or `error`.
        event: What happened, such as `sender_rejected`.
        values: The values of the event, by their names.
    """

    at: float
    process: str
    level: str
    event: str
    values: Mapping[str, str]


class RecentLog:
    """The newest warnings and errors of one process, in memory and in its file."""

    def __init__(self, storage_folder: Path, process: str) -> None:
        """Reads what the process has left at its last run.

        Args:
            storage_folder: The storage folder of the gateway.
            process: The name of the process; no two processes that run have the same.
        """
        self._path = storage_folder / FOLDER / f"{_file_name(process)}.jsonl"
        self._lock = Lock()
        self._lines = deque(_read_lines(self._path), maxlen=LINES_KEPT)
        self._n_in_file = _MOST_LINES

    def keep(self, event: Mapping[str, Any]) -> None:
        """Keeps an event if it is a warning or an error.

        A disk that is full or away is ignored: what matters then is logged to standard error.

        Args:
            event: With its level and time.
        """
        if event.get("level") not in _KEPT_LEVELS:
            return
        line = json.dumps(event, default=str)
        if len(line) > _MOST_CHARACTERS:
            known = {key: event.get(key) for key in _KNOWN_KEYS}
            line = json.dumps({**known, "too_long": f"{len(line)} characters"}, default=str)
        with self._lock, suppress(OSError):
            self._lines.append(line)
            self._write(line)

    def _write(self, line: str) -> None:
        if self._n_in_file < _MOST_LINES:
            _append(self._path, line)
            self._n_in_file += 1
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        part.unlink(missing_ok=True)
        for kept in self._lines:
            _append(part, kept)
        part.replace(self._path)
        self._n_in_file = len(self._lines)


def keep_recent_log(storage_folder: Path, process: str) -> Callable[[], None]:
    """Has this process keep its newest warnings and errors, until the returned function is called.

    Args:
        storage_folder: As in `RecentLog`.
        process: As in `RecentLog`.
    """
    return log.also_send_to(RecentLog(storage_folder, process).keep)


def recent_events(storage_folder: Path, limit: int = LINES_KEPT) -> Sequence[LoggedEvent]:
    """Returns the newest warnings and errors of all processes, the newest first.

    Args:
        storage_folder: As in `RecentLog`.
        limit: The largest number of events.
    """
    events = [
        event
        for path in (storage_folder / FOLDER).glob("*.jsonl")
        for line in _read_lines(path)
        if (event := _event(path.stem, line)) is not None
    ]
    return sorted(events, key=lambda event: event.at, reverse=True)[:limit]


def _event(process: str, line: str) -> LoggedEvent | None:
    """Returns the event of a line; None: a crash or a full disk has cut it off."""
    try:
        found = json.loads(line)
        return LoggedEvent(
            at=datetime.fromisoformat(found["timestamp"]).timestamp(),
            process=process,
            level=found["level"],
            event=found["event"],
            values={key: str(found[key]) for key in found if key not in _KNOWN_KEYS},
        )
    except (ValueError, KeyError, TypeError):
        return None


def _read_lines(path: Path) -> Sequence[str]:
    try:
        return path.read_text("utf-8", "replace").splitlines()[-LINES_KEPT:]
    except OSError:  # there is none yet
        return []


def _append(path: Path, line: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _MODE)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def _file_name(process: str) -> str:
    return re.sub(r"[^\w.-]", "_", process)
