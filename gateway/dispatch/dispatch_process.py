"""The dispatching process as a whole: what is on record, the queue, and what is delivered."""

from contextlib import closing
from threading import Event

from gateway.audit.auditor import Auditor
from gateway.clock import SystemClock
from gateway.commitment.commitment_requests import CommitmentRequests, reporting
from gateway.config import GatewaySettings
from gateway.conflict_detection import ConflictDetector
from gateway.deliver.deliverer import Deliverer
from gateway.dispatch.completeness import QuietTimes
from gateway.dispatch.crashing_studies import CrashingStudies
from gateway.dispatch.dispatcher import Dispatcher
from gateway.dispatch.source_query import ExpectedCounts
from gateway.heartbeat import LONG_STEP_SECONDS, Heartbeat
from gateway.job_queue import Handlers, running_queue
from gateway.retention.clock_guard import ClockGuard
from gateway.retention.retention import Retention
from gateway.store.clock_record import ClockRecord
from gateway.store.conflicts import ConflictList
from gateway.store.database import open_database
from gateway.store.deliveries import DeliveryList
from gateway.store.files import Storage
from gateway.store.jobs import JobList
from gateway.store.ledger import Ledger
from gateway.store.workers import WorkerList

EXECUTOR = "dispatcher"


def dispatch(settings: GatewaySettings, heartbeat: Heartbeat, stop: Event) -> None:
    """Moves studies on, delivers results and keeps senders told until it is told to stop.

    Args:
        settings: Of the gateway.
        heartbeat: Of this process.
        stop: Set from elsewhere.

    Raises:
        ConfigError: The ledger is another version's.
        ResourceError: The database can't be opened, or is lost.
    """
    storage = Storage(settings.storage_folder)
    with open_database(settings) as database:
        jobs, deliveries, ledger = JobList(database), DeliveryList(database), Ledger(database)
        deliverer = Deliverer(settings=settings, storage=storage, jobs=jobs, deliveries=deliveries)
        retention = Retention(settings, storage, database)
        guard = ClockGuard(SystemClock(), ClockRecord(database))

        def delete() -> None:
            if guard.is_trusted():
                retention.apply()

        auditor = Auditor(settings, storage, database)
        with (
            running_queue(settings, EXECUTOR, Handlers(deliver=deliverer.deliver)) as queue,
            reporting(settings, CommitmentRequests(database, storage)),
            closing(_expected_counts(settings)) as expected_counts,
            heartbeat.loop("dispatcher", LONG_STEP_SECONDS) as turned,
        ):
            Dispatcher(
                settings=settings,
                storage=storage,
                ledger=ledger,
                jobs=jobs,
                deliveries=deliveries,
                worker_list=WorkerList(database),
                queue=queue,
                expected_counts=expected_counts,
                conflict_detector=ConflictDetector(ledger, ConflictList(database), storage),
                quiet_times=QuietTimes(SystemClock()),
                turned=turned,
                crashing_studies=CrashingStudies(settings.storage_folder),
            ).run(stop, also=(delete, auditor.write))


def _expected_counts(settings: GatewaySettings) -> ExpectedCounts:
    complete = settings.complete
    source = settings.destination(complete.source) if complete.source else None
    return ExpectedCounts(source, complete.ask_seconds)
