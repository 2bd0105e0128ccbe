"""What each process of the gateway does at its start, and how it hears that it has to end."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
    os.umask(0o077)
