"""Detects lost workers, by the monotonic clock of this machine."""

from collections import defaultdict
from collections.abc import Iterable

from gateway.heartbeat import Silence, UnpausedClock
from gateway.store.workers import LOST_SECONDS, Worker

# Those who call look every ten seconds; a longer time was a pause of their machine.
_LONGEST_STEP_SECONDS = 15.0


class LostWorkers:
    """Detects lost workers, by the monotonic clock of this machine.

    The result does not depend on clocks that differ, are set, or jump after a pause of the machine.
    A worker is lost if it has not reported for some seconds since the first look at it.
    """

    def __init__(
        self, clock: UnpausedClock | None = None, lost_seconds: float = LOST_SECONDS
    ) -> None:
        self._clock = clock or UnpausedClock(_LONGEST_STEP_SECONDS)
        self._lost_seconds = lost_seconds
        self._silences: defaultdict[str, Silence] = defaultdict(Silence)

    def among(self, workers: Iterable[Worker]) -> set[str]:
        """Returns the names of lost workers; has to be called every few seconds.

        Args:
            workers: The workers on record now.
        """
        now = self._clock.now()
        silent = {
            worker.worker: self._silences[worker.worker].seconds(worker.seen_at, now)
            for worker in workers
        }
        return {name for name, seconds in silent.items() if seconds > self._lost_seconds}
