"""Reads from /proc what the kernel knows of a process: its memory, children and state (proc(5))."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_BYTES_PER_KB = 1024
_STOPPED = ("T", "t")


def used_bytes(pid: int) -> int:
    """Returns the memory of a process, in bytes, with swapped memory.

    Mapped files, such as libraries, and reserved memory, such as stacks of threads, do not count.
    0: there is no such process.
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
    """Returns whether a signal, such as SIGSTOP, has stopped a process."""
    with suppress(OSError):
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in _STOPPED
    return False


def machine_bytes() -> int:
    """Returns the memory of this machine in bytes, or of the container if that has less."""
    total = next(
        int(line.split()[1]) * _BYTES_PER_KB
        for line in (PROC / "meminfo").read_text().splitlines()
        if line.startswith("MemTotal:")
    )
    with suppress(OSError, ValueError):  # there is no limit, or no cgroup
        return min(total, int(CGROUP_LIMIT.read_text()))
    return total
