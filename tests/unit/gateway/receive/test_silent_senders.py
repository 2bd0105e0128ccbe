"""Tests that a sender is served while others are silent, and that limits are fair."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_ECHO_RQ
from pynetdicom.dimse_primitives import C_ECHO
from pynetdicom.pdu import A_ASSOCIATE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at its import

from gateway.config import ReceiveSection
from gateway.receive.association_limits import Refusal
from gateway.receive.dicom_receiver import running_receiver
from gateway.receive.intake import Intake
from gateway.store.database import Database
from gateway.store.file_storage import Storage
from tests.gateway_process import AE_TITLE
from tests.phantom.study import WrittenSeries
from tests.sending import associate
from tests.servers import LOOPBACK
from tests.unit.gateway.receive.test_dicom_receiver import ANY_PORT
from tests.unit.gateway.receive.test_refusals import refused
from tests.unit.gateway.receive.test_tls import Certificates
from tests.unit.gateway.receive.test_tls import settings as with_tls
from tests.waiting import WAIT_SECONDS, wait_until

SILENT_SENDERS = 64
# With pdu_seconds 1. It is 10 by default, and 15 s are promised.
SERVED_WITHIN_SECONDS = 15.0
FULL = {"max_associations": SILENT_SENDERS, "max_associations_per_sender": SILENT_SENDERS}
HALF_A_PDU = b"\x04\x00\x00\x00\x10\x00half"


def association_request(title: str, sop_class: UID = CTImageStorage) -> bytes:
    """Returns an A-ASSOCIATE-RQ PDU for a SOP class, uncompressed."""
    asked = A_ASSOCIATE()
    asked.application_context_name = "1.2.840.10008.3.1.1.1"
    asked.calling_ae_title, asked.called_ae_title = title, AE_TITLE
    context = build_context(sop_class, ExplicitVRLittleEndian)
    context.context_id = 1
    asked.presentation_context_definition_list = [context]
    longest, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    longest.maximum_length_received = 16_384
    implementation.implementation_class_uid = "1.2.3"
    asked.user_information = [longest, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(asked)
    return pdu.encode()


@contextmanager
def silent_senders(
    port: int, number: int, tls: ssl.SSLContext | None = None, *, are_one: bool = False
) -> Iterator[Sequence[socket.socket]]:
    """Yields connections that are inside a PDU and send nothing more, no FIN either.

    Args:
        port: Of the receiver.
        number: How many.
        tls: As `associate`.
        are_one: Whether they are all of one sender, CT1.
    """
    with ExitStack() as stack:
        opened = []
        for n in range(number):
            title, source = ("CT1", LOOPBACK) if are_one else (f"LOST{n}", f"127.0.1.{n + 1}")
            connection = stack.enter_context(
                socket.create_connection((LOOPBACK, port), source_address=(source, 0))
            )
            if tls:
                connection = stack.enter_context(
                    tls.wrap_socket(connection, server_hostname=LOOPBACK)
                )
            connection.settimeout(WAIT_SECONDS)
            connection.sendall(association_request(title))
            assert connection.recv(1) == b"\x02", "accepted"
            connection.sendall(HALF_A_PDU)
            opened.append(connection)
        yield opened


@contextmanager
def associated_in_the_end(port: int, tls: ssl.SSLContext | None = None) -> Iterator[Association]:
    """Yields an association of a sender that comes again until it is let in."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (association := associate(port, "CT1", tls=tls)).is_established:
        assert time.monotonic() < deadline, "it was never let in"
    yield association
    association.release()


def status_of_a_sender(port: int, path: Path, tls: ssl.SSLContext | None = None) -> int:
    """Returns the status of an instance that a sender sends once it is let in."""
    with associated_in_the_end(port, tls) as association:
        return int(association.send_c_store(pydicom.dcmread(path)).Status)


def plain(_folder: Path) -> tuple[ReceiveSection, ssl.SSLContext | None]:
    return ANY_PORT, None


def encrypted(folder: Path) -> tuple[ReceiveSection, ssl.SSLContext | None]:
    certificates = Certificates(folder)
    return with_tls(certificates), ssl.create_default_context(cafile=certificates.ca)


@pytest.mark.parametrize(
    ("way", "limits"),
    [(plain, {"pdu_seconds": 1.0}), (encrypted, {"pdu_seconds": 1.0}), (plain, {})],
    ids=["deadline", "deadline, TLS", "replaced"],
)
def test_the_dicom_receiver_serves_a_sender_while_64_others_are_silent_inside_a_pdu(
    intake: Intake,
    storage: Storage,
    tmp_path: Path,
    phantom_series: WrittenSeries,
    way: Callable[[Path], tuple[ReceiveSection, ssl.SSLContext | None]],
    limits: dict[str, float],
) -> None:
    """By the deadline of a PDU; and without one, because the longest silent one is replaced."""
    ways, tls = way(tmp_path)
    settings = ways.model_copy(update={**FULL, **limits})
    with (
        running_receiver(settings, intake, storage) as port,
        silent_senders(port, SILENT_SENDERS, tls) as silent,
    ):
        start = time.monotonic()
        assert status_of_a_sender(port, phantom_series.paths[0], tls) == 0
        assert time.monotonic() - start < SERVED_WITHIN_SECONDS
        if limits:
            for connection in silent:
                with suppress(ConnectionResetError):
                    while connection.recv(1000):
                        pass  # until it is ended


def echo_request() -> bytes:
    """Returns a P-DATA-TF PDU with a C-ECHO request."""
    asked = C_ECHO()
    asked.MessageID, asked.AffectedSOPClassUID = 1, Verification
    message = C_ECHO_RQ()
    message.primitive_to_message(asked)
    (fragment,) = message.encode_msg(1, 16_384)
    pdu = P_DATA_TF()
    pdu.from_primitive(fragment)
    return pdu.encode()


def test_the_dicom_receiver_ends_the_association_of_a_sender_that_reads_no_answers(
    intake: Intake, storage: Storage
) -> None:
    settings = ANY_PORT.model_copy(update={"pdu_seconds": 1.0})
    requests = echo_request() * 20
    with running_receiver(settings, intake, storage) as port, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((LOOPBACK, port))
        connection.sendall(association_request("CT1", Verification))
        assert connection.recv(1) == b"\x02", "accepted"
        connection.setblocking(False)

        def ask_more() -> None:
            with suppress(BlockingIOError):
                connection.send(requests)

        with pytest.raises(ConnectionError):
            wait_until(lambda: False, "ended", act=ask_more)


def test_a_dicom_sender_that_lost_its_connection_is_served_when_it_connects_again(
    intake: Intake, storage: Storage, phantom_series: WrittenSeries
) -> None:
    """Its own silent associations have all that one sender may have."""
    settings = ANY_PORT.model_copy(update={"max_associations": 8})
    with running_receiver(settings, intake, storage) as port, silent_senders(port, 4, are_one=True):
        assert status_of_a_sender(port, phantom_series.paths[0]) == 0


def is_let_in(port: int, title: str, address: str, held: ExitStack) -> bool:
    """Returns whether a sender gets an association, which is held then."""
    connection = socket.create_connection((LOOPBACK, port), source_address=(address, 0))
    held.enter_context(connection)
    connection.settimeout(WAIT_SECONDS)
    connection.sendall(association_request(title))
    answer = connection.recv(10)
    if answer[0] == 3:  # PS3.8 9.3.4: transient, by the service provider, local limit exceeded
        assert answer[7:] == bytes([2, 3, 2])
    return answer[0] == 2


def test_the_dicom_receiver_serves_twenty_ae_titles_with_four_associations_each_fairly(
    intake: Intake, storage: Storage, database: Database
) -> None:
    """64 places: each of the 20 gets some at once, and who was rejected gets one later."""
    senders = [(f"CT{n}", f"127.0.0.{n + 2}") for n in range(20)]
    with running_receiver(ANY_PORT, intake, storage) as port, ExitStack() as later:
        with ExitStack() as held:
            let_in = [(s, is_let_in(port, *s, held)) for s in senders for _ in range(4)]
        served = [sender for sender, is_in in let_in if is_in]
        assert set(served) == set(senders), "no title was shut out"
        assert 56 < len(served) <= 64
        assert {why for _, _, why in refused(database)} == {Refusal.ALL_TAKEN.value}
        for sender, is_in in let_in:
            if not is_in:
                wait_until(partial(is_let_in, port, *sender, later), "let in")


def test_one_sender_gets_at_most_half_of_the_associations_of_the_dicom_receiver(
    intake: Intake, storage: Storage, database: Database
) -> None:
    settings = ANY_PORT.model_copy(update={"max_associations": 8})
    with running_receiver(settings, intake, storage) as port, ExitStack() as held:
        places = [is_let_in(port, "CT1", f"127.0.0.{n + 2}", held) for n in range(5)]
        assert places == [True] * 4 + [False], "its title counts, wherever it sends from"
        places = [is_let_in(port, f"CT{n}", "127.0.0.2", held) for n in (2, 3, 4)]
        assert places == [True] * 3, "its address has one already"
        assert not is_let_in(port, "CT5", "127.0.0.2", held), "its address counts"
    assert {why for _, _, why in refused(database)} == {Refusal.SENDER_TAKEN.value}
