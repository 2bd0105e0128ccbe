"""The dispatching process as a whole: what is on record, the queue, and what is delivered."""

from threading import Event

from gateway.audit import Auditor
from gateway.config import GatewaySettings
from gateway.database import open_database
from gateway.deliver import Deliverer
from gateway.deliverylist import DeliveryList
from gateway.dispatch import Dispatcher
from gateway.joblist import JobList
from gateway.jobs import Handlers, running_queue
from gateway.ledger import Ledger
from gateway.promises import Promises, reporting
from gateway.retention import Retention
from gateway.roster import Roster
from gateway.storage import Storage

EXECUTOR = "dispatcher"


def dispatch(settings: GatewaySettings, stop: Event) -> None:
    """Moves studies on, delivers results and keeps senders told until it is told to stop.

    Raises:
        ConfigError: The ledger is another version's.
        ResourceError: The database can't be opened, or is lost.
    """
    storage = Storage(settings.storage_folder)
    with open_database(settings) as database:
        jobs, deliveries = JobList(database), DeliveryList(database)
        deliverer = Deliverer(settings=settings, storage=storage, jobs=jobs, deliveries=deliveries)
        retention = Retention(settings, storage, database)
        auditor = Auditor(settings, storage, database)
        with (
            running_queue(settings, EXECUTOR, Handlers(deliver=deliverer.deliver)) as queue,
            reporting(settings, Promises(database, storage)),
        ):
            Dispatcher(
                settings=settings,
                storage=storage,
                ledger=Ledger(database),
                jobs=jobs,
                deliveries=deliveries,
                roster=Roster(database),
                queue=queue,
            ).run(stop, also=(retention.apply, auditor.write))
