"""Tests requests of the gateway for storage commitment, to archives of pynetdicom and Orthanc."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
import yaml
from pydicom.dataset import Dataset
from pynetdicom.association import Association

from gateway.commitment.destination_requests import Report, new_transaction
from gateway.config import (
    DicomDestination,
    GatewaySettings,
)
from gateway.deliver.deliverer import ASK_AGAIN_SECONDS, Deliverer
from gateway.store.database import open_database
from gateway.store.deliveries import Delivery, DeliveryList, DeliveryState
from gateway.store.events import EventKind
from gateway.store.jobs import JobList
from tests.committing_archive import (
    ALL_KEPT,
    NOT_ALL_KEPT,
    Answers,
    CommittingArchive,
    committing,
    running_committing_archive,
    send_report,
)
from tests.phantom.study import WrittenSeries
from tests.servers import LOOPBACK, free_port, running_orthanc
from tests.unit.gateway.commitment.delivering_gateway import (
    AE_TITLE,
    N_RESULTS,
    Gateway,
    delivering,
)
from tests.waiting import WAIT_SECONDS, wait_until

NO_SUCH_OBJECT, PROCESSING_FAILURE = 0x0112, 0x0110
SUCCESS, NO_SUCH_EVENT_TYPE, INVALID_ARGUMENT = 0x0000, 0x0113, 0x0115


def node(archive: CommittingArchive) -> DicomDestination:
    return DicomDestination(
        ae_title=archive.title, address=LOOPBACK, port=archive.port, storage_commitment=True
    )


@pytest.fixture
def archive() -> Iterator[CommittingArchive]:
    """It reports when the test says so."""
    with running_committing_archive(Answers.WHEN_TOLD) as running:
        yield running


@pytest.fixture
def gateway(
    tmp_path: Path, archive: CommittingArchive, phantom_series: WrittenSeries
) -> Iterator[Gateway]:
    """It delivers to `archive`."""
    with delivering(tmp_path, node(archive), phantom_series) as running:
        yield running


@pytest.mark.parametrize("answers", [Answers.BEFORE_THE_ANSWER, Answers.AFTER_THE_ANSWER])
def test_a_commitment_report_over_the_association_of_the_request_commits_the_delivery(
    tmp_path: Path, phantom_series: WrittenSeries, answers: Answers
) -> None:
    with (
        running_committing_archive(answers) as archive,
        delivering(tmp_path, node(archive), phantom_series) as gateway,
    ):
        delivered = gateway.act()
        assert (delivered.state, delivered.is_asked) == (DeliveryState.DELIVERED, True)
        committed = gateway.act()
        assert committed.state is DeliveryState.COMMITTED
        assert committed.committed_at is not None
        assert not committed.is_asked
        assert archive.stored == [*phantom_series.sop_uids[:N_RESULTS]]
        assert gateway.events()[-2:] == [EventKind.DELIVERED, EventKind.COMMITTED]
        assert not gateway.deliverer.deliveries.unqueued()


def test_a_commitment_report_over_an_association_of_the_archive_commits_the_delivery(
    gateway: Gateway, archive: CommittingArchive
) -> None:
    gateway.act()
    gateway.act()
    asked = archive.requests.get()
    assert len(asked.ReferencedSOPSequence) == N_RESULTS
    assert archive.report(gateway.port, AE_TITLE, asked) == SUCCESS
    assert gateway.delivery.state is DeliveryState.COMMITTED


def test_an_archive_may_be_the_scp_of_the_association_that_it_opens_for_commitment(
    gateway: Gateway,
) -> None:
    """PS3.7 D.3.3.4: the role is answered, and not only put up with."""
    with committing(gateway.port, AE_TITLE, "ARCHIVE", is_scp=True) as association:
        (answered,) = association.acceptor.role_selection.values()
        assert answered.scp_role


def test_an_archive_that_sends_no_commitment_report_is_asked_again_later(
    gateway: Gateway, archive: CommittingArchive
) -> None:
    """Each time under another UID; the answer to any of them counts."""
    gateway.act()
    for wait in (ASK_AGAIN_SECONDS, 2 * ASK_AGAIN_SECONDS):
        before = time.time()
        asked = gateway.act()
        assert (asked.state, asked.is_asked) == (DeliveryState.DELIVERED, True)
        assert before <= asked.not_before - wait <= time.time()
    assert len(archive.stored) == N_RESULTS, "it was sent again"
    first, second = archive.requests.get(), archive.requests.get()
    assert first.TransactionUID != second.TransactionUID
    assert archive.report(gateway.port, AE_TITLE, first) == SUCCESS
    assert gateway.delivery.state is DeliveryState.COMMITTED
    archive.failures = {str(second.ReferencedSOPSequence[0].ReferencedSOPInstanceUID): 0x0112}
    assert archive.report(gateway.port, AE_TITLE, second) == SUCCESS
    assert gateway.delivery.state is DeliveryState.COMMITTED, "a promise was taken back"


def test_a_gateway_that_stopped_before_its_commitment_request_sends_it_after_the_restart(
    gateway: Gateway, archive: CommittingArchive
) -> None:
    gateway.act()
    with open_database(gateway.settings) as database:
        deliveries = DeliveryList(database)
        later = Gateway(
            settings=gateway.settings,
            database=database,
            deliverer=Deliverer(
                settings=gateway.settings,
                storage=gateway.deliverer.storage,
                jobs=JobList(database),
                deliveries=deliveries,
                decision_files=gateway.deliverer.decision_files,
            ),
            port=gateway.port,
        )
        later.act()
    assert not archive.requests.empty()
    assert len(archive.stored) == N_RESULTS


def test_results_that_an_archive_has_lost_are_sent_again_later(
    gateway: Gateway, archive: CommittingArchive, phantom_series: WrittenSeries
) -> None:
    gateway.act()
    gateway.act()
    before = time.time()
    archive.failures = {phantom_series.sop_uids[0]: NO_SUCH_OBJECT}
    assert archive.report(gateway.port, AE_TITLE, archive.requests.get()) == SUCCESS
    lost = gateway.delivery
    assert (lost.state, lost.is_asked) == (DeliveryState.WAITING, False)
    assert lost.reason == ("it does not promise to keep 1 of the results: no such object instance")
    first = gateway.settings.deliver.first_retry_seconds
    assert lost.not_before - before > first / 2
    archive.failures = {}
    gateway.act()
    assert len(archive.stored) == 2 * N_RESULTS
    gateway.act()
    assert archive.report(gateway.port, AE_TITLE, archive.requests.get()) == SUCCESS
    assert gateway.delivery.state is DeliveryState.COMMITTED


def test_results_that_an_archive_has_but_does_not_commit_to_are_not_sent_again(
    gateway: Gateway, archive: CommittingArchive, phantom_series: WrittenSeries
) -> None:
    gateway.act()
    gateway.act()
    archive.failures = {phantom_series.sop_uids[0]: PROCESSING_FAILURE}
    assert archive.report(gateway.port, AE_TITLE, archive.requests.get()) == SUCCESS
    kept = gateway.delivery
    assert (kept.state, kept.is_asked) == (DeliveryState.DELIVERED, True)
    assert kept.reason == "it does not promise to keep 1 of the results: processing failure"
    assert kept.not_before - time.time() > ASK_AGAIN_SECONDS / 2


def test_the_reason_of_a_missing_commitment_names_the_service_that_the_archive_lacks(
    tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    with (
        running_committing_archive(Answers.NEVER) as archive,
        delivering(tmp_path, node(archive), phantom_series) as gateway,
    ):
        gateway.act()
        refused = gateway.act()
        assert (refused.state, refused.is_asked) == (DeliveryState.DELIVERED, True)
        assert refused.reason is not None
        assert "does not offer Storage Commitment Push Model" in refused.reason
        assert refused.not_before - time.time() > ASK_AGAIN_SECONDS / 2
        assert gateway.events()[-1] is EventKind.NOT_COMMITTED


def test_commitment_requests_to_an_archive_that_never_reports_end_after_give_up_days(
    tmp_path: Path, archive: CommittingArchive, phantom_series: WrittenSeries
) -> None:
    with delivering(tmp_path, node(archive), phantom_series, give_up_days=1e-9) as gateway:
        gateway.act()
        given_up = gateway.act()
        assert (given_up.state, given_up.is_asked) == (DeliveryState.DELIVERED, False)
        assert given_up.reason == "no promise to keep it in 1e-09 days"
        assert not gateway.deliverer.deliveries.unqueued()
        assert not gateway.deliverer.deliveries.unfinished()
        assert archive.report(gateway.port, AE_TITLE, archive.requests.get()) == SUCCESS
        assert gateway.delivery.state is DeliveryState.COMMITTED


def report_of(transaction_uid: str | None, *failed: Dataset) -> Dataset:
    report = Dataset()
    if transaction_uid:
        report.TransactionUID = transaction_uid
    report.FailedSOPSequence = [*failed]
    return report


@pytest.fixture
def reporting(gateway: Gateway) -> Iterator[Association]:
    """An association of the archive's own."""
    with committing(gateway.port, AE_TITLE, "ARCHIVE", is_scp=True) as association:
        yield association


@pytest.mark.parametrize(
    ("report", "event_type", "status"),
    [
        (report_of(f"{new_transaction()}.1"), ALL_KEPT, INVALID_ARGUMENT),
        (report_of("1"), ALL_KEPT, INVALID_ARGUMENT),
        (report_of(None), ALL_KEPT, INVALID_ARGUMENT),
        (report_of("1.2"), NOT_ALL_KEPT, INVALID_ARGUMENT),
        (report_of("1.2", Dataset()), NOT_ALL_KEPT, INVALID_ARGUMENT),
        (report_of("1.2"), 3, NO_SUCH_EVENT_TYPE),
    ],
    ids=["unknown", "no root", "no transaction", "no failure", "no instance", "event type"],
)
def test_a_malformed_or_unrequested_commitment_report_is_refused(
    gateway: Gateway, reporting: Association, report: Dataset, event_type: int, status: int
) -> None:
    gateway.act()
    assert send_report(reporting, report, event_type) == status
    assert gateway.delivery.state is DeliveryState.DELIVERED


def test_a_commitment_report_that_arrives_during_the_request_commits_the_delivery(
    gateway: Gateway, archive: CommittingArchive
) -> None:
    """The archive's own report comes while the gateway still waits for one over its own."""
    gateway.act()
    asking = Thread(target=gateway.act)
    asking.start()
    assert (
        archive.report(gateway.port, AE_TITLE, archive.requests.get(timeout=WAIT_SECONDS))
        == SUCCESS
    )
    asking.join()
    assert gateway.delivery.state is DeliveryState.COMMITTED


class MovingOn(DeliveryList):
    """The delivery is changed by another process just when it was read."""

    def of_transaction(self, transaction_uid: str) -> Delivery | None:
        read = super().of_transaction(transaction_uid)
        if read is not None and read.attempts == 0:
            assert self.asked(read, None, 0.0)
        return read


def test_a_commitment_report_that_arrives_while_the_delivery_changes_still_commits_it(
    gateway: Gateway,
) -> None:
    transaction = gateway.act().transaction_uid
    deliverer = replace(gateway.deliverer, deliveries=MovingOn(gateway.database))
    assert deliverer.take_report(Report(transaction_uid=f"{transaction}.1", failures={}))
    assert gateway.delivery.state is DeliveryState.COMMITTED


@contextmanager
def dispatching(settings: GatewaySettings, folder: Path) -> Iterator[None]:
    """The dispatching process, as `totalmap serve` starts it; it is told to stop at the end."""
    config = folder / "gateway.yaml"
    config.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_defaults=True)))
    command = [sys.executable, "-m", "gateway", "dispatch", "--config", str(config)]
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(WAIT_SECONDS) == 0


def test_orthanc_commits_itself_to_delivered_results(
    tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    """Over an association of its own, while the queue and the processes are the true ones."""
    port = free_port()
    for name in ("orthanc", "gateway"):
        (tmp_path / name).mkdir()
    with running_orthanc(tmp_path / "orthanc", modalities={"gateway": (AE_TITLE, port)}) as orthanc:
        destination = DicomDestination(
            ae_title="ORTHANC", address=LOOPBACK, port=orthanc.dicom_port, storage_commitment=True
        )
        with (
            delivering(tmp_path / "gateway", destination, phantom_series, port=port) as gateway,
            dispatching(gateway.settings, tmp_path),
        ):
            wait_until(lambda: gateway.delivery.state is DeliveryState.COMMITTED)
        assert orthanc.file(phantom_series.sop_uids[0])
