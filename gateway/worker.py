"""A worker: one process a device, which takes one job after another out of the queue.

It says every few seconds that it lives, and looks whether somebody still wants what it does. If
not, or if a job takes too long, the process ends in the middle of it, and is started again
(gateway/serve.py): what computes can't be broken off otherwise.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from typing import NoReturn

from app.command import DEFAULT_MODELS
from gateway.config import GatewaySettings, RunnerKind
from gateway.database import open_database
from gateway.joblist import JobList, JobState
from gateway.jobs import Handlers, running_queue
from gateway.ledger import Ledger
from gateway.roster import SEEN_SECONDS, Roster
from gateway.runner import ContainerRunner, Runner, WarmRunner
from gateway.storage import Storage
from gateway.work import Work
from totalmap.allocator import keep_freed_memory
from totalmap.errors import ResourceError
from totalmap.log import get_logger

LOOK_SECONDS = 1.0
SECONDS_PER_MINUTE = 60
# Of a process that gives up a job; it is started again.
GAVE_UP = 75

log = get_logger()


def work(settings: GatewaySettings, worker: str, device: str, stop: Event) -> None:
    """Works until it is told to stop.

    Args:
        settings: Of the gateway.
        worker: Names this worker; the same at each start, and no other one's.
        device: As in `work.devices`.
        stop: Set from elsewhere.

    Raises:
        ConfigError, ModelError: It can't work like this, however often it is started.
        ResourceError: The database can't be opened, or is lost.
    """
    storage = Storage(settings.storage_folder)
    with open_database(settings) as database:
        one = Work(
            settings=settings.work,
            storage=storage,
            ledger=Ledger(database),
            jobs=JobList(database),
            runner=_runner(settings),
            worker=worker,
            device=device,
        )
        one.warm_up(settings.rules[0].application)
        watch = _Watch(one, Roster(database))
        with watch.watching(), running_queue(settings, worker, Handlers(segment=watch.segment)):
            log.info("working", worker=worker, device=device)
            stop.wait()
        watch.finish(settings.work.stop_seconds)


def _runner(settings: GatewaySettings) -> Runner:
    models = settings.work.models_folder
    if settings.work.runner is RunnerKind.CONTAINER:
        return ContainerRunner(settings.work.container, models)
    keep_freed_memory()
    return WarmRunner(models or DEFAULT_MODELS)


class _Watch:
    """Knows what the worker works on, and whether it should go on."""

    def __init__(self, work: Work, roster: Roster) -> None:
        self._work = work
        self._roster = roster
        self._busy = Lock()
        self._job_id: str | None = None
        self._seen_at = 0.0

    def segment(self, job_id: str, run: int) -> None:
        """Does a job, watched."""
        with self._busy:
            self._job_id = job_id
            try:
                self._work.segment(job_id, run)
            finally:
                self._job_id = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Looks while the block runs."""
        stop = Event()
        thread = Thread(target=self._look_until, args=[stop], name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def finish(self, stop_seconds: float) -> None:
        """Lets the job that runs come to its end, or gives it back to the queue."""
        job_id = self._job_id
        if self._busy.acquire(timeout=stop_seconds):
            self._roster.leave(self._work.worker)
            return
        if job_id is not None:
            self._work.jobs.postpone(job_id, "the gateway was stopped", 0.0, is_attempt=False)
            self._abandon(job_id, "gateway_stopped")

    def _look_until(self, stop: Event) -> None:
        while not stop.wait(LOOK_SECONDS):
            try:
                self._look()
            except ResourceError as error:
                log.warning("not_watched", reason=str(error))

    def _look(self) -> None:
        job_id = self._job_id
        if time.monotonic() - self._seen_at >= SEEN_SECONDS:
            self._roster.see(self._work.worker, self._work.device, job_id)
            self._seen_at = time.monotonic()
        if job_id is None:
            return
        job = self._work.jobs.job(job_id)
        if job is None:
            return
        is_elsewhere = job.state is JobState.RUNNING and job.worker != self._work.worker
        if is_elsewhere or job.state in (JobState.CANCELLED, JobState.SUPERSEDED):
            self._abandon(job_id, "job_not_wanted_any_more")
        if job.state is not JobState.RUNNING:  # not yet, or it has just come to its end
            return
        minutes = self._work.settings.time_out_minutes
        if time.time() - (job.started_at or 0.0) > minutes * SECONDS_PER_MINUTE:
            self._work.jobs.die(job_id, f"it took longer than {minutes:g} minutes")
            self._abandon(job_id, "job_timed_out")

    def _abandon(self, job_id: str, event: str) -> NoReturn:
        log.warning(event, job=job_id)
        folder: Path = self._work.storage.job_folder(job_id)
        self._work.runner.abandon(folder)
        os._exit(GAVE_UP)  # what computes may be deep in C++
