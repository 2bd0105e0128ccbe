"""Keeps files between processes, in a folder that only its owner can read and write.

What lies in such a folder changes how labels are computed. Therefore nothing is read from a folder
or file that another user owns or may use, or from a link: it is ignored, with a line in the log.
Without a folder that can be written, nothing is kept.
"""

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from totalmap.environment_variables import process_environment
from totalmap.log import get_logger

log = get_logger()

# Name of our folder in a folder for caches.
FOLDER_NAME = "totalmap"
LARGEST_FILE_BYTES = 4 * 2**20
_PART_SUFFIX = ".part"
# An update takes milliseconds.
_LOCK_SECONDS = 1.0
_LOCK_RETRY_SECONDS = 0.005
_ONLY_OWNER = 0o700
_OF_OTHERS = 0o077
# Reasons of a system without a cache, such as a read-only container: nothing to report.
_UNAVAILABLE = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}


def cache_home(setting: Path | None, environment: Mapping[str, str] | None = None) -> Path | None:
    """Returns the folder in which programs keep their caches; None if there is none.

    Args:
        setting: The folder that the settings name; None: that of the XDG Base Directory
            Specification 0.8, $XDG_CACHE_HOME or $HOME/.cache.
        environment: The environment variables; None: those of this process.
    """
    if setting is not None:
        return setting
    variables = process_environment() if environment is None else environment
    named, home = Path(variables.get("XDG_CACHE_HOME", "")), Path(variables.get("HOME", ""))
    if named.is_absolute():  # the specification ignores relative paths
        return named
    return home / ".cache" if home.is_absolute() else None


class PrivateCache:
    """The folder `totalmap` in a folder for caches; it is made when something is kept."""

    def __init__(self, home: Path | None) -> None:
        """Takes the folder for caches, which may not exist; None keeps nothing."""
        self._path = home / FOLDER_NAME if home else None
        self._reported: set[str] = set()

    @property
    def path(self) -> Path | None:
        """The folder, which may not exist; None: nothing is kept."""
        return self._path

    def is_usable(self) -> bool:
        """Returns whether the folder exists and belongs to this user alone."""
        with self._opened() as folder:
            return folder is not None

    def read(self, name: str, largest_bytes: int = LARGEST_FILE_BYTES) -> bytes | None:
        """Returns the content of a file; None if it is missing, too large or can't be trusted."""
        with self._opened() as folder:
            return None if folder is None else self._content(folder, name, largest_bytes)

    def update(self, name: str, change: Callable[[bytes | None], bytes]) -> bool:
        """Replaces a file in one step; other processes that update it wait.

        Args:
            name: Name of the file.
            change: Returns the new content from the old one, which is None as in `read`.

        Returns:
            Whether the file was written.
        """
        with self._opened(make=True) as folder:
            if folder is None:
                return False
            try:
                if _is_locked(folder):  # no other process writes
                    _remove_parts(folder)
                _replace(folder, name, change(self._content(folder, name)))
            except OSError as error:
                self._unavailable(error)
                return False
        return True

    def put(self, name: str, content: bytes, *, family: str, most_bytes: int) -> None:
        """Replaces a file in one step, whatever it held, and removes the oldest of its family.

        Args:
            name: Name of the file.
            content: Its content.
            family: The names of the files of its family begin so.
            most_bytes: The size of all files of the family together.
        """
        with self._opened(make=True) as folder:
            if folder is None:
                return
            try:
                if _is_locked(folder):  # no other process writes
                    _remove_parts(folder)
                _remove_oldest(folder, family, most_bytes - len(content))
                _replace(folder, name, content)
            except OSError as error:
                self._unavailable(error)

    def remove(self, name: str) -> None:
        """Removes a file if it exists."""
        with self._opened() as folder:
            if folder is not None:
                with suppress(OSError):
                    os.unlink(name, dir_fd=folder)

    @contextmanager
    def _opened(self, *, make: bool = False) -> Iterator[int | None]:
        """Yields a descriptor of the folder; None if it is missing or can't be trusted."""
        descriptor = None
        try:
            descriptor = self._open(make=make)
        except OSError as error:
            self._unavailable(error)
        except _UntrustedError as error:
            self._ignore(str(error))
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _open(self, *, make: bool) -> int | None:
        if self._path is None:
            return None
        if make:
            with suppress(OSError):
                self._path.parent.mkdir(_ONLY_OWNER, parents=True, exist_ok=True)
        if not self._path.parent.is_dir():
            return None
        if make:
            with suppress(FileExistsError):  # it may be a link
                self._path.mkdir(_ONLY_OWNER)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags)
        try:
            self._require_private(os.fstat(descriptor), "the folder")
        except _UntrustedError:
            os.close(descriptor)
            raise
        return descriptor

    def _content(
        self, folder: int, name: str, largest_bytes: int = LARGEST_FILE_BYTES
    ) -> bytes | None:
        try:
            # A pipe would wait for its writer.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._ignore(f"{name} can't be opened ({error.strerror})")
            return None
        with os.fdopen(descriptor, "rb") as file:
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise _UntrustedError(f"{name} is not a file")
                self._require_private(status, name)
                if status.st_size > largest_bytes:
                    raise _UntrustedError(f"{name} is too large")
                return file.read(largest_bytes)
            except _UntrustedError as error:
                self._ignore(str(error))
            except OSError as error:
                self._ignore(f"{name} can't be read ({error.strerror})")
        return None

    @staticmethod
    def _require_private(status: os.stat_result, name: str) -> None:
        if status.st_uid != os.geteuid():
            raise _UntrustedError(f"another user owns {name}")
        if status.st_mode & _OF_OTHERS:
            raise _UntrustedError(f"other users may use {name}")

    def ignored(self, name: str, reason: str) -> None:
        """Logs that the content of a file is not used."""
        self._ignore(f"{name} {reason}")

    def _ignore(self, reason: str) -> None:
        """Logs each reason once."""
        if reason not in self._reported:
            self._reported.add(reason)
            log.warning("cache_ignored", folder=str(self._path), reason=reason)

    def _unavailable(self, error: OSError) -> None:
        if error.errno not in _UNAVAILABLE:
            self._ignore(f"the folder can't be used ({error.strerror})")


class _UntrustedError(Exception):
    """A file or folder does not belong to this user alone."""


def _is_locked(folder: int) -> bool:
    """Waits until no other process updates the folder, and locks it until it is closed.

    Returns:
        False where it can't be locked, as on NFS, or where a stopped process holds the lock. The
        update is done nevertheless; that of another process may be lost.
    """
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOCK_RETRY_SECONDS)
        except OSError:
            return False
        else:
            return True


def _remove_parts(folder: int) -> None:
    """Removes what processes left that were killed while they wrote."""
    for name in os.listdir(folder):
        if name.endswith(_PART_SUFFIX):
            os.unlink(name, dir_fd=folder)


def _remove_oldest(folder: int, family: str, most_bytes: int) -> None:
    """Removes the oldest files whose names begin so, until the rest has at most `most_bytes`."""
    names = [name for name in os.listdir(folder) if name.startswith(family)]
    states = {name: os.stat(name, dir_fd=folder, follow_symlinks=False) for name in names}
    size = sum(state.st_size for state in states.values())
    for name in sorted(names, key=lambda name: states[name].st_mtime_ns):
        if size <= most_bytes:
            return
        os.unlink(name, dir_fd=folder)
        size -= states[name].st_size


def _replace(folder: int, name: str, content: bytes) -> None:
    part = f"{name}.{secrets.token_hex(8)}{_PART_SUFFIX}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(part, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise
