"""Tests that every rejected sender and every refused request is recorded for the audit trail."""

from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset
from sqlalchemy import select

from gateway.config import SenderSection, StowReceiveSection
from gateway.receive.dicom_receiver import PDU_BYTES, running_receiver
from gateway.receive.intake import Intake
from gateway.receive.stow import running_stow
from gateway.store.database import Database
from gateway.store.events import EventKind
from gateway.store.file_storage import Storage
from gateway.store.schema import EVENTS
from tests.phantom.study import WrittenSeries
from tests.servers import LOOPBACK
from tests.unit.gateway.receive.test_dicom_receiver import ANY_PORT, associated
from tests.unit.gateway.receive.test_tls import Certificates
from tests.unit.gateway.receive.test_tls import associated as associated_by_tls
from tests.unit.gateway.receive.test_tls import settings as with_tls
from tests.waiting import NEVER_SECONDS, WAIT_SECONDS, wait_until


def refused(database: Database) -> list[tuple[str, str, str]]:
    """Returns what happened, to whom, and why."""
    statement = select(EVENTS.c.kind, EVENTS.c.who, EVENTS.c.detail).where(
        EVENTS.c.kind.in_([EventKind.REJECTED, EventKind.REFUSED])
    )
    with database.transaction() as connection:
        return [(what, who, why) for what, who, why in connection.execute(statement)]


def test_the_dicom_receiver_records_the_rejection_of_a_sender_that_is_not_in_the_settings(
    intake: Intake, storage: Storage, database: Database
) -> None:
    settings = ANY_PORT.model_copy(update={"senders": (SenderSection(ae_title="CT1"),)})
    with (
        running_receiver(settings, intake, storage) as port,
        associated(port, "CT9") as association,
    ):
        assert association.is_rejected
    assert refused(database) == [(EventKind.REJECTED, "CT9", "is none of receive.senders")]


def test_the_dicom_receiver_records_a_rejected_sender_that_calls_another_ae_title(
    intake: Intake, storage: Storage, database: Database
) -> None:
    with running_receiver(ANY_PORT, intake, storage) as port:
        with associated(port, "CT1", called="NOBODY") as association:
            assert association.is_rejected
        wait_until(lambda: len(refused(database)) == 1, "on record")
    ((what, who, why),) = refused(database)
    assert (what, who) == (EventKind.REJECTED, "CT1")
    assert "receive.ae_title" in why


def test_the_dicom_receiver_records_the_refusal_of_an_instance_without_a_study_uid(
    intake: Intake, storage: Storage, database: Database, phantom_series: WrittenSeries
) -> None:
    dataset: Dataset = pydicom.dcmread(phantom_series.paths[0])
    del dataset.StudyInstanceUID
    with (
        running_receiver(ANY_PORT, intake, storage) as port,
        associated(port, "CT1") as association,
    ):
        assert association.send_c_store(dataset).Status == 0xC000
    assert refused(database) == [(EventKind.REFUSED, "CT1", "UnreadableInstance")]


def test_the_dicom_receiver_records_the_refusal_of_an_instance_that_is_too_large(
    intake: Intake, storage: Storage, database: Database, phantom_series: WrittenSeries
) -> None:
    settings = ANY_PORT.model_copy(update={"max_instance_mb": 0.01})
    with (
        running_receiver(settings, intake, storage) as port,
        associated(port, "CT1") as association,
    ):
        association.send_c_store(pydicom.dcmread(phantom_series.paths[0]))
    ((what, who, why),) = refused(database)
    assert (what, who) == (EventKind.REFUSED, "CT1")
    assert "receive.max_instance_mb" in why


def test_endless_dicom_command_fragments_end_their_association_and_are_recorded(
    intake: Intake, storage: Storage, database: Database
) -> None:
    """PS3.8 E.2; each is as long as was agreed on."""
    fragment = bytes(PDU_BYTES // 4)
    value = (len(fragment) + 2).to_bytes(4, "big") + b"\x01\x01" + fragment
    with running_receiver(ANY_PORT, intake, storage) as port, associated(port) as association:
        connection = cast(Any, association.dul.socket).socket
        with suppress(OSError):  # it is ended
            for _ in range(1000):
                connection.sendall(b"\x04\x00" + len(value).to_bytes(4, "big") + value)
        wait_until(lambda: not association.is_established, "ended")
    assert [why for _, _, why in refused(database)] == ["a command set is larger than 64 kB"]


def test_a_dicom_sender_with_a_wrong_certificate_is_recorded_as_rejected(
    intake: Intake, storage: Storage, database: Database, tmp_path: Path
) -> None:
    certificates = Certificates(tmp_path)
    wanted = with_tls(certificates, senders_ca_file=certificates.ca)
    with running_receiver(wanted, intake, storage) as port:
        assert not associated_by_tls(port, certificates, certificates.stranger).is_established
        wait_until(lambda: len(refused(database)) == 1, "on record")
    ((what, who, why),) = refused(database)
    assert (what, who) == (EventKind.REJECTED, LOOPBACK)
    assert "certificate" in why


@pytest.mark.parametrize(
    ("password", "content", "what"),
    [
        ("wrong", "multipart/related", EventKind.REJECTED),
        ("right", "application/zip", EventKind.REFUSED),
    ],
)
def test_a_refused_stow_request_is_recorded(
    intake: Intake,
    storage: Storage,
    database: Database,
    tmp_path: Path,
    password: str,
    content: str,
    what: EventKind,
) -> None:
    file = tmp_path / "password"
    file.write_text("right")
    settings = StowReceiveSection(port=0, user="ct", password_file=file)
    with running_stow(settings, NEVER_SECONDS, intake, storage) as port:
        answer = httpx.post(
            f"http://{LOOPBACK}:{port}/dicom-web/studies",
            auth=("ct", password),
            headers={"Content-Type": content},
            content=b"PK",
            timeout=WAIT_SECONDS,
        )
    assert answer.is_client_error
    ((found, who, why),) = refused(database)
    assert (found, who) == (what, LOOPBACK)
    assert why.startswith("STOW-RS: ")
