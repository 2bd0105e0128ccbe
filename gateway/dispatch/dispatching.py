"""The dispatching process as a whole: what is on record, the queue, and what is delivered."""

from contextlib import closing
from threading import Event

from gateway.audit.auditor import Auditor
from gateway.clock import SystemClock
from gateway.config import GatewaySettings
from gateway.deliver.deliverer import Deliverer
from gateway.deliver.promises import Promises, reporting
from gateway.dispatch.complete import QuietTimes
from gateway.dispatch.dispatcher import Dispatcher
from gateway.dispatch.expected import Expectations
from gateway.dispatch.studies_under_way import StudiesUnderWay
from gateway.examine import Examiner
from gateway.heartbeat import LONG_STEP_SECONDS, Heartbeat
from gateway.jobs import Handlers, running_queue
from gateway.record.clockrecord import ClockRecord
from gateway.record.conflictlist import ConflictList
from gateway.record.database import open_database
from gateway.record.deliverylist import DeliveryList
from gateway.record.joblist import JobList
from gateway.record.ledger import Ledger
from gateway.record.roster import Roster
from gateway.record.storage import Storage
from gateway.retention.clock_guard import ClockGuard
from gateway.retention.retention import Retention

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
            reporting(settings, Promises(database, storage)),
            closing(_expectations(settings)) as expectations,
            heartbeat.loop("dispatcher", LONG_STEP_SECONDS) as turned,
        ):
            Dispatcher(
                settings=settings,
                storage=storage,
                ledger=ledger,
                jobs=jobs,
                deliveries=deliveries,
                roster=Roster(database),
                queue=queue,
                expectations=expectations,
                examiner=Examiner(ledger, ConflictList(database), storage),
                quiet_times=QuietTimes(SystemClock()),
                turned=turned,
                under_way=StudiesUnderWay(settings.storage_folder),
            ).run(stop, also=(delete, auditor.write))


def _expectations(settings: GatewaySettings) -> Expectations:
    complete = settings.complete
    source = settings.destination(complete.source) if complete.source else None
    return Expectations(source, complete.ask_seconds)
