"""Reads from /proc what the kernel knows of a process: its memory, children and state (proc(5))."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_BYTES_PER_KB = 1024
_STOPPED = ("T", "t")


def used_bytes(pid: int) -> int:
    """Returns the memory that only this process uses, with what was swapped out of it.

    Files that it maps, such as libraries, are not counted; nor is what it has only reserved, as
    the stacks of threads. 0: there is no such process.
    """
    fields = ("RssAnon:", "VmSwap:")
    with suppress(OSError):
        lines = (PROC / str(pid) / "status").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(fields)) * (
            _BYTES_PER_KB
        )
    return 0


def with_descendants(pid: int) -> Iterator[int]:
    """Yields a process and all that were started by it."""
    yield pid
    with suppress(OSError):
        for task in (PROC / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                yield from with_descendants(int(child))


def is_stopped(pid: int) -> bool:
    """Returns whether somebody has stopped a process by a signal, such as SIGSTOP."""
    with suppress(OSError):
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in _STOPPED
    return False


def machine_bytes() -> int:
    """Returns the memory of this machine, or of the container where that has less."""
    total = next(
        int(line.split()[1]) * _BYTES_PER_KB
        for line in (PROC / "meminfo").read_text().splitlines()
        if line.startswith("MemTotal:")
    )
    with suppress(OSError, ValueError):  # there is no limit, or no cgroup
        return min(total, int(CGROUP_LIMIT.read_text()))
    return total
