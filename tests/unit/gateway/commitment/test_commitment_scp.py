"""Tests requests for storage commitment, from senders of pynetdicom and from Orthanc."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at its import
    StorageCommitmentPushModel,
)
from sqlalchemy import select, update

from gateway.commitment.commitment_scp import commitment_handlers
from gateway.commitment.sender_requests import SenderRequests, reporting_to_senders
from gateway.config import DeliverSection, GatewaySettings, ReceiveSection, SenderSection
from gateway.deliver.deliverer import Deliverer
from gateway.receive.dicom_receiver import running_receiver
from gateway.receive.intake import Intake
from gateway.store.database import Database, open_database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from gateway.store.schema import COMMITMENT_REQUESTS
from tests.committing_archive import REQUEST, committing, request_for, send_request
from tests.phantom.study import WrittenSeries
from tests.servers import free_port, running_orthanc
from tests.serving import serving_dicom
from tests.waiting import NEVER_SECONDS, WAIT_SECONDS, wait_until

AE_TITLE, SENDER = "TOTALMAP", "CT1"
ALL_KEPT, NOT_ALL_KEPT = 1, 2
SUCCESS, INVALID_ARGUMENT, NO_SUCH_ACTION = 0x0000, 0x0115, 0x0123
NO_SUCH_OBJECT, CLASS_CONFLICT = 0x0112, 0x0119
TRANSACTION, UNKNOWN = "1.2.3.4", "1.2.3.5"
QUICK = DeliverSection(first_retry_seconds=0.1, longest_retry_seconds=0.2)


def handlers_of(
    settings: GatewaySettings, storage: Storage, database: Database
) -> list[evt.EventHandlerType]:
    take_report = Deliverer.open(settings, storage, database).take_report
    return commitment_handlers(settings, storage, database, take_report)


@contextmanager
def receiving(
    folder: Path, senders: Sequence[SenderSection] = (), port: int = 0
) -> Iterator[tuple[GatewaySettings, int]]:
    """The receiver's part of a gateway; yields its settings and port."""
    settings = GatewaySettings(
        storage_folder=folder,
        receive=ReceiveSection(
            port=port,
            keep_free_gb=0.0,
            senders=tuple(senders),
            request_seconds=NEVER_SECONDS,
            idle_seconds=NEVER_SECONDS,
        ),
        deliver=QUICK,
    )
    storage = Storage(folder)
    with (
        open_database(settings) as database,
        closing(Intake(storage, Ledger(database), 0.0)) as intake,
        running_receiver(
            settings.receive, intake, storage, handlers_of(settings, storage, database)
        ) as listening,
    ):
        yield settings, listening


@contextmanager
def telling(settings: GatewaySettings) -> Iterator[None]:
    """The dispatcher's part of a gateway."""
    storage = Storage(settings.storage_folder)
    with (
        open_database(settings) as database,
        reporting_to_senders(SenderRequests(settings, storage, database)),
    ):
        yield


def open_requests(settings: GatewaySettings) -> Mapping[str, int]:
    """Returns the Transaction UIDs without a report, each with the number of failed reports."""
    with open_database(settings) as database, database.transaction() as connection:
        rows = connection.execute(
            select(COMMITMENT_REQUESTS.c.transaction_uid, COMMITMENT_REQUESTS.c.attempts)
        ).all()
    return {row.transaction_uid: row.attempts for row in rows}


@dataclass
class Heard:
    """The reports that a sender gets, each with its type."""

    reports: "SimpleQueue[tuple[int | None, Dataset]]" = field(default_factory=SimpleQueue)
    roles: list[bool] = field(default_factory=list)

    def hear(self, event: evt.Event) -> tuple[int, None]:
        """Answers N-EVENT-REPORT."""
        self.reports.put((event.event_type, event.event_information))
        return SUCCESS, None

    def next(self) -> tuple[int | None, Mapping[str, int]]:
        """Returns the type of the next report, and the failures in it."""
        event_type, report = self.reports.get(timeout=WAIT_SECONDS)
        assert report.TransactionUID == TRANSACTION
        return event_type, {
            item.ReferencedSOPInstanceUID: item.FailureReason
            for item in report.get("FailedSOPSequence", [])
        }

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """For an association of the sender's, or for where it listens."""
        return [(evt.EVT_N_EVENT_REPORT, self.hear)]


@contextmanager
def listening(heard: Heard, port: int) -> Iterator[None]:
    """A sender that takes reports over associations which the gateway asks for."""
    entity = AE(SENDER)
    entity.require_called_aet = True
    entity.require_calling_aet = [AE_TITLE]
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)

    def accepted(event: evt.Event) -> None:
        heard.roles.extend(
            bool(item.scp_role) for item in event.assoc.requestor.role_selection.values()
        )

    with serving_dicom(entity, port, [*heard.handlers, (evt.EVT_ACCEPTED, accepted)]):
        yield


def stored(results: WrittenSeries, n: int = 2) -> dict[str, str]:
    return dict.fromkeys(results.sop_uids[:n], CTImageStorage)


def store(association: Association, *paths: Path) -> None:
    for path in paths:
        assert association.send_c_store(pydicom.dcmread(path)).Status == SUCCESS


def store_and_ask(port: int, series: WrittenSeries, instances: Mapping[str, str]) -> int:
    """Stores two instances and requests commitment for some; returns the status."""
    with committing(port, AE_TITLE, SENDER) as association:
        store(association, *series.paths[:2])
        return send_request(association, request_for(TRANSACTION, instances))


def test_a_sender_gets_the_commitment_report_over_the_association_of_its_request(
    tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    """While it goes on storing: it need not wait."""
    heard = Heard()
    with (
        receiving(tmp_path) as (settings, port),
        committing(port, AE_TITLE, SENDER, handlers=heard.handlers) as association,
    ):
        store(association, *phantom_series.paths[:2])
        asked = request_for(TRANSACTION, stored(phantom_series))
        assert send_request(association, asked) == SUCCESS
        store(association, *phantom_series.paths[2:5])
        assert heard.next() == (ALL_KEPT, {})
        assert not open_requests(settings)


def test_the_gateway_does_not_commit_itself_to_store_instances_that_it_does_not_have(
    tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    first, second = phantom_series.sop_uids[:2]
    instances = {first: CTImageStorage, second: MRImageStorage, UNKNOWN: CTImageStorage}
    heard = Heard()
    with (
        receiving(tmp_path) as (_, port),
        committing(port, AE_TITLE, SENDER, handlers=heard.handlers) as association,
    ):
        store(association, *phantom_series.paths[:2])
        assert send_request(association, request_for(TRANSACTION, instances)) == SUCCESS
        event_type, report = heard.reports.get(timeout=WAIT_SECONDS)
    assert event_type == NOT_ALL_KEPT
    assert [item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence] == [first]
    assert {
        item.ReferencedSOPInstanceUID: item.FailureReason for item in report.FailedSOPSequence
    } == {second: CLASS_CONFLICT, UNKNOWN: NO_SUCH_OBJECT}


def test_the_gateway_does_not_commit_itself_to_store_an_instance_without_a_file(
    tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    lost = phantom_series.sop_uids[1]
    heard = Heard()
    with (
        receiving(tmp_path) as (settings, port),
        committing(port, AE_TITLE, SENDER, handlers=heard.handlers) as association,
    ):
        store(association, *phantom_series.paths[:2])
        with open_database(settings) as database:
            (instance,) = (
                instance
                for instance in Ledger(database).instances()
                if instance.sop_instance_uid == lost
            )
        Storage(tmp_path).path(instance).unlink()
        send_request(association, request_for(TRANSACTION, stored(phantom_series)))
        assert heard.next() == (NOT_ALL_KEPT, {lost: NO_SUCH_OBJECT})


def test_a_sender_with_a_port_gets_the_commitment_report_over_a_gateway_association(
    tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    heard, at = Heard(), free_port()
    with (
        receiving(tmp_path, [SenderSection(ae_title=SENDER, port=at)]) as (settings, port),
        listening(heard, at),
        telling(settings),
    ):
        asked = {**stored(phantom_series), UNKNOWN: CTImageStorage}
        assert store_and_ask(port, phantom_series, asked) == SUCCESS
        assert heard.next() == (NOT_ALL_KEPT, {UNKNOWN: NO_SUCH_OBJECT})
        assert heard.roles == [True], "the gateway did not propose the SCP role"
        wait_until(lambda: not open_requests(settings))


def test_a_sender_that_was_down_gets_the_commitment_report_later_even_after_a_restart(
    tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    heard, at = Heard(), free_port()
    with receiving(tmp_path, [SenderSection(ae_title=SENDER, port=at)]) as (settings, port):
        assert store_and_ask(port, phantom_series, stored(phantom_series)) == SUCCESS
        with telling(settings):
            wait_until(lambda: open_requests(settings)[TRANSACTION] > 1)
    with listening(heard, at), telling(settings):
        assert heard.next() == (ALL_KEPT, {})
        wait_until(lambda: not open_requests(settings))


def test_the_commitment_report_to_a_sender_that_is_down_for_a_day_is_given_up(
    tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    with receiving(tmp_path, [SenderSection(ae_title=SENDER, port=free_port())]) as (
        settings,
        port,
    ):
        assert store_and_ask(port, phantom_series, stored(phantom_series)) == SUCCESS
        with open_database(settings) as database, database.transaction() as connection:
            connection.execute(update(COMMITMENT_REQUESTS).values(asked_at=time.time() - 86_401))
        with telling(settings):
            wait_until(lambda: not open_requests(settings))


def without(asked: Dataset, keyword: str) -> Dataset:
    delattr(asked, keyword)
    return asked


ASKED = {UNKNOWN: CTImageStorage}


@pytest.mark.parametrize(
    ("asked", "action_type", "status"),
    [
        (request_for(TRANSACTION, {}), REQUEST, INVALID_ARGUMENT),
        (request_for("", ASKED), REQUEST, INVALID_ARGUMENT),
        (request_for("1." + "2" * 63, ASKED), REQUEST, INVALID_ARGUMENT),
        (without(request_for(TRANSACTION, ASKED), "TransactionUID"), REQUEST, INVALID_ARGUMENT),
        (request_for(TRANSACTION, ASKED), 2, NO_SUCH_ACTION),
    ],
    ids=["no instance", "no transaction", "too long", "no attribute", "action type"],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
def test_a_malformed_commitment_request_is_refused(
    tmp_path: Path, asked: Dataset, action_type: int, status: int
) -> None:
    heard = Heard()
    with (
        receiving(tmp_path) as (_, port),
        committing(port, AE_TITLE, SENDER, handlers=heard.handlers) as association,
    ):
        assert send_request(association, asked, action_type) == status
        assert send_request(association, request_for(TRANSACTION, ASKED)) == SUCCESS
        assert heard.next() == (NOT_ALL_KEPT, {UNKNOWN: NO_SUCH_OBJECT})


def test_a_sender_that_is_not_in_the_settings_may_not_request_commitment_of_storage(
    tmp_path: Path,
) -> None:
    with (
        receiving(tmp_path, [SenderSection(ae_title="CT2")]) as (_, port),
        committing(port, AE_TITLE, SENDER) as association,
    ):
        assert association.is_rejected


def test_orthanc_gets_a_storage_commitment_for_the_instances_that_it_sent(
    tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    at = free_port()
    for name in ("orthanc", "gateway"):
        (tmp_path / name).mkdir()
    with running_orthanc(tmp_path / "orthanc", modalities={"gateway": (AE_TITLE, at)}) as orthanc:
        sender = SenderSection(ae_title="ORTHANC", port=orthanc.dicom_port)
        with receiving(tmp_path / "gateway", [sender], at) as (settings, _), telling(settings):
            orthanc.store(*phantom_series.paths[:2])
            orthanc.send("gateway", *phantom_series.sop_uids[:2])
            kept = orthanc.ask_for_commitment("gateway", stored(phantom_series))
            wait_until(lambda: orthanc.commitment(kept) == "Success")
            lost = orthanc.ask_for_commitment("gateway", stored(phantom_series, 3))
            wait_until(lambda: orthanc.commitment(lost) == "Failure")
