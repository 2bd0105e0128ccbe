"""SIGTERM and SIGINT: a run that is told to stop cleans up, says so, and ends at once.

Python would answer a signal only when Holoscan or a network returns to it, and the first process
of a container gets none that it does not wait for. So both signals are held back in all threads,
and one thread waits for them.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from totalmap.temporary_folders import remove_temporary_folders

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})

_LOOK_EVERY_SECONDS = 0.2


def hold_stop_signals() -> None:
    """Holds the signals back in this thread and in all that it starts; an exec keeps it so."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


@contextmanager
def stop_signals_answered(stop: Callable[[str], int | None]) -> Iterator[None]:
    """Ends the process when a stop signal arrives while the block runs.

    Does nothing where the signals are not held: whoever runs the application inside a program of
    his own answers them himself.

    Args:
        stop: Called with the name of the signal, in a thread of its own; returns the exit status,
            or None to let the run go on.
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
        received = signal.sigtimedwait(STOP_SIGNALS, _LOOK_EVERY_SECONDS)
        if received is None or done.is_set():
            continue
        status = stop(signal.Signals(received.si_signo).name)
        if status is not None:
            remove_temporary_folders()
            os._exit(status)  # the thread that computes may be deep in C++
