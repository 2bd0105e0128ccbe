"""Runs a command and measures its wall time and the peak memory of all its processes."""

import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SAMPLE_SECONDS = 0.1
# A sample of a large process takes milliseconds and delays its page faults: after a sample that
# took t the next pause is at least 20 t.
PAUSE_PER_COST = 20
TIMEOUT_SECONDS = 4 * 3600.0

_PROC = Path("/proc")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SESSION_FIELD = 3  # in /proc/<pid>/stat, counted from the state, which follows the name


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A command that has ended.

    Attributes:
        status: The exit status.
        seconds: From its start to its end.
        peak_bytes: The highest memory of the command and its descendants together. Shared pages
            count once (PSS).
    """

    status: int
    seconds: float
    peak_bytes: int
    stdout: str
    stderr: str


def measure(
    words: Sequence[str],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    on_sample: Callable[[], None] = lambda: None,
) -> Finished:
    """Runs a command to its end.

    Args:
        environment: The whole environment; None: that of this process.
        folder: The working directory; None: that of this process.
        timeout_seconds: The command is killed after this time; its status is then -9.
        on_sample: Called after each sample of the memory.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603  the benchmark's own commands
            words,
            env=environment,
            cwd=folder,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            peak_bytes = _watch(process.pid, start + timeout_seconds, on_sample)
            seconds = time.perf_counter() - start
        finally:
            # Before the wait, the number of the group still belongs to the command.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
        return Finished(
            status=status,
            seconds=seconds,
            peak_bytes=peak_bytes,
            stdout=_content(stdout),
            stderr=_content(stderr),
        )


def _content(file: IO[bytes]) -> str:
    """Returns the text with the carriage returns of progress bars."""
    file.seek(0)
    return file.read().decode(errors="replace")


def _watch(leader: int, deadline: float, on_sample: Callable[[], None]) -> int:
    """Returns the peak memory in bytes of the leader's session, at the leader's end."""
    ended = os.pidfd_open(leader)
    peak, pause = 0, SAMPLE_SECONDS
    try:
        while time.perf_counter() < deadline and not select.select([ended], [], [], pause)[0]:
            start = time.perf_counter()
            peak = max(peak, _session_bytes(leader, at_least=peak))
            pause = max(SAMPLE_SECONDS, PAUSE_PER_COST * (time.perf_counter() - start))
            on_sample()
    finally:
        os.close(ended)
    return peak


def _session_bytes(leader: int, at_least: int) -> int:
    """Returns the PSS of a session in bytes, or 0 if it is certainly below `at_least`."""
    members = [pid for pid in map(_pid, _PROC.iterdir()) if pid and _session(pid) == leader]
    if sum(map(_resident_bytes, members)) < at_least:  # it counts shared pages several times
        return 0
    return sum(map(_proportional_bytes, members))


def _pid(folder: Path) -> int | None:
    return int(folder.name) if folder.name.isdecimal() else None


def _session(pid: int) -> int | None:
    stat = _read(pid, "stat")
    return int(stat.rpartition(")")[2].split()[_SESSION_FIELD]) if stat else None


def _resident_bytes(pid: int) -> int:
    statm = _read(pid, "statm")
    return int(statm.split()[1]) * _PAGE_BYTES if statm else 0


def _proportional_bytes(pid: int) -> int:
    """Returns the PSS, or the RSS if the kernel does not report the PSS."""
    for line in _read(pid, "smaps_rollup").splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0]) * 1024
    return _resident_bytes(pid)


def _read(pid: int, name: str) -> str:
    """Returns a file of /proc; empty if the process has ended."""
    try:
        return (_PROC / str(pid) / name).read_text()
    except OSError:
        return ""
