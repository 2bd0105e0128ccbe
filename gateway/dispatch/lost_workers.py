"""Knows which workers have been silent for so long that others take over their jobs."""

from collections import defaultdict
from collections.abc import Iterable

from gateway.heartbeat import Silence, UnpausedClock
from gateway.store.workers import LOST_SECONDS, Worker

# Between two looks of the dispatcher there are ten seconds; more was a pause of its machine.
_LONGEST_STEP_SECONDS = 15.0


class LostWorkers:
    """Measures the silence of workers by this machine's monotonic clock.

    Clocks that differ, are set, or jump after a pause of the machine have no part in it. A worker
    is lost that has said nothing for `LOST_SECONDS` since the first look at it.
    """

    def __init__(self, clock: UnpausedClock | None = None) -> None:
        self._clock = clock or UnpausedClock(_LONGEST_STEP_SECONDS)
        self._silences: defaultdict[str, Silence] = defaultdict(Silence)

    def among(self, workers: Iterable[Worker]) -> set[str]:
        """Returns the names of those that are lost; to be called every few seconds.

        Args:
            workers: As they are on record now.
        """
        now = self._clock.now()
        silent = {
            worker.worker: self._silences[worker.worker].seconds(worker.seen_at, now)
            for worker in workers
        }
        return {name for name, seconds in silent.items() if seconds > LOST_SECONDS}
