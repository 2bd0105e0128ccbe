"""A storage folder and database with studies, jobs and deliveries of any age."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import func, select, update

from gateway.config import (
    DestinationSection,
    DicomDestination,
    GatewaySettings,
    RetentionSection,
    RuleSection,
)
from gateway.retention.file_deletion import STEP_SECONDS
from gateway.retention.retention import Retention
from gateway.store.database import Database
from gateway.store.deliveries import DeliveryList
from gateway.store.events import EventKind, history
from gateway.store.file_storage import INPUT_NAME, Storage
from gateway.store.job import Destinations, KeptResult, NewJob
from gateway.store.jobs import JobList
from gateway.store.ledger import KeptInstance, Ledger
from gateway.store.schema import (
    DELIVERIES,
    JOBS,
)
from tests.ledgers import write_empty_ledger
from tests.unit.gateway.instances import ONE

DAY = 86_400.0
DESTINATIONS = tuple(
    DestinationSection(
        name=name,
        dicom=DicomDestination(
            ae_title=name.upper(), address="127.0.0.1", storage_commitment=name == "promises"
        ),
    )
    for name in ("takes", "promises")
)


class Box:
    """A gateway's folder and database, whose clock is moved by hand; it begins in 30 days."""

    def __init__(self, folder: Path, database: Database, **rules: float | None) -> None:
        self.now = time.time() + 30 * DAY
        self.database = database
        self.settings = GatewaySettings(
            storage_folder=folder,
            rules=(RuleSection(destinations=("takes", "promises")),),
            destinations=DESTINATIONS,
            retention=RetentionSection.model_validate(rules),
        )
        self.storage = Storage(folder)
        self.ledger = Ledger(database)
        self.jobs, self.deliveries = JobList(database), DeliveryList(database)
        self.retention = self.restarted()

    def restarted(self) -> Retention:
        return Retention(self.settings, self.storage, self.database, lambda: self.now)

    def apply(self, times: int = 4) -> None:
        for _ in range(times):
            self.retention.apply()
            self.now += STEP_SECONDS + 1

    def receive(self, study: str, number: int = 0, days_ago: float = 20) -> KeptInstance:
        """Takes an instance in, as it is on record and on the disk afterwards."""
        instance = replace(
            ONE,
            sop_instance_uid=f"{study}.{number}",
            sha256=f"{number:064x}",
            study_instance_uid=study,
            transfer=f"t{study}",
            received_at=self.ago(days_ago),
        )
        file = self.storage.incoming / "one"
        file.write_text("content")
        self.storage.keep(file, study, instance.sha256)
        self.ledger.add([instance])
        return instance

    def pass_on(self, study: str, *job_ids: str, destinations: tuple[str, ...] = ()) -> None:
        (growing,) = [
            entry for entry in self.ledger.growing_studies() if entry.study_instance_uid == study
        ]
        jobs = [self._job(study, job_id, destinations) for job_id in job_ids]
        self.jobs.open(growing, jobs, "")
        for job_id in job_ids:
            for name in (INPUT_NAME, "output"):
                folder = self.storage.job_folder(job_id) / name
                folder.mkdir(parents=True)
                (folder / "file").write_text("content")

    def succeed(self, job_id: str, days_ago: float = 20) -> None:
        result = KeptResult(path="file", kind="seg", sop_instance_uid="1.9")
        assert self.jobs.succeed(job_id, [result])
        self.ended(job_id, days_ago)

    def ended(self, job_id: str, days_ago: float) -> None:
        self.set(update(JOBS).where(JOBS.c.job_id == job_id).values(ended_at=self.ago(days_ago)))

    def deliver(self, job_id: str, destination: str, days_ago: float = 20) -> None:
        delivery = self.deliveries.delivery(job_id, destination)
        assert delivery is not None
        transaction = f"2.25.{job_id}" if destination == "promises" else None
        assert self.deliveries.delivered(delivery, transaction)
        self.set(
            update(DELIVERIES)
            .where(DELIVERIES.c.job_id == job_id, DELIVERIES.c.destination == destination)
            .values(delivered_at=self.ago(days_ago))
        )

    def commit(self, job_id: str, days_ago: float = 20) -> None:
        delivery = self.deliveries.delivery(job_id, "promises")
        assert delivery is not None
        assert self.deliveries.commit(delivery)
        self.set(
            update(DELIVERIES)
            .where(DELIVERIES.c.job_id == job_id, DELIVERIES.c.destination == "promises")
            .values(committed_at=self.ago(days_ago))
        )

    def ago(self, days: float) -> float:
        return self.now - days * DAY

    def set(self, statement: object) -> None:
        with self.database.transaction() as connection:
            connection.execute(statement)  # type: ignore[call-overload]  # any statement

    def files(self, study: str) -> int:
        return len([*self.storage.study_folder(study).glob("*")])

    def has(self, job_id: str, name: str) -> bool:
        return (self.storage.job_folder(job_id) / name).exists()

    def deletions(self, study: str) -> list[str | None]:
        return [
            event.detail
            for event in history(self.database, study)
            if event.kind is EventKind.DELETED
        ]

    def count(self, table: object) -> int:
        with self.database.transaction() as connection:
            statement = select(func.count()).select_from(table)  # type: ignore[arg-type]
            return connection.execute(statement).scalar_one()

    def _job(self, study: str, job_id: str, destinations: tuple[str, ...]) -> NewJob:
        return NewJob(
            job_id=job_id,
            study_instance_uid=study,
            rule=f"rule-{job_id}",
            sender="CT1",
            content_digest=job_id,
            content_until=self.now,
            n_images=1,
            is_urgent=False,
            application={},
            destinations=Destinations.for_every_verdict(*destinations),
        )


@contextmanager
def box(**rules: float | None) -> Iterator[Box]:
    with (
        TemporaryDirectory() as folder,
        Database(write_empty_ledger(Path(folder))) as database,
    ):
        yield Box(Path(folder), database, **rules)
