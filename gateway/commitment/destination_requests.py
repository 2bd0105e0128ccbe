"""Asks destinations for storage commitment (PS3.4 J), and reads their reports."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread, current_thread

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from pynetdicom import evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at its import
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from gateway.config import DicomDestination
from gateway.outgoing_association import association, status_text
from totalmap.errors import ResourceError
from totalmap.log import get_logger

REQUEST = 1  # PS3.4 J.3.2.1.1
ALL_KEPT, NOT_ALL_KEPT = 1, 2  # PS3.4 J.3.3.1.1
# PS3.7 C
SUCCESS = 0x0000
NO_SUCH_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_ARGUMENT = 0x0115
NO_SUCH_ACTION = 0x0123
RESOURCE_LIMITATION = 0x0213
# PS3.3 C.14.1.1
FAILURES: Mapping[int, str] = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class-instance conflict",
    0x0122: "SOP class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}
NO_SUCH_OBJECT, CLASS_CONFLICT = 0x0112, 0x0119
# Some destinations report at once, over the association of the request.
REPORT_SECONDS = 2.0
_MS_PER_SECOND = 1000

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The report of a destination on a request for storage commitment.

    Attributes:
        transaction_uid: Of the request.
        failures: SOP Instance UIDs to which it does not commit itself, each with the reason (PS3.3
            C.14.1.1).
    """

    transaction_uid: str
    failures: Mapping[str, int]

    @property
    def is_something_lost(self) -> bool:
        """Whether an instance has to be sent again."""
        return NO_SUCH_OBJECT in self.failures.values()

    def __str__(self) -> str:
        if not self.failures:
            return "it promises to keep all results"
        reasons = {FAILURES.get(failure, f"0x{failure:04X}") for failure in self.failures.values()}
        return (
            f"it does not promise to keep {len(self.failures)} of the results: "
            f"{', '.join(sorted(reasons))}"
        )


# Stores a report; returns whether it was asked for.
TakeReport = Callable[[Report], bool]


def new_transaction() -> str:
    """Returns a UID with which the Transaction UIDs of a delivery's requests begin.

    Each request has its own Transaction UID (PS3.4 J.3.2.1.1). A report counts, however often the
    destination was asked since: some archives report only at night.
    """
    return str(generate_uid(prefix=None))


def transaction_of(report: Report) -> str:
    """Returns the UID from `new_transaction` that belongs to a report."""
    return report.transaction_uid.rpartition(".")[0]


def request_commitment(
    destination: DicomDestination,
    files: Sequence[Path],
    transaction: str,
    take_report: TakeReport,
) -> None:
    """Asks a destination to commit itself to keep instances that it has.

    The report may come at once, or later over an association that the destination opens.

    Args:
        destination: The destination.
        files: The instances.
        transaction: From `new_transaction`.
        take_report: Called in another thread with a report that comes at once.

    Raises:
        ResourceError: It does not take the request; with the reason.
    """
    request = Dataset()
    request.TransactionUID = f"{transaction}.{time.time() * _MS_PER_SECOND:.0f}"
    request.ReferencedSOPSequence = [_reference(path) for path in files]
    reporting: SimpleQueue[Thread] = SimpleQueue()

    def answer(event: evt.Event) -> tuple[int, None]:
        reporting.put(current_thread())
        return answer_report(event, take_report)

    contexts = [(StorageCommitmentPushModel, [ImplicitVRLittleEndian])]
    handlers: list[evt.EventHandlerType] = [(evt.EVT_N_EVENT_REPORT, answer)]
    with association(destination, contexts, handlers=handlers) as established:
        answered, _ = established.send_n_action(
            request, REQUEST, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        require_success(
            answered, f"{destination.ae_title} answers to a request for storage commitment"
        )
        with suppress(Empty):
            reporting.get(timeout=REPORT_SECONDS).join()  # when the report is answered


def require_success(answer: Dataset, who: str) -> None:
    """Checks the response to a request of the gateway.

    Raises:
        ResourceError: There is none, or it is not success; the message begins with `who`.
    """
    status = answer.get("Status")
    if status != SUCCESS:
        raise ResourceError(f"{who} with {status_text(status)}")


def answer_report(event: evt.Event, take_report: TakeReport) -> tuple[int, None]:
    """Answers an N-EVENT-REPORT request (PS3.4 J.3.3) after the report is stored."""
    if event.event_type not in (ALL_KEPT, NOT_ALL_KEPT):
        return NO_SUCH_EVENT_TYPE, None
    sender = event.assoc.remote["ae_title"].strip()
    try:
        report = _read(event)
    except Exception as error:  # pydicom raises many kinds on broken input
        log.warning("commitment_report_unreadable", sender=sender, kind=type(error).__name__)
        return INVALID_ARGUMENT, None
    try:
        is_known = take_report(report)
    except ResourceError as error:
        log.warning("commitment_report_not_taken", sender=sender, reason=str(error))
        return RESOURCE_LIMITATION, None
    if not is_known:
        log.warning("commitment_report_unknown", sender=sender, uid=report.transaction_uid)
        return INVALID_ARGUMENT, None
    return SUCCESS, None


def _read(event: evt.Event) -> Report:
    said = event.event_information
    failures = {}
    if event.event_type == NOT_ALL_KEPT:
        failures = {
            str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason", NO_SUCH_OBJECT))
            for item in said.FailedSOPSequence
        }
        if not failures:
            raise ValueError("failures without an instance")
    return Report(transaction_uid=str(said.TransactionUID), failures=failures)


def _reference(path: Path) -> Dataset:
    tags = ["SOPClassUID", "SOPInstanceUID"]
    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
    reference = Dataset()
    reference.ReferencedSOPClassUID = header.SOPClassUID
    reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return reference
