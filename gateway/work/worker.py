"""Runs a worker: one process for each device, which takes one job after another from the queue.

It reports every few seconds that it lives, and checks whether its job is still wanted. If not, the
process ends at once, and is started again (gateway/supervisor.py), because a computation can't be
interrupted in another way. The supervisor ends it if a job takes too long.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from typing import NoReturn

from gateway.config import GatewaySettings, RunnerKind
from gateway.folder_locks import only_worker
from gateway.heartbeat import LONG_STEP_SECONDS, Heartbeat, UnpausedClock
from gateway.job_queue import Handlers, running_queue
from gateway.process_ending import Ending
from gateway.store.database import open_database
from gateway.store.file_storage import Storage
from gateway.store.job import Job, JobState
from gateway.store.jobs import JobList
from gateway.store.ledger import Ledger
from gateway.store.rejected_results import RejectedResults
from gateway.store.workers import LOST_SECONDS, SEEN_SECONDS, WorkerList
from gateway.work.application_runner import ContainerRunner, Runner, WarmRunner, container_name
from gateway.work.job_execution import JobExecutor
from totalmap.default_locations import DEFAULT_MODELS
from totalmap.errors import ResourceError
from totalmap.keep_freed_memory import keep_freed_memory
from totalmap.log import get_logger

LOOK_SECONDS = 1.0
# A longer time between two looks counts as a pause of the machine or of this process.
_LONGEST_STEP_SECONDS = 20.0
# The exit status of a process that gives up a job; it is started again.
GAVE_UP = 75

log = get_logger()


def work(
    settings: GatewaySettings, worker: str, device: str, heartbeat: Heartbeat, ending: Ending
) -> None:
    """Works until it is told to end.

    Args:
        settings: Of the gateway.
        worker: The name of this worker: the same at each start, and unique.
        device: As in `work.devices`.
        heartbeat: Of this process.
        ending: Set from elsewhere; the job in hand is finished, unless it has to stop at once.

    Raises:
        ConfigError, ModelError: It can't work with these settings; a restart would not help.
        ResourceError: The database can't be opened, or is lost; or a worker of this name runs.
    """
    storage = Storage(settings.storage_folder)
    with only_worker(settings.storage_folder, worker), open_database(settings) as database:
        executor = JobExecutor(
            settings=settings.work,
            storage=storage,
            ledger=Ledger(database),
            jobs=JobList(database),
            rejected_results=RejectedResults(database),
            runner=_runner(settings, worker),
            worker=worker,
            device=device,
        )
        executor.warm_up(settings.rules[0].whole_application)
        watch = _Watch(executor, WorkerList(database), heartbeat)
        with watch.watching():
            with running_queue(settings, worker, Handlers(segment=watch.segment)):
                log.info("working", worker=worker, device=device)
                ending.wanted.wait()
            watch.wait_for_job(ending.stop)
        watch.finish(settings.work.stop_seconds)


def _runner(settings: GatewaySettings, worker: str) -> Runner:
    models = settings.work.models_folder
    if settings.work.runner is RunnerKind.CONTAINER:
        name = container_name(worker, settings.storage_folder)
        return ContainerRunner(settings.work.container, models, name)
    keep_freed_memory()
    return WarmRunner(models or DEFAULT_MODELS)


class _Watch:
    """Watches the job of the worker, and whether it should go on."""

    def __init__(self, work: JobExecutor, worker_list: WorkerList, heartbeat: Heartbeat) -> None:
        self._work = work
        self._heartbeat = heartbeat
        self._clock = UnpausedClock(_LONGEST_STEP_SECONDS)
        self._worker_list = worker_list
        self._busy = Lock()  # held while a job runs, and for good when no more are to be begun
        self._has_ended = False
        self._job: Job | None = None
        self._seen_at = 0.0

    def segment(self, job_id: str, run: int) -> None:
        """Runs a job, and watches it."""
        with self._busy:
            self._job = self._work.begin(job_id, run)
            try:
                if self._job is not None:
                    self._work.segment(self._job)
            finally:
                self._job = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Looks while the block runs.

        Raises:
            ResourceError: The database fails.
        """
        self._see()  # a worker that has never reported can't be missed
        stop = Event()
        thread = Thread(target=self._look_until, args=[stop], name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def wait_for_job(self, stop: Event) -> None:
        """Waits until the running job ends, or until `stop` is set; then no job is begun."""
        while not stop.is_set() and not self._has_ended:
            self._has_ended = self._busy.acquire(timeout=LOOK_SECONDS)

    def finish(self, stop_seconds: float) -> None:
        """Waits until the running job ends, or else gives it back to the queue."""
        if self._has_ended or self._busy.acquire(timeout=stop_seconds):
            self._worker_list.leave(self._work.worker)
            return
        job = self._job
        if job is not None:
            reason = "the gateway was stopped"
            self._work.jobs.postpone(job.job_id, reason, 0.0, is_attempt=False, begun=job)
            self._abandon(job, "gateway_stopped")

    def _look_until(self, stop: Event) -> None:
        with self._heartbeat.loop("watch", LONG_STEP_SECONDS) as turned:
            while not stop.wait(LOOK_SECONDS):
                self._look_if_possible()
                turned()

    def _look_if_possible(self) -> None:
        try:
            self._look()
        except ResourceError as error:
            log.warning("not_watched", reason=str(error))
            job = self._job
            if job is not None and self._clock.now() - self._seen_at > LOST_SECONDS:
                self._abandon(job, "worker_taken_for_lost")  # another worker may have its job

    def _see(self) -> None:
        job = self._job
        self._worker_list.see(self._work.worker, self._work.device, job.job_id if job else None)
        self._seen_at = self._clock.now()

    def _look(self) -> None:
        begun = self._job
        if self._clock.now() - self._seen_at >= SEEN_SECONDS:
            self._see()
        job = self._work.jobs.job(begun.job_id) if begun else None
        if begun is None or job is None:
            return
        is_running = job.state is JobState.RUNNING
        is_elsewhere = is_running and (job.worker, job.run, job.attempts) != (
            begun.worker,
            begun.run,
            begun.attempts,
        )
        if is_elsewhere or job.state in (JobState.CANCELLED, JobState.SUPERSEDED):
            self._abandon(begun, "job_not_wanted_any_more")

    def _abandon(self, job: Job, event: str) -> NoReturn:
        log.warning(event, job=job.job_id)
        self._work.runner.abandon()
        os._exit(GAVE_UP)  # the computation may be deep in C++
