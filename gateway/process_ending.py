"""Tells a process of the gateway to end: at once, or when its work in hand is finished."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# The supervisor sends it to a process that is to start again with other settings.
FINISH_SIGNAL = signal.SIGUSR1
# A hangup of the terminal is for the supervisor alone, which reads the settings again.
_HANGUP = signal.SIGHUP


class Ending:
    """How a process is to end.

    Attributes:
        wanted: Set when the process is to end in either way.
        stop: Set when it is to end at once.
    """

    def __init__(self) -> None:
        self.wanted = Event()
        self.stop = Event()

    def stop_now(self) -> None:
        """Makes the process end at once."""
        self.stop.set()
        self.wanted.set()

    def finish(self) -> None:
        """Makes the process finish its work in hand, take no more, and end."""
        self.wanted.set()


@contextmanager
def end_signals() -> Iterator[Ending]:
    """Yields how the signals of this process want it to end; only for its main thread."""
    ending = Ending()

    def stop(_number: int, _frame: FrameType | None) -> None:
        ending.stop_now()

    def finish(_number: int, _frame: FrameType | None) -> None:
        ending.finish()

    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    before[FINISH_SIGNAL] = signal.signal(FINISH_SIGNAL, finish)
    before[_HANGUP] = signal.signal(_HANGUP, signal.SIG_IGN)
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class WorkInHand:
    """Counts the calls of a function that are under way."""

    def __init__(self) -> None:
        self._n_calls = 0
        self._changed = threading.Condition()

    def counted(self, function: Callable[..., None]) -> Callable[..., None]:
        """Returns a function that is counted while it runs."""

        def call(*arguments: object) -> None:
            with self._changed:
                self._n_calls += 1
            try:
                function(*arguments)
            finally:
                with self._changed:
                    self._n_calls -= 1
                    self._changed.notify_all()

        return call

    def wait_until_done(self, stop: Event, look_seconds: float = 0.2) -> None:
        """Waits until no call is under way, or until the process is to end at once."""
        with self._changed:
            while self._n_calls and not stop.is_set():
                self._changed.wait(look_seconds)
