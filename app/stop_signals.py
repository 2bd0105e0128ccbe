"""Ends a run at once on SIGTERM or SIGINT, after it has cleaned up and written its status.

Python handles a signal only when Holoscan or a network returns to it, and the first process of a
container receives no signal without a handler. Therefore both signals are blocked in all threads,
and one thread waits for them.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from totalmap.engine.memory_reservation import remove_reservations
from totalmap.temporary_folders import creation_lock, remove_temporary_folders

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})

_POLL_SECONDS = 0.2


def hold_stop_signals() -> None:
    """Blocks the signals in this thread and in all threads it starts; exec keeps them blocked."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


@contextmanager
def stop_signals_answered(stop: Callable[[str], int | None]) -> Iterator[None]:
    """Ends the process when a stop signal arrives while the block runs.

    Does nothing if the signals are not blocked: a program that embeds the application handles them
    itself.

    Args:
        stop: Called in a separate thread with the name of the signal; returns the exit status, or
            None to continue the run.
    """
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if not held.issuperset(STOP_SIGNALS):
        yield
        return
    done = threading.Event()
    waiter = threading.Thread(target=_wait, args=(stop, done), daemon=True)
    waiter.start()
    try:
        yield
    finally:
        done.set()


def _wait(stop: Callable[[str], int | None], done: threading.Event) -> None:
    while not done.is_set():
        received = signal.sigtimedwait(STOP_SIGNALS, _POLL_SECONDS)
        if received is None or done.is_set():
            continue
        status = stop(signal.Signals(received.si_signo).name)
        if status is not None:
            with creation_lock:
                remove_temporary_folders()
                remove_reservations()
                os._exit(status)  # the main thread may be inside C++ code
