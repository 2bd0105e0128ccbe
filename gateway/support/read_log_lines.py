"""Reads the newest lines of the gateway's log, without names."""

import re
import shutil
import subprocess
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.support.remove_names import PATH, NameRemover
from totalmap.errors import ResourceError

NEWEST_LINES = 5000
UNIT = "totalmap-gateway"
_JOURNAL_SECONDS = 30
# As totalmap/log.py writes them; a collector may have put something before them.
_LINE = re.compile(r"(\d{4}-\d\d-\d\dT[\d:.]+Z) \[([a-z]+) *\] ([a-z][a-z0-9_]*)\s*(.*)$")
_VALUE = re.compile(r"([a-z_]+)=('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\[[^\]]*\]|\S+)")
_JOB = re.compile(r"[0-9a-f]{12,64}")
_NAMED = {
    "sender": "AE",
    "who": "AE",
    "address": "HOST",
    "url": "URL",
    "destination": "NAME",
    "worker": "WORKER",
}
_PATHS = frozenset({"file", "folder", "path", "dataset"})
_HASHED = frozenset({"study", "uid"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of the log without names.

    Attributes:
        at: The time as it was written, UTC.
        values: The cleaned values, in the order of the line.
    """

    at: str
    level: str
    event: str
    values: dict[str, str]

    @property
    def text(self) -> str:
        """The line as it goes into the report."""
        values = " ".join(f"{key}={value}" for key, value in self.values.items())
        return f"{self.at} [{self.level}] {self.event} {values}".rstrip()


def newest_lines(file: Path | None) -> Sequence[str]:
    """Returns the newest lines of a file, or of the journal of systemd.

    Args:
        file: The file; None: the journal of the unit `totalmap-gateway`.

    Raises:
        ResourceError: They can't be read, or there are none.
    """
    lines: deque[str] = deque(maxlen=NEWEST_LINES)
    if file is not None:
        try:
            with file.open(encoding="utf-8", errors="replace") as text:
                lines.extend(text)
        except OSError as error:
            raise ResourceError(f"the log can't be read: {error.strerror}") from None
        return [*lines]
    lines.extend(_journal())
    if not lines:
        raise ResourceError(
            f"the journal of systemd has no line of {UNIT}: name the log's file with --log"
        )
    return [*lines]


def clean_lines(lines: Iterable[str], names: NameRemover) -> Sequence[LogLine]:
    """Returns the lines that TotalMAP has written, without names; all others are left out."""
    found = (_LINE.search(line) for line in lines)
    return [
        LogLine(
            at=match[1],
            level=match[2],
            event=match[3],
            values={key: _clean(key, value, names) for key, value in _VALUE.findall(match[4])},
        )
        for match in found
        if match
    ]


def _journal() -> Sequence[str]:
    program = shutil.which("journalctl")
    if program is None:
        return []
    words = [program, "--unit", UNIT, "--output", "cat", "--no-pager"]
    try:
        done = subprocess.run(  # noqa: S603  no shell
            [*words, "--lines", str(NEWEST_LINES)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_JOURNAL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return []
    return done.stdout.splitlines()


def _clean(key: str, value: str, names: NameRemover) -> str:
    plain = value[1:-1] if value[0] in "'\"" else value
    if key == "job" and _JOB.fullmatch(plain):
        return plain
    if key in _NAMED:
        return names.pseudonym(_NAMED[key], plain)
    if key in _PATHS:
        return PATH
    return names.hashed(plain) if key in _HASHED else names.clean(plain)
