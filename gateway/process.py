"""What each process of the gateway does at its start, and how it hears that it has to end."""

import ctypes
import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from totalmap.errors import ResourceError, internal_error
from totalmap.log import get_logger

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1
_NOT_FOR_OTHERS = 0o077


def end_with_parent() -> None:
    """Has the kernel kill this process when the one that started it ends (prctl(2)).

    Without its supervisor a process would go on unwatched, and keep the next gateway out.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def report_failed_threads() -> None:
    """Has a thread that fails unexpectedly logged, without what its error quotes."""
    threading.excepthook = _report


def _report(failed: threading.ExceptHookArgs) -> None:
    name = failed.thread.name if failed.thread else ""
    error = failed.exc_value
    if isinstance(error, OSError):  # the disk, the network or the descriptors: no defect
        get_logger().warning("thread_failed", thread=name, reason=error.strerror)
    elif isinstance(error, Exception):
        message = str(internal_error(error))
        get_logger().error("thread_failed", thread=name, message=message)


def keep_private(storage_folder: Path) -> None:
    """Keeps the storage folder, and each new file of this process and its children, private.

    Raises:
        ResourceError: The folder can't be made.
    """
    keep_files_private()
    try:
        storage_folder.mkdir(parents=True, exist_ok=True)
        found = storage_folder.stat()
        if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) & _NOT_FOR_OTHERS:
            storage_folder.chmod(stat.S_IMODE(found.st_mode) & ~_NOT_FOR_OTHERS)
    except OSError as error:
        raise ResourceError(
            f"the storage folder {storage_folder} can't be used: {error.strerror}"
        ) from error


@contextmanager
def stop_signals() -> Iterator[Event]:
    """Yields an event that SIGTERM and SIGINT set; only for the main thread of a process."""
    stop = Event()
    before = {one: signal.signal(one, lambda *_: stop.set()) for one in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def keep_files_private() -> None:
    """Has all that this process and its children write be readable by their user alone."""
    os.umask(_NOT_FOR_OTHERS)
