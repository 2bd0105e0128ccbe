"""Reports to senders which of their instances the gateway commits itself to keep (PS3.4 J)."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread

from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at its import
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from gateway.commitment.destination_requests import (
    ALL_KEPT,
    CLASS_CONFLICT,
    NO_SUCH_OBJECT,
    NOT_ALL_KEPT,
    require_success,
)
from gateway.config import DicomDestination, GatewaySettings, retry_seconds
from gateway.outgoing_association import association
from gateway.store.commitment_requests import (
    CommitmentRequest,
    CommitmentRequestList,
    OpenCommitmentRequest,
)
from gateway.store.database import Database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from totalmap.errors import ResourceError, internal_error
from totalmap.log import get_logger

LOOK_SECONDS = 0.5
CONNECT_SECONDS = 10.0
GIVE_UP_SECONDS = 86_400.0

log = get_logger()


class SenderRequests:
    """The requests of senders; each method raises ResourceError where the database fails.

    Attributes:
        waiting: Requests whose senders have no report yet.
    """

    def __init__(self, settings: GatewaySettings, storage: Storage, database: Database) -> None:
        self.waiting = CommitmentRequestList(database)
        self._settings = settings
        self._storage = storage
        self._ledger = Ledger(database)

    def report(self, request: CommitmentRequest) -> tuple[int, Dataset]:
        """Returns the type of the report on a request, and its content (PS3.4 J.3.3.1).

        The gateway commits itself to instances that are in the ledger and on the disk.
        """
        failures = self._failures(request.instances)
        report = Dataset()
        report.TransactionUID = request.transaction_uid
        kept = [
            _reference(uid, sop_class)
            for uid, sop_class in request.instances.items()
            if uid not in failures
        ]
        if kept:
            report.ReferencedSOPSequence = kept
        if not failures:
            return ALL_KEPT, report
        report.FailedSOPSequence = [_reference(uid, request.instances[uid]) for uid in failures]
        for item in report.FailedSOPSequence:
            item.FailureReason = failures[item.ReferencedSOPInstanceUID]
        return NOT_ALL_KEPT, report

    def report_due(self, stop: Event) -> None:
        """Sends all reports that are due; a sender that does not answer is tried once a round."""
        unreachable: dict[tuple[str, int], str] = {}
        for request in self.waiting.due():
            if stop.is_set():
                return
            where = (request.address, request.port)
            reason = unreachable.get(where) or self._failure(request)
            if reason is None:
                self.waiting.close(request)
            else:
                unreachable[where] = reason
                self._report_later(request, reason)

    def _failures(self, instances: Mapping[str, str]) -> dict[str, int]:
        """Returns the instances that are not kept, each with the reason (PS3.3 C.14.1.1)."""
        classes: dict[str, set[str]] = {uid: set() for uid in instances}
        for kept in self._ledger.with_uids(list(instances)):
            if self._storage.path(kept).exists():
                classes[kept.sop_instance_uid].add(kept.sop_class_uid)
        return {
            uid: CLASS_CONFLICT if classes[uid] else NO_SUCH_OBJECT
            for uid, sop_class in instances.items()
            if sop_class not in classes[uid]
        }

    def _failure(self, request: OpenCommitmentRequest) -> str | None:
        """Sends a report to a sender; returns why that failed."""
        try:
            event_type, report = self.report(request)
            _send_report(request, self._settings.receive.ae_title, event_type, report)
        except ResourceError as error:
            return str(error)
        except Exception as error:  # the other senders must not wait for this one
            return str(internal_error(error))
        log.info("promise_reported", sender=request.sender, is_given=event_type == ALL_KEPT)
        return None

    def _report_later(self, request: OpenCommitmentRequest, reason: str) -> None:
        now, deliver = time.time(), self._settings.deliver
        if now - request.asked_at > GIVE_UP_SECONDS:
            log.error("promise_given_up", sender=request.sender, reason=reason)
            self.waiting.close(request)
            return
        wait = retry_seconds(
            request.attempts, deliver.first_retry_seconds, deliver.longest_retry_seconds
        )
        log.warning("promise_not_reported", sender=request.sender, reason=reason)
        self.waiting.postpone(request, now + wait)


@contextmanager
def reporting_to_senders(requests: SenderRequests) -> Iterator[None]:
    """Sends the reports that are due while the block runs, in a thread of its own."""
    stop = Event()
    thread = Thread(target=_report_until, args=(stop, requests), name="commitment reports")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _report_until(stop: Event, requests: SenderRequests) -> None:
    while not stop.wait(LOOK_SECONDS):
        try:
            requests.report_due(stop)
        except ResourceError as error:  # the next round tries it again
            log.warning("promises_not_reported", reason=str(error))


def _send_report(
    request: OpenCommitmentRequest, ae_title: str, event_type: int, report: Dataset
) -> None:
    """Sends a report over an association of our own, as the SCP that we are (PS3.4 J.3.3.1.3).

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
