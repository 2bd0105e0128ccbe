"""Watches the jobs of this machine's workers for the supervisor.

Finds jobs that take too long, settles the job of a worker that was killed, and notices a drain. A
thread of its own does this, so that a database or a disk that does not answer does not keep the
supervisor from its processes.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Thread

from gateway.config import WorkSection
from gateway.heartbeat import UnpausedClock
from gateway.store.counts_for_page_and_metrics import is_idle
from gateway.store.database import Database
from gateway.store.job import Job, JobState
from gateway.store.jobs import JobList
from gateway.store.workers import WorkerList
from gateway.supervise.supervised_process import Loss
from totalmap.errors import ResourceError
from totalmap.log import get_logger

LOOK_SECONDS = 1.0
SECONDS_PER_MINUTE = 60.0
# The longest step that counts for a time-out: a longer one was a pause of the machine.
_LONGEST_STEP_SECONDS = 5.0

_RESUME = "nothing is received until `totalmap gateway resume`"

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Request:
    worker: str
    loss: Loss
    done: Event = field(default_factory=Event)


class JobWatch:
    """Watches the jobs of this machine's workers, and drains.

    Attributes:
        is_draining: Whether nothing more is to be received.
        is_drained: Whether the gateway is to end now. A gateway that was drained before it was
            started stays up, and receives nothing, until it is resumed.
        overdue: Workers whose job takes too long, with the loss to settle.
    """

    def __init__(self, database: Database, work: WorkSection, workers: Collection[str]) -> None:
        """Looks at nothing yet.

        Args:
            database: The ledger's.
            work: The time-out and the number of attempts.
            workers: The names of the workers of this machine.
        """
        self.is_draining = False
        self.is_drained = False
        self.overdue: Mapping[str, Loss] = {}
        self._database = database
        self._jobs = JobList(database)
        self._worker_list = WorkerList(database)
        self._work = work
        self._workers = workers
        self._clock = UnpausedClock(_LONGEST_STEP_SECONDS)
        self._begun_at: dict[tuple[str, int, int], float] = {}
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()
        self._trouble = ""
        self._stays_up: bool | None = None

    def use(self, work: WorkSection) -> None:
        """Changes the time-out and the number of attempts."""
        self._work = work

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Looks once a second while the block runs; the first time before it.

        Raises:
            ResourceError: The database fails at the first look.
        """
        self._look()
        thread = Thread(target=self._look_until_told, name="ledger", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._requests.put(None)
            thread.join(LOOK_SECONDS)

    def settle(self, worker: str, loss: Loss) -> Event:
        """Queues the job of a killed worker again, or ends it.

        Args:
            worker: The name of the worker.
            loss: Why it was killed.

        Returns:
            An event that is set when that is done, or has failed.
        """
        request = _Request(worker, loss)
        self._requests.put(request)
        return request.done

    def _look_until_told(self) -> None:
        while True:
            try:
                request = self._requests.get(timeout=LOOK_SECONDS)
                if request is None:
                    return
            except Empty:
                request = None
            try:
                if request is not None:
                    self._settle(request)
                self._look()
                self._trouble = ""
            except ResourceError as error:
                if self._trouble != str(error):
                    self._trouble = str(error)
                    log.warning("ledger_not_looked_at", reason=self._trouble)
            finally:
                if request is not None:
                    request.done.set()

    def _look(self) -> None:
        now = self._clock.now()
        self._look_at_drain()
        keys = {job.worker or "": (job.job_id, job.run, job.attempts) for job in self._own_jobs()}
        self._begun_at = {key: self._begun_at.get(key, now) for key in keys.values()}
        limit = self._work.time_out_minutes
        reason = f"it took longer than {limit:g} minutes"
        self.overdue = {
            worker: Loss(reason=reason, is_final=True)
            for worker, key in keys.items()
            if now - self._begun_at[key] > limit * SECONDS_PER_MINUTE
        }

    def _look_at_drain(self) -> None:
        was_draining, self.is_draining = self.is_draining, self._worker_list.is_draining()
        has_ended = self.is_draining and is_idle(self._database)
        if self._stays_up is None and has_ended:
            log.warning("gateway_is_drained", remedy=_RESUME)
        elif self.is_draining and not was_draining:
            log.warning("gateway_is_draining", remedy=_RESUME)
        elif was_draining and not self.is_draining:
            log.info("gateway_resumed")
        self._stays_up = has_ended if self._stays_up is None else self._stays_up
        self._stays_up = self._stays_up and self.is_draining
        self.is_drained = has_ended and not self._stays_up

    def _own_jobs(self) -> Collection[Job]:
        running = self._jobs.jobs([JobState.RUNNING], limit=1000)
        return [job for job in running if job.worker in self._workers]

    def _settle(self, request: _Request) -> None:
        self.overdue = {}  # that job is settled here
        for job in self._own_jobs():
            if job.worker != request.worker:
                continue
            loss, reason = request.loss, request.loss.reason
            is_last = loss.is_attempt and job.attempts >= self._work.attempts
            if is_last and not loss.is_final:
                reason = f"begun {job.attempts} times without success: {reason}"
            if loss.is_final or is_last:
                self._jobs.die(job.job_id, reason, begun=job)
                log.error("job_dead", job=job.job_id, reason=reason)
            else:
                self._jobs.postpone(
                    job.job_id, reason, time.time(), is_attempt=loss.is_attempt, begun=job
                )
                log.warning("job_postponed", job=job.job_id, reason=reason)
