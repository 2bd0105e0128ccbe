"""Makes temporary folders and removes them, also where a signal ends the process."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from totalmap.errors import ResourceError

# A process that is ended by os._exit runs no `finally`: app/stop_signals.py asks for their removal.
_existing: set[Path] = set()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yields a new folder in TMPDIR that only this user can read, and removes it at the end.

    Raises:
        ResourceError: The folder can't be made.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="totalmap-"))
    except OSError as error:
        raise ResourceError(
            f"no temporary folder can be made ({error.strerror}): "
            "free space there, or name another place in TMPDIR"
        ) from error
    _existing.add(folder)
    try:
        yield folder
    finally:
        _remove(folder)


def remove_temporary_folders() -> None:
    """Removes all temporary folders that exist, while another thread may still write into them."""
    for folder in tuple(_existing):
        _remove(folder)


def _remove(folder: Path) -> None:
    _existing.discard(folder)
    # Under another name, the folder gets no new files while it is removed.
    doomed = folder.with_name(f"{folder.name}-removed")
    with suppress(OSError):
        folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
