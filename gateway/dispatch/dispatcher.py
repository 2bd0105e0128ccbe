"""Moves studies on: complete ones become jobs, and what is to be done is put into the queue.

Each tick looks at what is on record and does what is missing, so that it does not matter where
the last run was cut off.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

from gateway.config import GatewaySettings
from gateway.conflict_detection import ConflictDetector
from gateway.dispatch.completeness import QuietTimes, is_complete
from gateway.dispatch.crashing_studies import CrashingStudies
from gateway.dispatch.job_rules import decide
from gateway.dispatch.lost_workers import LostWorkers
from gateway.dispatch.source_query import ExpectedCounts
from gateway.job_queue import JobQueue
from gateway.store.damage import DamagedLedger
from gateway.store.deliveries import DeliveryList
from gateway.store.files import Storage
from gateway.store.jobs import JobList
from gateway.store.ledger import GrowingStudy, KeptInstance, Ledger
from gateway.store.workers import WorkerList
from totalmap.errors import ResourceError
from totalmap.log import get_logger

TICK_SECONDS = 0.5
SWEEP_SECONDS = 10.0
# Of what the queue remembers, which is nothing that anybody looks at.
FORGET_SECONDS = 86_400.0

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatcher:
    """Needs nothing but what is on record and the queue.

    Attributes:
        turned: Is called after each step, to show that the dispatcher works.
        lost_workers: Knows which workers are silent.
        under_way: Knows which studies have ended the dispatcher before; None: nobody does.
    """

    settings: GatewaySettings
    storage: Storage
    ledger: Ledger
    jobs: JobList
    deliveries: DeliveryList
    worker_list: WorkerList
    queue: JobQueue
    expected_counts: ExpectedCounts
    conflict_detector: ConflictDetector
    quiet_times: QuietTimes
    turned: Callable[[], None] = lambda: None
    lost_workers: LostWorkers = field(default_factory=LostWorkers)
    crashing_studies: CrashingStudies | None = None

    def run(self, stop: Event, also: Iterable[Callable[[], None]] = ()) -> None:
        """Ticks and sweeps until it is told to stop.

        Args:
            stop: Set from elsewhere.
            also: Done with each sweep.
        """
        swept_at = 0.0
        while not stop.wait(TICK_SECONDS):
            with _failures_logged():
                self.tick()
            self.turned()
            if time.monotonic() - swept_at >= SWEEP_SECONDS:
                swept_at = time.monotonic()
                for act in (self.sweep, *also):
                    with _failures_logged():
                        act()
                    self.turned()

    def tick(self) -> None:
        """Makes jobs of studies that are complete, and puts into the queue what is to be done."""
        growing = self.ledger.growing_studies()
        uids = {study.study_instance_uid for study in growing}
        self.expected_counts.forget_but(uids)
        self.conflict_detector.forget_but(uids)
        self.quiet_times.forget_but(uids)
        for study in growing:
            expected = self.expected_counts.of(study.study_instance_uid)
            quiet = self.quiet_times.of(study)
            is_done = is_complete(study, quiet, self.settings.complete, expected)
            if is_done or study.has_jobs:
                with _failures_logged():  # of one study, which holds up no other
                    self._look_if_harmless(study, is_done=is_done)
                self.turned()
        self.queue.pause(is_paused=self.worker_list.is_paused())
        for job in self.jobs.unqueued():
            self.queue.put_job(job)
            self.jobs.enqueued(job)
        for delivery in self.deliveries.unqueued():
            self.queue.put_delivery(delivery)
            self.deliveries.enqueued(delivery)

    def sweep(self) -> None:
        """Has others do what lost workers did, and queues what the queue has forgotten."""
        lost = self.queue.executors() & self.lost_workers.among(self.worker_list.workers())
        if lost:
            log.warning("workers_lost", workers=sorted(lost))
            self.queue.take_over(sorted(lost))
        jobs = self.jobs.unfinished()
        for job, is_known in zip(jobs, self.queue.knows_jobs(jobs), strict=True):
            if not is_known:
                self.jobs.forgotten(job)
        deliveries = self.deliveries.unfinished()
        known = self.queue.knows_deliveries(deliveries)
        for delivery, is_known in zip(deliveries, known, strict=True):
            if not is_known:
                self.deliveries.forgotten(delivery)
        self.queue.forget(FORGET_SECONDS)

    def _look_if_harmless(self, study: GrowingStudy, *, is_done: bool) -> None:
        if self.crashing_studies is None:
            self._look_at(study, is_done=is_done)
        elif self.crashing_studies.begin(study.study_instance_uid):
            try:
                self._look_at(study, is_done=is_done)
            finally:
                self.crashing_studies.end(study.study_instance_uid)

    def _look_at(self, study: GrowingStudy, *, is_done: bool) -> None:
        """Examines a study, before it is complete if jobs of it may run, and passes it on."""
        compared = self.conflict_detector.detect(study.study_instance_uid)
        if is_done and compared.is_held:
            self.jobs.leave_held(study)
        elif is_done:
            self._pass_on(study, compared.content)

    def _pass_on(self, study: GrowingStudy, content: Sequence[KeptInstance]) -> None:
        jobs = decide(content, self.settings, self.storage)
        new = self.jobs.open(study, jobs, f"{study.n_instances} instances")
        for job in jobs:
            if job.job_id not in new and not self.storage.output_folder(job.job_id).exists():
                self.jobs.reopen(job.job_id)
        log.info("study_complete", instances=study.n_instances, jobs=len(jobs), new=len(new))


@contextmanager
def _failures_logged() -> Iterator[None]:
    """Lets the next tick try again what failed for want of a disk or a database."""
    try:
        yield
    except DamagedLedger:
        pass  # the log has it already
    except ResourceError as error:
        log.warning("not_dispatched", reason=str(error))
