"""Handles storage commitment (PS3.4 J) at the receiver: requests of senders, and reports to us."""

from collections.abc import Sequence
from io import BytesIO
from typing import cast
from weakref import WeakKeyDictionary

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at its import
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from gateway.commitment.destination_requests import (
    INVALID_ARGUMENT,
    NO_SUCH_ACTION,
    NO_SUCH_INSTANCE,
    REQUEST,
    RESOURCE_LIMITATION,
    SUCCESS,
    TakeReport,
    answer_report,
)
from gateway.commitment.sender_requests import SenderRequests
from gateway.config import GatewaySettings, SenderSection
from gateway.store.commitment_requests import CommitmentRequest
from gateway.store.database import Database
from gateway.store.file_storage import Storage
from gateway.store.schema import UID_CHARACTERS
from totalmap.errors import ResourceError
from totalmap.log import get_logger

log = get_logger()


def commitment_handlers(
    settings: GatewaySettings, storage: Storage, database: Database, take_report: TakeReport
) -> list[evt.EventHandlerType]:
    """Returns the handlers with which `running_receiver` offers storage commitment.

    Args:
        settings: Of the gateway.
        storage: With the instances.
        database: With the requests.
        take_report: Records the report of a destination.
    """
    requests, same = SenderRequests(settings, storage, database), _SameAssociation()
    return [
        (evt.EVT_N_EVENT_REPORT, answer_report, [take_report]),
        (evt.EVT_N_ACTION, _answer_request, [settings.receive.senders, requests, same]),
        (evt.EVT_PDU_SENT, same.send),
    ]


class _SameAssociation:
    """Sends reports over the associations of their requests, if these are still open."""

    def __init__(self) -> None:
        self._held: WeakKeyDictionary[Association, tuple[int, N_EVENT_REPORT]] = WeakKeyDictionary()

    def hold(self, event: evt.Event, event_type: int, report: Dataset) -> None:
        """Holds a report until its request is answered."""
        syntax = UID(event.context.transfer_syntax)
        message = N_EVENT_REPORT()
        message.MessageID = 1
        message.AffectedSOPClassUID = StorageCommitmentPushModel
        message.AffectedSOPInstanceUID = StorageCommitmentPushModelInstance
        message.EventTypeID = event_type
        message.EventInformation = BytesIO(
            encode(report, syntax.is_implicit_VR, syntax.is_little_endian) or b""
        )
        self._held[event.assoc] = (event.context.context_id, message)

    def send(self, event: evt.Event) -> None:
        """Sends a report right after the response to its request.

        pynetdicom itself would take the next request of the sender for the response to the report.
        """
        held = self._held.pop(event.assoc, None)
        if held is not None:
            context_id, message = held
            event.assoc.dimse.send_msg(message, context_id)


def _answer_request(
    event: evt.Event,
    senders: Sequence[SenderSection],
    requests: SenderRequests,
    same: _SameAssociation,
) -> tuple[int, None]:
    """Answers an N-ACTION request (PS3.4 J.3.2); the report follows later."""
    if event.action_type != REQUEST:
        return NO_SUCH_ACTION, None
    wanted = cast(N_ACTION, event.request).RequestedSOPInstanceUID
    if wanted != StorageCommitmentPushModelInstance:
        return NO_SUCH_INSTANCE, None
    title, address = event.assoc.requestor.ae_title.strip(), event.assoc.requestor.address
    try:
        request = _read(title, event.action_information)
    except Exception as error:  # pydicom raises many kinds on broken input
        log.warning("commitment_request_unreadable", sender=title, kind=type(error).__name__)
        return INVALID_ARGUMENT, None
    listening = next(
        (sender for sender in senders if sender.port and sender.matches(title, address)),
        SenderSection(),
    )
    try:
        if listening.port is None:
            same.hold(event, *requests.report(request))
        else:
            requests.waiting.add(request, listening.address or address, listening.port)
    except ResourceError as error:
        log.warning("commitment_request_refused", sender=title, reason=str(error))
        return RESOURCE_LIMITATION, None
    log.info("commitment_requested", sender=title, instances=len(request.instances))
    return SUCCESS, None


def _read(sender: str, asked: Dataset) -> CommitmentRequest:
    instances = {
        str(item.ReferencedSOPInstanceUID): str(item.ReferencedSOPClassUID)
        for item in asked.ReferencedSOPSequence
    }
    transaction_uid = str(asked.TransactionUID)
    if not instances or not 0 < len(transaction_uid) <= UID_CHARACTERS:
        raise ValueError("a request without instances or Transaction UID")
    return CommitmentRequest(transaction_uid=transaction_uid, sender=sender, instances=instances)
