"""Storage commitment (PS3.4 J) of this gateway: its promise to senders to keep what they sent."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from threading import Event, Thread

from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at its import
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)
from sqlalchemy import Delete, Update, delete, select, update

from gateway.commitment.destination_requests import (
    ALL_KEPT,
    CLASS_CONFLICT,
    NO_SUCH_OBJECT,
    NOT_ALL_KEPT,
    require_success,
)
from gateway.config import DicomDestination, GatewaySettings
from gateway.deliver.deliverer import retry_seconds
from gateway.deliver.send_dicom import association
from gateway.store.database import Database
from gateway.store.files import Storage
from gateway.store.ledger import KeptInstance
from gateway.store.schema import COMMITMENT_REQUESTS, INSTANCES
from totalmap.errors import ResourceError, internal_error
from totalmap.log import get_logger

LOOK_SECONDS = 0.5
CONNECT_SECONDS = 10.0
GIVE_UP_SECONDS = 86_400.0
# Databases take some thousand values in one question.
_UIDS_AT_ONCE = 500
_COLUMNS = [INSTANCES.c[one.name] for one in fields(KeptInstance)]

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a sender asks the gateway to promise.

    Attributes:
        transaction_uid: As the sender chose it.
        sender: Its AE title.
        instances: SOP Instance UIDs, each with its SOP Class UID.
    """

    transaction_uid: str
    sender: str
    instances: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest(Request):
    """A request whose sender has not heard of it yet.

    Attributes:
        address: Where the sender listens.
        asked_at: Seconds since 1970, UTC.
        attempts: How often it was not reached.
    """

    address: str
    port: int
    asked_at: float
    attempts: int


class CommitmentRequests:
    """Each method raises ResourceError where the database fails or is not there."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._storage = storage
        add = database.insert_or(COMMITMENT_REQUESTS)
        self._add = add.on_conflict_do_update(
            index_elements=[COMMITMENT_REQUESTS.c.transaction_uid, COMMITMENT_REQUESTS.c.sender],
            set_={
                one.name: add.excluded[one.name]
                for one in COMMITMENT_REQUESTS.c
                if not one.primary_key
            },
        )

    def report(self, request: Request) -> tuple[int, Dataset]:
        """Returns the type of the report on a request, and what it says (PS3.4 J.3.3.1).

        Promised is what is on record and on the disk.
        """
        failures = self._failures(request.instances)
        report = Dataset()
        report.TransactionUID = request.transaction_uid
        kept = [_reference(*one) for one in request.instances.items() if one[0] not in failures]
        if kept:
            report.ReferencedSOPSequence = kept
        if not failures:
            return ALL_KEPT, report
        report.FailedSOPSequence = [_reference(uid, request.instances[uid]) for uid in failures]
        for one in report.FailedSOPSequence:
            one.FailureReason = failures[one.ReferencedSOPInstanceUID]
        return NOT_ALL_KEPT, report

    def add(self, request: Request, address: str, port: int) -> None:
        """Puts a request on record whose sender is to be told there."""
        row = {
            "transaction_uid": request.transaction_uid,
            "sender": request.sender,
            "address": address,
            "port": port,
            "instances": json.dumps(dict(request.instances)),
            "asked_at": time.time(),
            "attempts": 0,
            "not_before": 0.0,
        }
        with self._database.transaction() as connection:
            connection.execute(self._add, row)

    def due(self) -> Sequence[OpenRequest]:
        """Returns the requests whose senders are to be told now, the oldest first."""
        columns = [
            one for one in COMMITMENT_REQUESTS.c if one is not COMMITMENT_REQUESTS.c.not_before
        ]
        statement = (
            select(*columns)
            .where(COMMITMENT_REQUESTS.c.not_before <= time.time())
            .order_by(COMMITMENT_REQUESTS.c.asked_at, COMMITMENT_REQUESTS.c.transaction_uid)
        )
        with self._database.transaction() as connection:
            rows = connection.execute(statement).all()
        return [
            OpenRequest(**{**row._mapping, "instances": json.loads(row.instances)}) for row in rows
        ]

    def postpone(self, request: OpenRequest, not_before: float) -> None:
        """Has a sender told again that was not reached."""
        self._change(
            update(COMMITMENT_REQUESTS).values(
                attempts=request.attempts + 1, not_before=not_before
            ),
            request,
        )

    def close(self, request: OpenRequest) -> None:
        """Takes a request off the record whose sender has heard, or is given up."""
        self._change(delete(COMMITMENT_REQUESTS), request)

    def _change(self, statement: Update | Delete, request: OpenRequest) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                statement.where(
                    COMMITMENT_REQUESTS.c.transaction_uid == request.transaction_uid,
                    COMMITMENT_REQUESTS.c.sender == request.sender,
                    COMMITMENT_REQUESTS.c.asked_at == request.asked_at,  # it has not asked anew
                )
            )

    def _failures(self, instances: Mapping[str, str]) -> dict[str, int]:
        """Returns what can't be promised, each with the reason (PS3.3 C.14.1.1)."""
        classes: dict[str, set[str]] = {uid: set() for uid in instances}
        for one in self._kept(list(instances)):
            classes[one.sop_instance_uid].add(one.sop_class_uid)
        return {
            uid: CLASS_CONFLICT if classes[uid] else NO_SUCH_OBJECT
            for uid, sop_class in instances.items()
            if sop_class not in classes[uid]
        }

    def _kept(self, uids: Sequence[str]) -> Iterator[KeptInstance]:
        """Yields those of some instances that are on record, and whose files are on the disk."""
        for start in range(0, len(uids), _UIDS_AT_ONCE):
            some = uids[start : start + _UIDS_AT_ONCE]
            statement = select(*_COLUMNS).where(INSTANCES.c.sop_instance_uid.in_(some))
            with self._database.transaction() as connection:
                rows = connection.execute(statement).all()
            found = (KeptInstance(**row._mapping) for row in rows)
            yield from (one for one in found if self._storage.path(one).exists())


@contextmanager
def reporting(settings: GatewaySettings, commitment_requests: CommitmentRequests) -> Iterator[None]:
    """Tells senders of what they asked for while the block runs, in a thread of its own."""
    stop = Event()
    thread = Thread(
        target=_report_until, args=(stop, settings, commitment_requests), name="promises"
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _report_until(
    stop: Event, settings: GatewaySettings, commitment_requests: CommitmentRequests
) -> None:
    while not stop.wait(LOOK_SECONDS):
        try:
            _report_due(stop, settings, commitment_requests)
        except ResourceError as error:  # the next look tries it again
            log.warning("promises_not_reported", reason=str(error))


def _report_due(
    stop: Event, settings: GatewaySettings, commitment_requests: CommitmentRequests
) -> None:
    """Tells all senders that are due; who does not answer is not tried twice in one round."""
    unreachable: dict[tuple[str, int], str] = {}
    for request in commitment_requests.due():
        if stop.is_set():
            return
        where = (request.address, request.port)
        reason = unreachable.get(where) or _failure(request, settings, commitment_requests)
        if reason is None:
            commitment_requests.close(request)
        else:
            unreachable[where] = reason
            _tell_later(request, settings, commitment_requests, reason)


def _failure(
    request: OpenRequest, settings: GatewaySettings, commitment_requests: CommitmentRequests
) -> str | None:
    """Tells a sender of what it asked for; returns why that failed."""
    try:
        event_type, report = commitment_requests.report(request)
        _tell(request, settings.receive.ae_title, event_type, report)
    except ResourceError as error:
        return str(error)
    except Exception as error:  # the other senders are not to wait for this one
        return str(internal_error(error))
    log.info("promise_reported", sender=request.sender, is_given=event_type == ALL_KEPT)
    return None


def _tell_later(
    request: OpenRequest,
    settings: GatewaySettings,
    commitment_requests: CommitmentRequests,
    reason: str,
) -> None:
    now, deliver = time.time(), settings.deliver
    if now - request.asked_at > GIVE_UP_SECONDS:
        log.error("promise_given_up", sender=request.sender, reason=reason)
        commitment_requests.close(request)
        return
    wait = retry_seconds(
        request.attempts, deliver.first_retry_seconds, deliver.longest_retry_seconds
    )
    log.warning("promise_not_reported", sender=request.sender, reason=reason)
    commitment_requests.postpone(request, now + wait)


def _tell(request: OpenRequest, ae_title: str, event_type: int, report: Dataset) -> None:
    """Reports over an association of our own, as the SCP that we are (PS3.4 J.3.3.1.3).

    Raises:
        ResourceError: The sender did not take the report; with the reason.
    """
    sender = DicomDestination(
        ae_title=request.sender,
        address=request.address,
        port=request.port,
        calling_ae_title=ae_title,
        connect_seconds=CONNECT_SECONDS,
    )
    contexts = [(StorageCommitmentPushModel, [ImplicitVRLittleEndian])]
    roles = [build_role(StorageCommitmentPushModel, scp_role=True)]
    with association(sender, contexts, roles=roles) as established:
        answered, _ = established.send_n_event_report(
            report, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        require_success(answered, f"{request.sender} answers to a report on storage commitment")


def _reference(sop_instance_uid: str, sop_class_uid: str) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = sop_class_uid
    reference.ReferencedSOPInstanceUID = sop_instance_uid
    return reference
