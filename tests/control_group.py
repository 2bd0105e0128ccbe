"""Limits the memory of a process by a control group, as a container does."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_GROUPS = Path("/sys/fs/cgroup")
# The folder of the hierarchy, and the files of a limit, of each version.
_VERSIONS = ((_GROUPS / "memory", "memory.limit_in_bytes"), (_GROUPS, "memory.max"))


@contextmanager
def memory_limit(limit_bytes: int) -> Iterator[Path]:
    """Yields the file to which a process writes its ID to be limited; skips where none is allowed.

    Args:
        limit_bytes: What all processes of the group may use together.
    """
    for folder, limit in _VERSIONS:
        group = folder / f"totalmap-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / limit).exists():
                (group / limit).write_text(str(limit_bytes))
                yield group / "cgroup.procs"
                return
        finally:
            group.rmdir()
    pytest.skip("no control group with a memory limit can be made here (root, cgroups)")
