"""Provides a temporary folder on a disk; /tmp may be in memory."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def disk_folder() -> Iterator[Path]:
    """Yields an empty folder in build/, which git ignores; it is removed at the end."""
    build = Path("build").resolve()
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as name:
        yield Path(name)
