import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import KeyObjectSelectionDocumentStorage
from sqlalchemy import update

from gateway.config import (
    DeliverSection,
    DestinationSection,
    DicomDestination,
    GatewaySettings,
    StowDestination,
    retry_seconds,
)
from gateway.deliver.deliverer import SECONDS_PER_DAY, Deliverer
from gateway.store.database import Database
from gateway.store.deliveries import Delivery, DeliveryList, DeliveryState
from gateway.store.events import EventKind, history
from gateway.store.file_storage import SETTINGS_NAME, Storage
from gateway.store.job import Destinations, KeptResult
from gateway.store.jobs import JobList
from gateway.store.reject_replaced_results import reject_delivered_results
from gateway.store.schema import DELIVERIES, RESULTS
from tests.conftest import REPOSITORY
from tests.phantom.study import WrittenSeries
from tests.servers import LOOPBACK, free_port
from tests.unit.gateway.peers import (
    CLASSES,
    DicomPeer,
    parts,
    running_dicom_peer,
    running_http_peer,
    unchanged,
)
from tests.unit.gateway.store.test_jobs import NEW, STUDY
from totalmap.finding import REJECTION_NOTE
from totalmap.segmentation import Segmentation
from totalmap.settings import Settings
from totalmap.writers.all_or_nothing import open_release
from totalmap.writers.seg.binary import write_seg

JOB_ID = NEW.job_id
SEG, SR, REPORT = "results/seg.dcm", "results/sr.dcm", "results/report.html"
NOTE = "results/rejection.dcm"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedJob:
    """A job with a SEG, an SR and a report, which are to go to `pacs`."""

    storage: Storage
    database: Database
    jobs: JobList
    deliveries: DeliveryList

    def path(self, name: str) -> Path:
        return self.storage.output_folder(JOB_ID) / name

    def now(self) -> Delivery:
        found = self.deliveries.delivery(JOB_ID, "pacs")
        assert found is not None
        return found

    def deliver(self, *destinations: DestinationSection, **deliver: float) -> Delivery:
        """Returns how the delivery stands after it was tried once."""
        settings = GatewaySettings(
            destinations=destinations, deliver=DeliverSection.model_validate(deliver)
        )
        one = Deliverer.open(settings, self.storage, self.database)
        one.deliver(JOB_ID, "pacs", self.now().run)
        return self.now()

    def reject(self, note: Path, sop_instance_uid: str) -> None:
        """Adds the note that rejects the results."""
        shutil.copy(note, self.path(NOTE))
        row = {"path": NOTE, "kind": REJECTION_NOTE, "sop_instance_uid": sop_instance_uid}
        with self.database.transaction() as connection:
            connection.execute(RESULTS.insert().values(job_id=JOB_ID, **row))

    def is_old(self, days: float) -> None:
        """Has the delivery been opened so long ago."""
        with self.database.transaction() as connection:
            connection.execute(
                update(DELIVERIES).values(created_at=time.time() - days * SECONDS_PER_DAY)
            )


@pytest.fixture
def finished(storage: Storage, database: Database, phantom_series: WrittenSeries) -> FinishedJob:
    jobs = JobList(database)
    jobs.open(STUDY, [replace(NEW, destinations=Destinations.for_every_verdict("pacs"))], "")
    jobs.begin(JOB_ID, 1, "host-1")
    one = FinishedJob(
        storage=storage, database=database, jobs=jobs, deliveries=DeliveryList(database)
    )
    one.path("results").mkdir(parents=True)
    shutil.copy(phantom_series.paths[0], one.path(SEG))
    shutil.copy(phantom_series.paths[1], one.path(SR))
    one.path(REPORT).write_text("a report")
    jobs.succeed(
        JOB_ID,
        [
            KeptResult(path=SEG, kind="seg", sop_instance_uid=phantom_series.sop_uids[0]),
            KeptResult(path=SR, kind="sr", sop_instance_uid=phantom_series.sop_uids[1]),
            KeptResult(path=REPORT, kind="report", sop_instance_uid=None),
        ],
    )
    return one


def pacs(peer: DicomPeer, *kinds: str) -> DestinationSection:
    return DestinationSection(name="pacs", dicom=peer.destination(), kinds=kinds)


def nowhere() -> DestinationSection:
    """A destination where nobody listens."""
    dicom = DicomDestination(ae_title="PACS", address=LOOPBACK, port=free_port())
    return DestinationSection(name="pacs", dicom=dicom)


def test_all_dicom_results_are_delivered_once(finished: FinishedJob) -> None:
    before = time.time()
    with running_dicom_peer() as peer:
        delivery = finished.deliver(pacs(peer))
        assert unchanged(peer.received, [finished.path(SEG), finished.path(SR)])
        assert (delivery.state, delivery.reason) == (DeliveryState.DELIVERED, None)
        assert delivery.delivered_at is not None
        assert before <= delivery.delivered_at <= time.time()
        finished.deliver(pacs(peer))
        assert len(peer.received) == 2, "what is delivered is not sent again"


def test_results_are_delivered_by_stow_rs(finished: FinishedJob) -> None:
    with running_http_peer() as peer:
        delivery = finished.deliver(DestinationSection(name="pacs", stow=peer.destination()))
        (body,), (headers,) = peer.bodies, peer.headers
    assert delivery.state is DeliveryState.DELIVERED
    assert parts(body, headers["Content-Type"]) == [
        finished.path(SEG).read_bytes(),
        finished.path(SR).read_bytes(),
    ]


def test_a_destination_gets_only_the_kinds_of_results_in_its_settings(
    finished: FinishedJob,
) -> None:
    with running_dicom_peer() as peer:
        assert finished.deliver(pacs(peer, "sr", "report")).state is DeliveryState.DELIVERED
        assert unchanged(peer.received, [finished.path(SR)])


def test_a_delivery_without_wanted_results_ends_without_a_connection(
    finished: FinishedJob, phantom_series: WrittenSeries
) -> None:
    finished.reject(phantom_series.paths[2], phantom_series.sop_uids[2])
    nobody = replace_kinds(nowhere(), "rtstruct")
    assert finished.deliver(nobody).state is DeliveryState.DELIVERED


def test_rejected_results_are_sent_with_the_note_that_rejects_them(
    finished: FinishedJob, phantom_series: WrittenSeries
) -> None:
    finished.reject(phantom_series.paths[2], phantom_series.sop_uids[2])
    with running_dicom_peer() as peer:
        assert finished.deliver(pacs(peer, "sr")).state is DeliveryState.DELIVERED
        assert unchanged(peer.received, [finished.path(SR), finished.path(NOTE)])


def test_a_destination_with_replaced_results_gets_only_the_note_that_rejects_them(
    finished: FinishedJob, true_segmentation: Segmentation, settings: Settings, tmp_path: Path
) -> None:
    with open_release(tmp_path / "made") as release:
        (seg,) = write_seg(true_segmentation, settings, release)
        release.publish({})
    shutil.copy(tmp_path / "made" / seg.path, finished.path(SEG))
    shutil.copy(REPOSITORY / "app.yaml", finished.storage.job_folder(JOB_ID) / SETTINGS_NAME)
    with running_dicom_peer(classes=[*CLASSES, KeyObjectSelectionDocumentStorage]) as peer:
        finished.deliver(pacs(peer, "seg"))
        with finished.database.transaction() as connection:
            reject_delivered_results(connection, STUDY.study_instance_uid)
        peer.received.clear()
        delivery = finished.deliver(pacs(peer, "seg"))
        (note,) = peer.datasets()
    assert (delivery.state, delivery.is_rejection) == (DeliveryState.DELIVERED, True)
    assert note.SOPClassUID == KeyObjectSelectionDocumentStorage
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    (rejected,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert rejected.ReferencedSOPInstanceUID == pydicom.dcmread(finished.path(SEG)).SOPInstanceUID


def test_the_delivery_of_a_rejection_note_waits_if_the_rejected_results_are_deleted(
    finished: FinishedJob,
) -> None:
    with running_dicom_peer() as peer:
        finished.deliver(pacs(peer))
        with finished.database.transaction() as connection:
            reject_delivered_results(connection, STUDY.study_instance_uid)
        finished.path(SEG).unlink()
        delivery = finished.deliver(pacs(peer))
    assert delivery.state is DeliveryState.WAITING
    assert delivery.reason == "1 of 2 results are not on the disk any more"


def replace_kinds(destination: DestinationSection, *kinds: str) -> DestinationSection:
    return destination.model_copy(update={"kinds": kinds})


def test_a_queue_entry_of_an_earlier_run_delivers_nothing(finished: FinishedJob) -> None:
    stale = finished.now()
    finished.deliveries.retry(stale, "anna")
    settings = GatewaySettings(destinations=(nowhere(),))
    one = Deliverer.open(settings, finished.storage, finished.database)
    one.deliver(JOB_ID, "pacs", stale.run)
    one.deliver(JOB_ID, "elsewhere", 1)
    one.deliver("f" * 64, "pacs", 1)
    assert finished.now().attempts == 0


def test_each_failed_delivery_doubles_the_wait_up_to_the_longest(finished: FinishedJob) -> None:
    waits = []
    for attempt in range(1, 6):
        before = time.time()
        delivery = finished.deliver(nowhere(), first_retry_seconds=10.0, longest_retry_seconds=60.0)
        assert (delivery.state, delivery.attempts) == (DeliveryState.WAITING, attempt)
        assert delivery.reason is not None
        assert delivery.reason.startswith(f"PACS at {LOOPBACK}:")
        waits.append(round(delivery.not_before - before, 0))
        assert delivery in finished.deliveries.unqueued()
    assert waits == [10, 20, 40, 60, 60]
    with running_dicom_peer() as peer:
        delivery = finished.deliver(pacs(peer))
    assert (delivery.state, delivery.reason) == (DeliveryState.DELIVERED, None)
    told = [event.kind for event in history(finished.database, STUDY.study_instance_uid)]
    assert told.count(EventKind.NOT_DELIVERED) == 5
    assert told[-1] is EventKind.DELIVERED


def test_a_delivery_names_a_destination_that_is_no_longer_in_the_settings(
    finished: FinishedJob,
) -> None:
    delivery = finished.deliver()
    assert delivery.state is DeliveryState.WAITING, "it may come back"
    assert delivery.reason == (
        "no destination is called pacs, or has the AE title of the sender, CT1"
    )


def test_missing_result_files_are_the_reason_why_a_delivery_fails(finished: FinishedJob) -> None:
    finished.path(SR).unlink()
    with running_dicom_peer() as peer:
        delivery = finished.deliver(pacs(peer))
        assert delivery.reason == "1 of 2 results are not on the disk any more"
        assert not peer.received, "all or none"
        finished.path("results").rename(finished.path("moved"))
        assert finished.deliver(pacs(peer)).reason == "2 of 2 results are not on the disk any more"


def test_a_broken_result_file_is_reported_as_an_unexpected_error_of_the_delivery(
    finished: FinishedJob,
) -> None:
    finished.path(SEG).write_bytes(b"no DICOM")
    with running_dicom_peer() as peer:
        delivery = finished.deliver(pacs(peer))
    assert delivery.state is DeliveryState.WAITING
    assert str(delivery.reason).startswith("unexpected InvalidDicomError at ")


def test_a_delivery_is_given_up_after_give_up_days_until_a_user_retries_it(
    finished: FinishedJob,
) -> None:
    finished.is_old(days=6.9)
    assert finished.deliver(nowhere(), give_up_days=7.0).state is DeliveryState.WAITING
    finished.is_old(days=7.1)
    delivery = finished.deliver(nowhere(), give_up_days=7.0)
    assert delivery.state is DeliveryState.DEAD
    assert "can't be reached" in (delivery.reason or "")
    with running_dicom_peer() as peer:
        finished.deliver(pacs(peer))
        assert not peer.received
        assert finished.deliveries.retry(finished.now(), "anna")
        assert finished.deliver(pacs(peer)).state is DeliveryState.DELIVERED


def test_a_retried_delivery_is_not_given_up_at_once(finished: FinishedJob) -> None:
    finished.is_old(days=30.0)
    finished.deliveries.retry(finished.now(), "anna")
    assert finished.deliver(nowhere()).state is DeliveryState.WAITING


def test_a_delivery_to_a_stow_destination_that_is_down_is_tried_again(
    finished: FinishedJob,
) -> None:
    stow = StowDestination.model_validate({"url": f"http://{LOOPBACK}:{free_port()}/dicom-web"})
    delivery = finished.deliver(DestinationSection(name="pacs", stow=stow))
    assert delivery.state is DeliveryState.WAITING
    assert (delivery.reason or "").startswith(f"http://{LOOPBACK}:")


def test_the_first_retry_of_a_delivery_comes_within_thirty_seconds() -> None:
    settings = DeliverSection()
    assert retry_seconds(0, settings.first_retry_seconds, settings.longest_retry_seconds) <= 30.0


@given(
    failures=st.integers(0, 100_000),
    first=st.floats(1e-3, 1e6),
    longest=st.floats(1e-3, 1e6),
)
def test_the_wait_between_attempts_of_a_delivery_grows_up_to_its_limit(
    failures: int, first: float, longest: float
) -> None:
    wait = retry_seconds(failures, first, longest)
    assert min(first, longest) <= wait <= longest
    assert wait <= retry_seconds(failures + 1, first, longest)
    assert retry_seconds(64, first, longest) == longest
