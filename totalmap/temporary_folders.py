"""Makes temporary folders and removes them, even if a signal ends the process."""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from totalmap.errors import ResourceError

# os._exit runs no `finally`; app/stop_signals.py removes these folders before it.
_existing: set[Path] = set()
# Held while a temporary file is made and put on record. Who ends the process takes it and keeps it,
# so that no other thread makes a file that nobody removes.
creation_lock = threading.RLock()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yields a new folder in TMPDIR that only this user can read, and removes it at the end.

    Raises:
        ResourceError: The folder can't be made.
    """
    try:
        with creation_lock:
            folder = Path(tempfile.mkdtemp(prefix="totalmap-"))
            _existing.add(folder)
    except OSError as error:
        raise ResourceError(
            f"no temporary folder can be made ({error.strerror}): "
            "free space there, or name another place in TMPDIR"
        ) from error
    try:
        yield folder
    finally:
        _remove(folder)


def remove_temporary_folders() -> None:
    """Removes all temporary folders; another thread may still write into them."""
    for folder in tuple(_existing):
        _remove(folder)


def _remove(folder: Path) -> None:
    _existing.discard(folder)
    # Renamed first, so that no thread adds files while the folder is removed.
    doomed = folder.with_name(f"{folder.name}-removed")
    with suppress(OSError):
        folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
