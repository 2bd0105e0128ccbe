"""Limits the memory or the processors of a process by a control group, as a container does."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

_GROUPS = Path("/sys/fs/cgroup")
_PERIOD_US = 100_000


def memory_limit(limit_bytes: int) -> AbstractContextManager[Path]:
    """Limits what all processes of a group may use together, as `_limited_group`."""
    return _limited_group(
        "memory", ("memory.limit_in_bytes", str(limit_bytes)), ("memory.max", str(limit_bytes))
    )


def processor_limit(processors: int) -> AbstractContextManager[Path]:
    """Limits the processors that all processes of a group may use, as `_limited_group`."""
    quota = processors * _PERIOD_US
    return _limited_group(
        "cpu", ("cpu.cfs_quota_us", str(quota)), ("cpu.max", f"{quota} {_PERIOD_US}")
    )


@contextmanager
def _limited_group(
    controller: str, version_1: tuple[str, str], version_2: tuple[str, str]
) -> Iterator[Path]:
    """Yields the file to which a process writes its ID to be limited; skips where none is allowed.

    Args:
        controller: The folder of the hierarchy in version 1.
        version_1: The file of the limit, and its content.
        version_2: The same for version 2.
    """
    for folder, (limit, content) in ((_GROUPS / controller, version_1), (_GROUPS, version_2)):
        group = folder / f"totalmap-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / limit).exists():
                (group / limit).write_text(content)
                yield group / "cgroup.procs"
                return
        finally:
            group.rmdir()
    pytest.skip(f"no control group with a limit of {controller} can be made here (root, cgroups)")
