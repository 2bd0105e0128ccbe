"""Reads from /proc what the kernel knows of a process: its children and state (proc(5))."""

from collections.abc import Iterator
from contextlib import suppress

from totalmap.machine_limits import PROC

_STOPPED = ("T", "t")


def with_descendants(pid: int) -> Iterator[int]:
    """Yields a process and all that were started by it."""
    yield pid
    with suppress(OSError):
        for task in (PROC / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                yield from with_descendants(int(child))


def is_stopped(pid: int) -> bool:
    """Returns whether a signal, such as SIGSTOP, has stopped a process."""
    with suppress(OSError):
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in _STOPPED
    return False
