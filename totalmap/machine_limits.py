"""Reads how many processors and how much memory this process may use on its machine.

A control group (cgroups(7)) limits a container, and a service with systemd's CPUQuota or MemoryMax.
Versions 1 and 2 are read, with the groups above that of this process.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PROC = Path("/proc")
_BYTES_PER_KB = 1024
# Version 1 has no word for "no limit", but a number near 2**63.
_NO_LIMIT = 2**60


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLimit:
    """The memory limit of a control group, in bytes.

    Attributes:
        limit: What all its processes together may use.
        free: What is left of it; file caches that the kernel frees when needed count as free.
    """

    limit: int
    free: int


def usable_processors(proc: Path = PROC) -> int:
    """Returns the number of processors that this process may use at once, at least 1.

    Args:
        proc: The file system that describes processes (proc(5)).
    """
    quotas = [quota for folder in _group_folders("cpu", proc) if (quota := _quota(folder))]
    return max(1, int(min([float(len(os.sched_getaffinity(0))), *quotas])))


def has_processor_quota(proc: Path = PROC) -> bool:
    """Returns whether a control group allows fewer processors than this process can see."""
    return usable_processors(proc) < len(os.sched_getaffinity(0))


def memory_limits(proc: Path = PROC) -> list[MemoryLimit]:
    """Returns the memory limits of all control groups that this process is in; often none."""
    limits = (_memory_limit(folder) for folder in _group_folders("memory", proc))
    return [limit for limit in limits if limit is not None]


def machine_bytes(proc: Path = PROC) -> int:
    """Returns the memory of this machine in bytes, or of the control group if that has less."""
    total = _meminfo("MemTotal", proc)
    assert total is not None  # noqa: S101  every Linux states it
    return min([total, *(limit.limit for limit in memory_limits(proc))])


def available_bytes(proc: Path = PROC) -> int:
    """Returns the bytes that this process may still allocate, by machine and control groups."""
    free = _meminfo("MemAvailable", proc)
    if free is None:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(0, min([free, *(limit.free for limit in memory_limits(proc))]))


def used_bytes(pid: int | str) -> int:
    """Returns the memory of a process, in bytes, with swapped memory.

    Mapped files, such as libraries, and reserved memory, such as stacks of threads, do not count.
    0: there is no such process.

    Args:
        pid: The process ID, or `self`.
    """
    fields = ("RssAnon:", "VmSwap:")
    with suppress(OSError):
        lines = (PROC / str(pid) / "status").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(fields)) * (
            _BYTES_PER_KB
        )
    return 0


def _meminfo(name: str, proc: Path) -> int | None:
    for line in (proc / "meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * _BYTES_PER_KB
    return None


def _group_folders(controller: str, proc: Path) -> Iterator[Path]:
    """Yields the folders of the control groups of this process, and of those above, by controller.

    In a container the paths in /proc/self/cgroup may be those of the host; its own group is then
    the folder in which the file system is mounted.
    """
    with suppress(OSError, ValueError):  # no control groups, or a layout that is not known
        groups = (proc / "self" / "cgroup").read_text().splitlines()
        mounts = (proc / "self" / "mountinfo").read_text().splitlines()
        for _, controllers, path in (line.split(":", 2) for line in groups):
            is_new = not controllers
            if not is_new and controller not in controllers.split(","):
                continue
            for root, mount in _mounted(mounts, None if is_new else controller):
                yield from _folder_and_above(mount, root, path)


def _mounted(mounts: list[str], controller: str | None) -> Iterator[tuple[str, Path]]:
    """Yields the root in the hierarchy, and the folder, of each mount (proc_pid_mountinfo(5)).

    Args:
        mounts: Lines of mountinfo.
        controller: Of version 1; None: version 2.
    """
    for line in mounts:
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        is_wanted = (
            kind == "cgroup2"
            if controller is None
            else kind == "cgroup" and controller in options.split(",")
        )
        if is_wanted:
            root, mount = before.split(" ")[3:5]
            yield root, Path(mount)


def _folder_and_above(mount: Path, root: str, path: str) -> Iterator[Path]:
    folder = mount
    with suppress(ValueError):  # the path is one of the host
        folder = mount / PurePosixPath(path).relative_to(root)
    if ".." in folder.parts or not folder.is_dir():
        folder = mount
    yield folder
    while folder != mount:
        folder = folder.parent
        yield folder


def _quota(folder: Path) -> float | None:
    """Returns the number of processors that a group may use; None: there is no limit."""
    with suppress(OSError, ValueError):  # `max` is no number
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    with suppress(OSError, ValueError):
        allowed = int((folder / "cpu.cfs_quota_us").read_text())
        if allowed > 0:
            return allowed / int((folder / "cpu.cfs_period_us").read_text())
    return None


def _memory_limit(folder: Path) -> MemoryLimit | None:
    """Returns the limit of a group; None: there is none."""
    names = (
        ("memory.max", "memory.current", "inactive_file "),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "),
    )
    for limit_name, used_name, cache_name in names:
        with suppress(OSError, ValueError):  # `max` is no number
            limit = int((folder / limit_name).read_text())
            used = int((folder / used_name).read_text())
            statistics = (folder / "memory.stat").read_text().splitlines()
            cache = sum(int(line.split()[1]) for line in statistics if line.startswith(cache_name))
            if limit > _NO_LIMIT:
                return None
            return MemoryLimit(limit=limit, free=limit - used + cache)
    return None
