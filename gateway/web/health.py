"""Checks whether the gateway works: its processes, the receiver, the ledger and the disk.

Each check runs in a thread of its own. A part that does not answer is named, and delays neither the
page nor /health.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from threading import Event, Lock, Thread

from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at its import

from gateway.certificate_expiry import expiring_certificates
from gateway.config import GatewaySettings, ReceiveSection
from gateway.heartbeat import HeartbeatTable, HeartbeatWatch
from gateway.login_attempts import parse_address
from gateway.store.counts_for_page_and_metrics import count_overdue_studies, count_unqueued
from gateway.store.database import Database
from gateway.store.file_storage import BYTES_PER_GB, Storage
from gateway.store.ledger_damage import DamagedLedger
from gateway.store.workers import LOST_SECONDS, WorkerList
from totalmap.errors import ResourceError
from totalmap.texts.catalogue import Message

ANSWER_SECONDS = 10.0
_LOOPBACKS = {4: "127.0.0.1", 6: "::1"}
_SUCCESS = 0x0000
# The dispatcher looks twice a second; a working one never takes so long.
PATIENCE_SECONDS = 30.0
# How long /health waits for the answers.
WAIT_SECONDS = 1.5
# A probe that has not answered for so long is reported; its last answer counts until then.
LATE_SECONDS = 10.0
# How long an answer of the receiver counts, so that it is not asked too often.
RECEIVER_SECONDS = 5.0
# The same for the files of certificates.
CERTIFICATE_SECONDS = 60.0
_LOOK_SECONDS = 0.02
DRAINED = Message("health.drained")
_DAMAGED = Message("health.damaged")


def ask_receiver(receive: ReceiveSection) -> Iterator[str]:
    """Asks the gateway's own receiver by C-ECHO (PS3.4 A), and yields its faults.

    The gateway calls with its own AE title, which the receiver accepts from its own address
    (gateway/receive/dicom_receiver.py). A receiver that rejects the association has answered as
    well. If senders need certificates, only a connection is tried.
    """
    address, parsed = receive.address, parse_address(receive.address)
    if parsed is not None and parsed.is_unspecified:
        address = _LOOPBACKS[parsed.version]
    try:
        socket.create_connection((address, receive.port), ANSWER_SECONDS).close()
    except OSError as error:
        reason = error.strerror or Message("health.no_answer")
        yield Message("health.no_receiver", port=receive.port, reason=reason)
        return
    if receive.tls is not None and receive.tls.senders_ca_file is not None:
        return
    if not _answers(receive, address):
        yield Message("health.receiver_silent", port=receive.port)


def _answers(receive: ReceiveSection, address: str) -> bool:
    entity = AE(receive.ae_title)
    entity.connection_timeout = entity.acse_timeout = ANSWER_SECONDS
    entity.dimse_timeout = entity.network_timeout = ANSWER_SECONDS
    entity.add_requested_context(Verification)
    association = entity.associate(
        address,
        receive.port,
        ae_title=receive.ae_title,
        tls_args=(_any_certificate(), "") if receive.tls is not None else None,
    )
    if not association.is_established:
        return bool(association.is_rejected)
    answer = association.send_c_echo()
    association.release()
    return bool(answer.get("Status") == _SUCCESS)


def _any_certificate() -> ssl.SSLContext:
    """Returns a TLS context that accepts any certificate: no data is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The health of the gateway.

    Attributes:
        reasons: The faults, without patient data; empty: the gateway works. They are `Message`s:
            English for programs, and in the language of a page.
        warnings: What will need attention, although the gateway works; as `reasons`.
    """

    reasons: Sequence[str]
    warnings: Sequence[str]
    workers_seen: int
    free_bytes: int


class HealthCheck:
    """Asks all parts of the gateway, and keeps their answers."""

    def __init__(
        self,
        settings: GatewaySettings,
        storage: Storage,
        database: Database,
        heartbeats: HeartbeatTable | None,
    ) -> None:
        """Asks nothing yet.

        Args:
            settings: Of the gateway.
            storage: The storage whose disk is checked.
            database: The database of the ledger.
            heartbeats: The heartbeats of all processes of this machine; None: there is no
                supervisor.
        """
        self._settings = settings
        self._storage = storage
        self._database = database
        self._worker_list = WorkerList(database)
        self._workers_seen = self._free_bytes = 0
        self._heartbeats = HeartbeatWatch(heartbeats) if heartbeats else None
        self._probes = (
            _Probe(Message("health.storage_folder"), self._disk),
            _Probe(Message("health.receiver"), self._receiver, RECEIVER_SECONDS),
            _Probe(Message("health.database"), self._ledger),
        )
        self._certificates = _Probe(
            Message("health.certificates"), self._expiring, CERTIFICATE_SECONDS
        )

    def look_at_heartbeats(self) -> None:
        """Notes which processes beat; has to be called every second."""
        if self._heartbeats is not None:
            self._heartbeats.look()

    async def ask(self) -> Health:
        """Returns the health of the gateway, after at most about `WAIT_SECONDS`."""
        asked = [probe.ask() for probe in (*self._probes, self._certificates)]
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline and not all(done.is_set() for done in asked):
            await asyncio.sleep(_LOOK_SECONDS)
        return self._answer()

    def ask_and_wait(self) -> Health:
        """Returns the same; for a thread that may wait."""
        deadline = time.monotonic() + WAIT_SECONDS
        for done in [probe.ask() for probe in (*self._probes, self._certificates)]:
            done.wait(max(0.0, deadline - time.monotonic()))
        return self._answer()

    def _answer(self) -> Health:
        reasons = [reason for probe in self._probes for reason in probe.reasons()]
        if self._heartbeats is not None:
            reasons += self._heartbeats.reasons()
        return Health(
            reasons=reasons,
            warnings=self._certificates.reasons(),
            workers_seen=self._workers_seen,
            free_bytes=self._free_bytes,
        )

    def _expiring(self) -> Iterator[str]:
        now = time.time()
        for certificate in expiring_certificates(self._settings, now):
            yield certificate.sentence(now)

    def _disk(self) -> Iterator[str]:
        self._free_bytes = self._storage.free_bytes()
        try:
            with TemporaryFile(dir=self._storage.incoming) as file:
                file.write(b"written")
        except OSError as error:  # it is read-only or full
            yield Message("health.not_written", reason=error.strerror or "")
        limit_gb = self._settings.receive.keep_free_gb
        if self._free_bytes < limit_gb * BYTES_PER_GB:
            yield Message(
                "health.disk_full", free_gb=self._free_bytes / BYTES_PER_GB, limit_gb=limit_gb
            )

    def _receiver(self) -> Iterator[str]:
        is_draining = False
        with suppress(ResourceError):  # the database has its own probe
            is_draining = self._worker_list.is_draining()
        if not is_draining:
            yield from ask_receiver(self._settings.receive)

    def _ledger(self) -> Iterator[str]:
        self._workers_seen = count_workers(self._worker_list)
        expected = len(self._settings.work.devices)
        if self._workers_seen < expected:
            yield Message(
                "health.workers",
                seen=self._workers_seen,
                expected=expected,
                seconds=float(LOST_SECONDS),
            )
        if self._worker_list.is_draining():
            yield DRAINED
        yield from self._dispatcher()

    def _dispatcher(self) -> Iterator[str]:
        """Yields the work that the dispatcher should have done and has not."""
        now = time.time()
        complete = self._settings.complete
        quiet = max(complete.quiet_seconds, complete.quiet_unreleased_seconds)
        overdue = count_overdue_studies(self._database, now - quiet - PATIENCE_SECONDS)
        unqueued = count_unqueued(self._database, now - PATIENCE_SECONDS)
        if overdue:
            yield Message("health.overdue", count=overdue)
        if unqueued:
            yield Message("health.unqueued", count=unqueued)


class _Probe:
    """Asks a part of the gateway in a thread, one question at a time."""

    def __init__(
        self, name: str, question: Callable[[], Iterable[str]], keep_seconds: float = 0.0
    ) -> None:
        """Asks nothing yet.

        Args:
            name: The name of the part.
            question: Yields the faults.
            keep_seconds: How long an answer counts.
        """
        self._name = name
        self._question = question
        self._keep_seconds = keep_seconds
        self._lock = Lock()
        self._asked_at = float("-inf")
        self._done = Event()
        self._done.set()
        self._reasons: list[str] | None = None

    def ask(self) -> Event:
        """Asks, unless an answer still counts; returns an event that is set after the answer."""
        with self._lock:
            now = time.monotonic()
            if self._done.is_set() and now - self._asked_at >= self._keep_seconds:
                self._asked_at = now
                self._done = Event()
                Thread(target=self._ask, args=[self._done], name="health", daemon=True).start()
            return self._done

    def reasons(self) -> list[str]:
        """Returns the faults in the last answer."""
        waited = time.monotonic() - self._asked_at
        if not self._done.is_set():
            if self._reasons is None:
                return [Message("health.not_yet", part=self._name)]
            if waited > LATE_SECONDS:
                return [Message("health.late", part=self._name, seconds=waited)]
        return self._reasons or []

    def _ask(self, done: Event) -> None:
        try:
            self._reasons = list(self._question())
        except DamagedLedger:
            self._reasons = [_DAMAGED]
        except (OSError, ResourceError):  # its message may name what is not public
            self._reasons = [Message("health.silent", part=self._name)]
        finally:
            done.set()


def count_workers(worker_list: WorkerList) -> int:
    """Returns how many workers have reported lately.

    Raises:
        ResourceError: The database fails.
    """
    lost = worker_list.lost(LOST_SECONDS)
    return sum(worker.worker not in lost for worker in worker_list.workers())
