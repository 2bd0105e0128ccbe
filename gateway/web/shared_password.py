"""Removes the shared password of version 0.2.0 and earlier, which lets nobody in any more."""

from pathlib import Path

from totalmap.errors import ResourceError

# Its hash, and the file with the password itself that the first start made.
FILE_NAMES = ("web-password", "first-web-password")


def remove_shared_password(storage_folder: Path) -> bool:
    """Removes the files of the shared password; returns whether there were any.

    Raises:
        ResourceError: A file can't be removed.
    """
    found = [path for name in FILE_NAMES if (path := storage_folder / name).exists()]
    for path in found:
        try:
            path.unlink()
        except OSError as error:
            raise ResourceError(f"{path} can't be removed: {error.strerror}") from error
    return bool(found)
