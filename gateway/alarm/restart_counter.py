"""Counts how often each process of this machine was restarted lately."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from threading import Lock

WINDOW_SECONDS = 600.0


class RestartCounter:
    """Counts restarts of the last ten minutes; safe to use from several threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._moments: defaultdict[str, deque[float]] = defaultdict(deque)

    def note(self, process: str) -> None:
        """Notes that a process has ended and is started again."""
        with self._lock:
            self._moments[process].append(self._monotonic())

    def at_least(self, n: int) -> Mapping[str, int]:
        """Returns the processes that were restarted so often lately, with the numbers."""
        oldest = self._monotonic() - WINDOW_SECONDS
        with self._lock:
            for moments in self._moments.values():
                while moments and moments[0] < oldest:
                    moments.popleft()
            counts = {process: len(moments) for process, moments in self._moments.items()}
        return {process: count for process, count in counts.items() if count >= n}
