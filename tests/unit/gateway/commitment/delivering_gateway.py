"""A gateway that delivers results to an archive and asks it for storage commitment."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.commitment.commitment_scp import commitment_handlers
from gateway.config import (
    DeliverSection,
    DestinationSection,
    DicomDestination,
    GatewaySettings,
    ReceiveSection,
)
from gateway.deliver.deliverer import Deliverer
from gateway.receive.dicom_receiver import running_receiver
from gateway.receive.intake import Intake
from gateway.store.database import Database, open_database
from gateway.store.deliveries import Delivery
from gateway.store.events import EventKind, history
from gateway.store.file_storage import Storage
from gateway.store.job import Destinations, KeptResult, NewJob
from gateway.store.jobs import JobList
from gateway.store.ledger import GrowingStudy, Ledger
from tests.phantom.study import WrittenSeries
from tests.waiting import NEVER_SECONDS

AE_TITLE = "TOTALMAP"
JOB, STUDY, DESTINATION = "1" * 64, "1.2.3", "archive"
N_RESULTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What a job has made is on its way to one destination.

    Attributes:
        port: Where the gateway receives.
    """

    settings: GatewaySettings
    database: Database
    deliverer: Deliverer
    port: int

    @property
    def delivery(self) -> Delivery:
        """As it stands."""
        found = self.deliverer.deliveries.delivery(JOB, DESTINATION)
        assert found is not None
        return found

    def act(self) -> Delivery:
        """Does what would be next in the queue, without waiting for its time."""
        (queued,) = self.deliverer.deliveries.unqueued()
        self.deliverer.deliveries.enqueued(queued)
        self.deliverer.deliver(queued.job_id, queued.destination, queued.run)
        return self.delivery

    def events(self) -> list[EventKind]:
        """What happened."""
        return [event.kind for event in history(self.database, STUDY) if event.job_id == JOB]


@contextmanager
def delivering(
    folder: Path,
    archive: DicomDestination,
    results: WrittenSeries,
    *,
    port: int = 0,
    give_up_days: float = 7.0,
) -> Iterator[Gateway]:
    """A gateway that received and segmented; files of a CT stand for its results."""
    settings = GatewaySettings(
        storage_folder=folder,
        receive=ReceiveSection(
            port=port,
            keep_free_gb=0.0,
            request_seconds=NEVER_SECONDS,
            idle_seconds=NEVER_SECONDS,
        ),
        destinations=(DestinationSection(name=DESTINATION, dicom=archive),),
        deliver=DeliverSection(give_up_days=give_up_days),
    )
    storage = Storage(folder)
    with (
        open_database(settings) as database,
        closing(Intake(storage, Ledger(database), 0.0)) as intake,
        running_receiver(
            settings.receive,
            intake,
            storage,
            commitment_handlers(
                settings,
                storage,
                database,
                Deliverer.open(settings, storage, database).take_report,
            ),
        ) as listening,
    ):
        put_results(JobList(database), storage, results)
        deliverer = Deliverer.open(settings, storage, database)
        yield Gateway(settings=settings, database=database, deliverer=deliverer, port=listening)


def put_results(jobs: JobList, storage: Storage, results: WrittenSeries) -> None:
    job = NewJob(
        job_id=JOB,
        study_instance_uid=STUDY,
        rule="ct",
        sender="CT1",
        content_digest="2" * 64,
        content_until=time.time(),
        n_images=1,
        is_urgent=False,
        application={},
        destinations=Destinations.for_every_verdict(DESTINATION),
    )
    study = GrowingStudy(
        study_instance_uid=STUDY, n_instances=1, last_received_at=0.0, transfers_ended_at=0.0
    )
    assert jobs.open(study, [job], "") == [JOB]
    assert jobs.begin(JOB, 1, "worker-1")
    folder = storage.output_folder(JOB)
    folder.mkdir(parents=True)
    kept = []
    for path, uid in zip(results.paths[:N_RESULTS], results.sop_uids, strict=False):
        (folder / path.name).hardlink_to(path)
        kept.append(KeptResult(path=path.name, kind="seg", sop_instance_uid=uid))
    assert jobs.succeed(JOB, kept)
