"""Lets the runs of one user on a machine count the memory that the others still need.

A run allocates its memory while its networks work. What is free on the machine at its start is
therefore not free for a second run that starts a moment later. Each run reserves what it needs in
a file, which stays locked as long as the run holds it; the lock ends with the process, also if that
is killed. Without a folder that only this user can write, nothing is reserved.
"""

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TextIO

from totalmap.machine_limits import available_bytes, used_bytes
from totalmap.temporary_folders import creation_lock

_FOLDER = "totalmap-memory-{user}"
_LOCK = "lock"
_SUFFIX, _NEW_SUFFIX = ".reserved", ".new"
_ONLY_OWNER = 0o700
_numbers = count()
# os._exit runs no `finally`; app/stop_signals.py removes what these name before it.
_own_files: set[Path] = set()
_used_folders: set[Path] = set()
_locked_folders: set[Path] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The memory that a run needs.

    Attributes:
        pid: The process of the run.
        reserved_bytes: What it needs in addition to `used_before_bytes`.
        used_before_bytes: What its process used when it reserved.
    """

    pid: int
    reserved_bytes: int
    used_before_bytes: int

    def missing_bytes(self) -> int:
        """Returns the part that it has not allocated yet."""
        allocated = max(0, used_bytes(self.pid) - self.used_before_bytes)
        return max(0, self.reserved_bytes - allocated)


def unreserved_bytes() -> int:
    """Returns the bytes that this process may allocate, without those that others still need."""
    return available_bytes() - sum(other.missing_bytes() for other in other_reservations())


def other_reservations() -> Sequence[Reservation]:
    """Returns the memory that other processes have reserved and hold now."""
    found = [_read(file) for file in _files_of_others() if _is_held(file)]
    return [reservation for reservation in found if reservation is not None]


def wait_for_others() -> None:
    """Waits until every run that holds a reservation now has released it, or has ended."""
    for file in _files_of_others():
        with suppress(OSError), file.open() as opened:
            fcntl.flock(opened, fcntl.LOCK_SH)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Lets only one process of this user decide whether its memory is free, and reserve it."""
    with ExitStack() as held:
        with suppress(OSError):  # without a lock nothing is reserved either
            while (folder := _made_folder()) is not None:
                with suppress(FileNotFoundError):  # the last run has just removed the folder
                    held.callback(_remove_if_unused, folder)
                    lock = held.enter_context((folder / _LOCK).open("w"))
                    _lock(lock)
                    if _is_still_there(folder / _LOCK, lock):
                        _locked_folders.add(folder)
                        held.callback(_locked_folders.discard, folder)
                        break
        yield


@contextmanager
def reserved(n_bytes: int) -> Iterator[None]:
    """Reserves memory for this process while the block runs; called in `one_at_a_time`."""
    with ExitStack() as held:
        folder = _made_folder()
        with suppress(OSError):  # the disk may be full
            if folder is not None:
                _reserve(n_bytes, folder, held)
        yield


def _reserve(n_bytes: int, folder: Path, held: ExitStack) -> None:
    wanted = Reservation(
        pid=os.getpid(), reserved_bytes=n_bytes, used_before_bytes=used_bytes("self")
    )
    file = folder / f"{wanted.pid}-{next(_numbers)}{_SUFFIX}"
    new = file.with_suffix(_NEW_SUFFIX)
    held.callback(_remove, file)
    with creation_lock:
        _own_files.add(file)
        opened = held.enter_context(new.open("w", encoding="ascii"))
    _lock(opened)
    json.dump(asdict(wanted), opened)
    opened.flush()
    new.rename(file)  # whoever sees it finds it locked


def remove_reservations() -> None:
    """Removes the reservations of this process, which is about to end, and an unused folder.

    It may hold the lock itself, since another of its threads may be about to reserve memory.
    """
    for file in tuple(_own_files):
        _remove(file)
    for folder in tuple(_used_folders):
        if folder in _locked_folders:
            with suppress(OSError):
                _remove_empty(folder)
        else:
            _remove_if_unused(folder)


def _remove(file: Path) -> None:
    _own_files.discard(file)
    with suppress(OSError):
        file.unlink(missing_ok=True)
        file.with_suffix(_NEW_SUFFIX).unlink(missing_ok=True)
    _remove_if_unused(file.parent)


def _remove_if_unused(folder: Path) -> None:
    """Removes the folder after the last reservation, so that no run leaves anything behind."""
    with suppress(OSError), (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails if another run decides now
        _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    """Removes the folder, whose lock this process holds, if nothing but the lock is in it."""
    if [file.name for file in folder.iterdir()] == [_LOCK]:
        (folder / _LOCK).unlink()
        folder.rmdir()
        _used_folders.discard(folder)


def _is_still_there(path: Path, opened: TextIO) -> bool:
    """Returns whether an open file is still the one at its path: its folder may be removed."""
    try:
        return os.path.samestat(path.stat(), os.fstat(opened.fileno()))
    except FileNotFoundError:
        return False


def _lock(opened: TextIO) -> None:
    fcntl.flock(opened, fcntl.LOCK_EX)


def _made_folder() -> Path | None:
    """Returns the folder of the reservations; None: there is none that only this user can write."""
    with suppress(OSError), creation_lock:
        _path_of_folder().mkdir(mode=_ONLY_OWNER, exist_ok=True)
        folder = _folder()
        if folder is not None:
            _used_folders.add(folder)
        return folder
    return None


def _path_of_folder() -> Path:
    return Path(tempfile.gettempdir()) / _FOLDER.format(user=os.geteuid())


def _folder() -> Path | None:
    """Returns the folder of the reservations, if it is there and only this user can write it."""
    folder = _path_of_folder()
    with suppress(OSError):
        found = folder.lstat()
        is_private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == _ONLY_OWNER
        if is_private and found.st_uid == os.geteuid() and os.access(folder, os.W_OK):
            return folder
    return None


def _files_of_others() -> Sequence[Path]:
    folder = _folder()
    if folder is None:
        return ()
    own = f"{os.getpid()}-"
    return [file for file in folder.glob(f"*{_SUFFIX}") if not file.name.startswith(own)]


def _is_held(file: Path) -> bool:
    """Returns whether a process holds a reservation; removes one that a killed process left."""
    with suppress(OSError), file.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        file.unlink(missing_ok=True)
    return False


def _read(file: Path) -> Reservation | None:
    with suppress(OSError, ValueError, TypeError):  # it was released meanwhile
        return Reservation(**json.loads(file.read_text(encoding="ascii")))
    return None
