"""What the page is made of, together."""

from dataclasses import dataclass
from typing import Self

from gateway.config import GatewaySettings
from gateway.heartbeat import HeartbeatTable
from gateway.record.clockrecord import ClockRecord
from gateway.record.conflictlist import ConflictList
from gateway.record.database import Database
from gateway.record.deliverylist import DeliveryList
from gateway.record.joblist import JobList
from gateway.record.ledger import Ledger
from gateway.record.roster import Roster
from gateway.record.storage import Storage
from gateway.web.access import Door
from gateway.web.health import HealthCheck
from gateway.web.patients import Headlines
from gateway.web.results import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """All that requests need to be answered."""

    settings: GatewaySettings
    database: Database
    storage: Storage
    jobs: JobList
    deliveries: DeliveryList
    ledger: Ledger
    conflicts: ConflictList
    clock: ClockRecord
    roster: Roster
    headlines: Headlines
    results: Results
    door: Door
    health: HealthCheck

    @classmethod
    def open(
        cls,
        settings: GatewaySettings,
        database: Database,
        heartbeats: HeartbeatTable | None = None,
    ) -> Self:
        """Returns what belongs to a database and its storage folder.

        Args:
            settings: Of the gateway.
            database: The ledger's.
            heartbeats: Of all processes of this machine; None: nobody supervises them.
        """
        storage, jobs = Storage(settings.storage_folder), JobList(database)
        return cls(
            settings=settings,
            database=database,
            storage=storage,
            jobs=jobs,
            deliveries=DeliveryList(database),
            ledger=Ledger(database),
            conflicts=ConflictList(database),
            clock=ClockRecord(database),
            roster=Roster(database),
            headlines=Headlines(database, storage),
            results=Results(jobs, storage),
            door=Door(settings.web, settings.storage_folder, database),
            health=HealthCheck(settings, storage, database, heartbeats),
        )
