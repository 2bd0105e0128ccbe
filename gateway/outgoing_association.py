"""Opens associations with other DICOM nodes (PS3.7 D, PS3.8)."""

import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, Queue

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import DimseServiceType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

from gateway.config import DicomDestination
from totalmap.errors import ResourceError

# A presentation context and its message; two times None: the association has ended.
Message = tuple[int, DimseServiceType] | tuple[None, None]


class ReplyQueue(Queue[Message]):
    """A queue of DIMSE messages that gives replies only to the thread that waits for them.

    pynetdicom (3.0) takes the messages of an association from one queue in two threads: the
    sender's, which waits for its reply, and the association's own, which looks for requests. The
    second is paused while the first sends, but not reliably between two sends in a row: on a busy
    machine one reply in some thousands is thrown away ("Received unexpected C-STORE service
    message"), and the sender waits in vain.
    """

    def get(self, block: bool = True, timeout: float | None = None) -> Message:
        """Returns the next message.

        Raises:
            Empty: There is none, or, without `block`, the next one is a reply, or says that there
                will be none; it is for the thread that waits.
        """
        if not block and not self._next_is_a_request():
            raise Empty
        return super().get(block, timeout)

    def _next_is_a_request(self) -> bool:
        with self.mutex:
            _, message = self.queue[0] if self.queue else (None, None)
        return message is not None and message.is_valid_request


def _keep_replies(event: evt.Event) -> None:
    event.assoc.dimse.msg_queue = ReplyQueue()


# A handler for every association over which the gateway sends; it runs before any message.
KEEP_REPLIES: evt.EventHandlerType = (evt.EVT_CONN_OPEN, _keep_replies)


@contextmanager
def association(
    destination: DicomDestination,
    contexts: Iterable[tuple[UID, Sequence[UID]]],
    *,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[evt.EventHandlerType] = (),
) -> Iterator[Association]:
    """Yields an established association, which is released at the end, or aborted on a failure.

    Args:
        destination: The node to connect to.
        contexts: SOP classes, each with the transfer syntaxes to offer for it.
        roles: Roles that differ from the usual ones (PS3.7 D.3.3.4).
        handlers: Handlers of requests of the other node.

    Raises:
        ResourceError: It is not established; with the reason.
    """
    entity = AE(destination.calling_ae_title)
    entity.connection_timeout = destination.connect_seconds
    entity.acse_timeout = destination.connect_seconds
    entity.dimse_timeout = destination.connect_seconds
    entity.network_timeout = destination.connect_seconds
    entity.maximum_pdu_size = 0
    for sop_class, syntaxes in contexts:
        for syntax in syntaxes:
            entity.add_requested_context(sop_class, syntax)
    established = entity.associate(
        destination.address,
        destination.port,
        ae_title=destination.ae_title,
        ext_neg=[*roles],
        evt_handlers=[KEEP_REPLIES, *handlers],
        tls_args=_tls(destination),
    )
    if not established.is_established:
        raise _failure(destination, established)
    try:
        yield established
    except BaseException:
        established.abort()
        raise
    established.release()


def _tls(destination: DicomDestination) -> "tuple[ssl.SSLContext, str] | None":
    if destination.ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=destination.ca_file)
        if destination.certificate_file is not None:
            context.load_cert_chain(destination.certificate_file, destination.key_file)
    except OSError as error:  # SSLError is one
        raise ResourceError(f"the certificates for {peer_name(destination)}: {error}") from error
    return context, destination.address


def _failure(destination: DicomDestination, tried: Association) -> ResourceError:
    if tried.is_rejected:
        answer = tried.acceptor.primitive
        reason = answer.reason_str if answer else "without a reason"
        return ResourceError(f"{peer_name(destination)} rejects the association: {reason}")
    if tried.rejected_contexts:
        names = {UID(str(context.abstract_syntax)).name for context in tried.rejected_contexts}
        offered = ", ".join(sorted(names))
        return ResourceError(f"{peer_name(destination)} does not offer {offered}")
    return ResourceError(
        f"{peer_name(destination)} can't be reached, or does not answer as a DICOM node"
    )


def peer_name(destination: DicomDestination) -> str:
    """Returns what messages call a DICOM node: its AE title, address and port."""
    return f"{destination.ae_title} at {destination.address}:{destination.port}"


def status_text(status: int | None) -> str:
    """Returns a DIMSE status (PS3.7 C) as text for a message; None: there was no answer."""
    return "nothing" if status is None else f"status 0x{status:04X}"
