"""Runs the dispatching process: complete studies become jobs, and work to be done is queued.

Each tick compares the ledger with the queue and does what is missing, so that it does not matter
where the last run was interrupted.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from gateway.audit.auditor import Auditor
from gateway.clock import SystemClock
from gateway.commitment.sender_requests import SenderRequests, reporting_to_senders
from gateway.config import GatewaySettings
from gateway.conflict_detection import ConflictDetector
from gateway.deliver.deliverer import Deliverer
from gateway.dispatch.completeness import QuietTimes, is_complete
from gateway.dispatch.destination_watch import watching_destinations
from gateway.dispatch.job_rules import decide
from gateway.dispatch.source_query import ExpectedCounts
from gateway.dispatch.study_indexing import StudyIndexing
from gateway.heartbeat import LONG_STEP_SECONDS, Heartbeat
from gateway.job_queue import Handlers, JobQueue, running_queue
from gateway.lost_worker_detection import LostWorkers
from gateway.process_ending import Ending, WorkInHand
from gateway.retention.retention import ClockGuard, Retention
from gateway.store.clock_record import ClockRecord
from gateway.store.conflicts import ConflictList
from gateway.store.database import open_database
from gateway.store.deliveries import DeliveryList
from gateway.store.file_storage import Storage
from gateway.store.jobs import JobList
from gateway.store.ledger import GrowingStudy, KeptInstance, Ledger
from gateway.store.ledger_damage import DamagedLedger
from gateway.store.workers import WorkerList
from totalmap.errors import ResourceError
from totalmap.log import get_logger

CRASHES_FILE = "dispatching.json"
CRASHES_ALLOWED = 3
# After that it is tried once an hour; meanwhile /health says that it is not passed on.
CRASHED_WAIT_SECONDS = 3600.0
TICK_SECONDS = 0.5
SWEEP_SECONDS = 10.0
# How long the queue keeps entries that have ended.
FORGET_SECONDS = 86_400.0
EXECUTOR = "dispatcher"

log = get_logger()


class CrashingStudies:
    """Stores on the disk which studies were begun and not finished, and how often.

    A study whose headers crash the dispatcher several times is set aside, and others go on.
    """

    def __init__(self, storage_folder: Path) -> None:
        self._path = storage_folder / CRASHES_FILE
        self._begun: dict[str, list[float]] = {}
        self._reported: set[str] = set()
        with suppress(OSError, ValueError):  # there is no file, or a crash has cut it off
            self._begun = json.loads(self._path.read_text("ascii"))

    def begin(self, study_instance_uid: str) -> bool:
        """Returns whether a study may be begun now, and notes that it is.

        Raises:
            ResourceError: The note can't be written.
        """
        key = _key(study_instance_uid)
        attempts, begun_at = self._begun.get(key, (0, 0.0))
        waited = time.time() - begun_at
        if attempts >= CRASHES_ALLOWED and 0.0 <= waited < CRASHED_WAIT_SECONDS:
            if key not in self._reported:
                log.error("study_set_aside", study=key, attempts=int(attempts))
            self._reported.add(key)
            return False
        self._begun[key] = [attempts + 1, time.time()]
        self._write()
        return True

    def end(self, study_instance_uid: str) -> None:
        """Notes that a study did not crash the dispatcher.

        Raises:
            ResourceError: The note can't be written.
        """
        if self._begun.pop(_key(study_instance_uid), None) is not None:
            self._write()

    def _write(self) -> None:
        aside = self._path.with_suffix(".part")
        try:
            aside.write_text(json.dumps(self._begun), "ascii")
            aside.replace(self._path)
        except OSError as error:
            raise ResourceError(f"{self._path} can't be written: {error.strerror}") from error


def _key(study_instance_uid: str) -> str:
    return hashlib.sha256(study_instance_uid.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatcher:
    """Makes jobs of complete studies, and fills the queue from the ledger.

    Attributes:
        turned: Called after each step, to show that the dispatcher works.
        lost_workers: Detects workers that do not report.
        crashing_studies: Sets studies aside that crash the dispatcher; None: nothing does.
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
            also: Functions to call at each sweep.
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
        """Makes jobs of complete studies, and queues jobs and deliveries that are to be queued."""
        growing = self.ledger.growing_studies()
        uids = {study.study_instance_uid for study in growing}
        self.expected_counts.forget_all_but(uids)
        self.conflict_detector.forget_all_but(uids)
        self.quiet_times.forget_all_but(uids)
        for study in growing:
            expected = self.expected_counts.of(study.study_instance_uid)
            quiet = self.quiet_times.of(study)
            is_done = is_complete(study, quiet, self.settings.complete, expected)
            if is_done or study.has_jobs:
                with _failures_logged():  # one study must not hold up the others
                    self._look_unless_it_crashes(study, is_done=is_done)
                self.turned()
        self.queue.pause(is_paused=self.worker_list.is_paused())
        for job in self.jobs.unqueued():
            self.queue.put_job(job)
            self.jobs.enqueued(job)
        for delivery in self.deliveries.unqueued():
            self.queue.put_delivery(delivery)
            self.deliveries.enqueued(delivery)

    def sweep(self) -> None:
        """Restarts the jobs of lost workers, and queues again what the queue has lost."""
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

    def _look_unless_it_crashes(self, study: GrowingStudy, *, is_done: bool) -> None:
        if self.crashing_studies is None:
            self._look_at(study, is_done=is_done)
        elif self.crashing_studies.begin(study.study_instance_uid):
            try:
                self._look_at(study, is_done=is_done)
            finally:
                self.crashing_studies.end(study.study_instance_uid)

    def _look_at(self, study: GrowingStudy, *, is_done: bool) -> None:
        """Looks for conflicts in a study, and makes its jobs if it is complete."""
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
    """Logs a failure of the disk or the database, so that the next tick tries again."""
    try:
        yield
    except DamagedLedger:
        pass  # it is logged already
    except ResourceError as error:
        log.warning("not_dispatched", reason=str(error))


def dispatch(settings: GatewaySettings, heartbeat: Heartbeat, ending: Ending) -> None:
    """Runs the dispatching process until it is told to end.

    Args:
        settings: Of the gateway.
        heartbeat: Of this process.
        ending: Set from elsewhere; deliveries in hand are finished, unless it has to stop at once.

    Raises:
        ConfigError: The ledger is another version's.
        ResourceError: The database can't be opened, or is lost.
    """
    storage = Storage(settings.storage_folder)
    with open_database(settings) as database:
        ledger = Ledger(database)
        deliverer, in_hand = Deliverer.open(settings, storage, database), WorkInHand()
        handlers = Handlers(deliver=in_hand.counted(deliverer.deliver))
        retention = Retention(settings, storage, database)
        guard = ClockGuard(SystemClock(), ClockRecord(database))

        def delete() -> None:
            if guard.is_trusted():
                retention.apply()

        auditor = Auditor(settings, storage, database)
        indexing = StudyIndexing(storage, database)
        with (
            watching_destinations(settings, database),
            running_queue(settings, EXECUTOR, handlers) as queue,
            reporting_to_senders(SenderRequests(settings, storage, database)),
            closing(_expected_counts(settings)) as expected_counts,
            heartbeat.loop("dispatcher", LONG_STEP_SECONDS) as turned,
        ):
            Dispatcher(
                settings=settings,
                storage=storage,
                ledger=ledger,
                jobs=JobList(database),
                deliveries=DeliveryList(database),
                worker_list=WorkerList(database),
                queue=queue,
                expected_counts=expected_counts,
                conflict_detector=ConflictDetector(ledger, ConflictList(database), storage),
                quiet_times=QuietTimes(SystemClock()),
                turned=turned,
                crashing_studies=CrashingStudies(settings.storage_folder),
            ).run(ending.wanted, also=(delete, auditor.write, indexing.apply))
        in_hand.wait_until_done(ending.stop)


def _expected_counts(settings: GatewaySettings) -> ExpectedCounts:
    complete = settings.complete
    source = settings.destination(complete.source) if complete.source else None
    return ExpectedCounts(source, complete.ask_seconds)
