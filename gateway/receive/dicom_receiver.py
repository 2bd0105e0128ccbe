"""Receives instances by DICOM (C-STORE), answers C-ECHO, and offers storage commitment.

An instance is safe when it is acknowledged. The receiver runs in a process of its own, because it
changes the folder of temporary files, and because no computation may hold up a sender.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from ssl import CERT_REQUIRED, Purpose, SSLContext, create_default_context
from threading import Thread
from typing import Any, cast
from uuid import uuid4
from weakref import WeakKeyDictionary

from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE, A_RELEASE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at its import
    StorageCommitmentPushModel,
    Verification,
)

from gateway.config import ReceiveSection, TlsSection
from gateway.config.named_files import shown
from gateway.receive.association_limits import AssociationLimits, Sender
from gateway.receive.intake import Intake, MismatchedInstance, ReceivedFile
from gateway.receive.listening_server import Leave, ListeningServer
from gateway.receive.message_limits import ReceiptMonitor
from gateway.receive.pynetdicom_without_polling import make_event_driven
from gateway.receive.receiver_processes import ReceiverProcess
from gateway.receive.serve_accepted_connections import Admission, AssociationServer
from gateway.store.file_storage import Storage
from totalmap.dicom.transfer_syntaxes import PREFERRED
from totalmap.errors import ConfigError, InputError, ResourceError, TotalMapError
from totalmap.log import get_logger

# PS3.4 B.2.3
SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
# PS3.8 9.3.4: rejected for good, by the service user; and for now, by the service provider
CALLING_TITLE_NOT_RECOGNIZED = (1, 1, 3)
CALLED_TITLE_NOT_RECOGNIZED = (1, 1, 7)
LOCAL_LIMIT_EXCEEDED = (2, 3, 2)
# A limit of pynetdicom that must have no effect; AssociationLimits limits associations.
NO_LIMIT = 1_000_000
# As large as the PDUs of dcmtk: fewer PDUs cost less.
PDU_BYTES = 131_072

log = get_logger()


@contextmanager
def running_receiver(
    settings: ReceiveSection,
    intake: Intake,
    storage: Storage,
    commitment: Sequence[evt.EventHandlerType] = (),
    processes: Sequence[ReceiverProcess] = (),
    *,
    turned: Callable[[], None] = lambda: None,
    leave: Leave | None = None,
) -> Iterator[int]:
    """Listens while the block runs, and yields the port; aborts associations at the end.

    Args:
        settings: Where to listen, who may send, and the limits. Port 0 takes a free one.
        intake: Stores what is received.
        storage: Where files are written while they are received.
        commitment: From gateway/commitment/commitment_scp.py; none: storage commitment is not
            offered.
        processes: Receiver processes, which serve some of the associations.
        turned: Called at each turn of the loop that accepts connections.
        leave: Asks the server to take no more associations; None: nobody asks.

    Raises:
        ConfigError: A certificate or key can't be used.
        ResourceError: The address or port can't be listened on.
    """
    with _received_into(storage.incoming):
        try:
            made = _server(settings, intake, storage, commitment, ListeningServer)
        except OSError as error:
            raise ResourceError(
                f"receive.address {settings.address}, receive.port {settings.port}: can't "
                f"listen there: {error.strerror}"
            ) from error
        server = cast(ListeningServer, made)
        server.processes = processes
        server.turned = turned
        server.leave = leave or Leave()
        server.use_limits(
            AssociationLimits(settings.max_associations, settings.associations_per_sender)
        )
        serving = Thread(target=server.serve_forever, name="receiver")
        serving.start()
        try:
            yield server.server_address[1]
        finally:
            server.stop()
            serving.join()
            server.abort_all()


@contextmanager
def serving_handed_over(
    settings: ReceiveSection,
    intake: Intake,
    storage: Storage,
    admission: Admission,
    commitment: Sequence[evt.EventHandlerType] = (),
) -> Iterator[AssociationServer]:
    """Yields a server for connections that another process has accepted.

    Args:
        settings: As `running_receiver`.
        intake: The same.
        storage: The same.
        admission: Asked for a place before an association is accepted.
        commitment: As `running_receiver`.

    Raises:
        ConfigError: As `running_receiver`.
    """
    with _received_into(storage.incoming):
        server = _server(settings, intake, storage, commitment, AssociationServer)
        server.admission = admission
        try:
            yield server
        finally:
            server.abort_all()


def _server(
    settings: ReceiveSection,
    intake: Intake,
    storage: Storage,
    commitment: Sequence[evt.EventHandlerType],
    server_class: type[AssociationServer],
) -> AssociationServer:
    entity = _application_entity(settings)
    if commitment:  # SCP for senders, SCU for destinations (PS3.7 D.3.3.4)
        entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    server = entity.make_server(
        (settings.address, settings.port),
        evt_handlers=[*_handlers(settings, intake, storage), *commitment],
        server_class=server_class,
        ssl_context=tls_context(settings.tls) if settings.tls else None,
    )
    made = cast(AssociationServer, server)
    made.tls_failed = partial(_tls_failed, intake)
    made.pdu_seconds = min(settings.pdu_seconds, settings.idle_seconds)
    return made


@contextmanager
def _received_into(folder: Path) -> Iterator[None]:
    """Makes pynetdicom write instances into files in a folder, without decoding them.

    It also keeps pynetdicom from describing each message for a log that is not written.
    """
    before = _config.STORE_RECV_CHUNKED_DATASET, tempfile.tempdir, _config.LOG_HANDLER_LEVEL
    _config.STORE_RECV_CHUNKED_DATASET, tempfile.tempdir = True, str(folder)
    _config.LOG_HANDLER_LEVEL = "none"
    try:
        yield
    finally:
        _config.STORE_RECV_CHUNKED_DATASET, tempfile.tempdir, _config.LOG_HANDLER_LEVEL = before


def tls_context(tls: TlsSection) -> SSLContext:
    """Returns the TLS context of the receiver.

    Raises:
        ConfigError: A certificate or key can't be used.
    """
    try:
        context = create_default_context(Purpose.CLIENT_AUTH, cafile=tls.senders_ca_file)
        context.load_cert_chain(tls.certificate_file, tls.key_file)
    except OSError as error:  # SSLError is one
        raise ConfigError(
            f"receive.tls: {shown(tls.certificate_file, 'certificate_file')}, "
            f"{shown(tls.key_file, 'key_file')} and "
            f"{shown(tls.senders_ca_file, 'senders_ca_file')} can't be used: {error}"
        ) from error
    if tls.senders_ca_file:
        context.verify_mode = CERT_REQUIRED
    return context


def _application_entity(settings: ReceiveSection) -> AE:
    entity = AE(settings.ae_title)
    entity.maximum_associations = NO_LIMIT
    entity.acse_timeout = settings.request_seconds
    entity.network_timeout = settings.idle_seconds
    entity.dimse_timeout = settings.idle_seconds
    entity.maximum_pdu_size = PDU_BYTES
    entity.add_supported_context(Verification)
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(cast(UID, context.abstract_syntax), list(PREFERRED))
    return entity


def _handlers(
    settings: ReceiveSection, intake: Intake, storage: Storage
) -> list[evt.EventHandlerType]:
    monitor, transfers = ReceiptMonitor(settings.max_instance_mb, intake), _Transfers(intake)
    return [
        (evt.EVT_REQUESTED, _admit, [settings, intake]),
        (evt.EVT_CONN_OPEN, lambda event: make_event_driven(event.assoc, PDU_BYTES)),
        (evt.EVT_DATA_RECV, monitor.look_at),
        (evt.EVT_C_ECHO, lambda _event: SUCCESS),
        (evt.EVT_C_STORE, _store, [intake, monitor, transfers]),
        (evt.EVT_ACSE_RECV, transfers.release),
        (evt.EVT_CONN_CLOSE, monitor.remove_partial_file),
        (evt.EVT_CONN_CLOSE, transfers.cut_off),
        (evt.EVT_CONN_CLOSE, _free_place),
        (evt.EVT_CONN_CLOSE, _remove_partial_files, [storage, 2 * settings.idle_seconds]),
    ]


def _admit(event: evt.Event, settings: ReceiveSection, intake: Intake) -> None:
    """Accepts an association, or rejects it for one of a few reasons, which is recorded."""
    title, address = _requestor(event)
    called = cast(A_ASSOCIATE, event.assoc.requestor.primitive).called_ae_title.strip()
    senders = settings.senders
    if called != settings.ae_title:
        _reject(
            event,
            intake,
            CALLED_TITLE_NOT_RECOGNIZED,
            "calls another AE title than receive.ae_title",
        )
    elif _is_own_question(event, title, settings):
        return  # it needs no place, so that it is answered even if all are taken
    elif senders and not any(sender.matches(title, address) for sender in senders):
        _reject(event, intake, CALLING_TITLE_NOT_RECOGNIZED, "is none of receive.senders")
    else:
        server = cast(AssociationServer, event.assoc._server)
        refusal = server.take_place(event.assoc, Sender(title, address))
        if refusal is not None:
            _reject(event, intake, LOCAL_LIMIT_EXCEEDED, refusal.value)


def _is_own_question(event: evt.Event, title: str, settings: ReceiveSection) -> bool:
    """Returns whether this is the C-ECHO of /health of this gateway."""
    association = event.assoc
    primitive = cast(A_ASSOCIATE, association.requestor.primitive)
    wanted = {item.abstract_syntax for item in primitive.presentation_context_definition_list}
    own = cast(Any, association.dul.socket).socket
    return (
        title == settings.ae_title
        and wanted == {Verification}
        and own is not None
        and own.getsockname()[0] == association.requestor.address
    )


def _reject(event: evt.Event, intake: Intake, answer: tuple[int, int, int], why: str) -> None:
    title, address = _requestor(event)
    intake.reject(title, why, address)
    event.assoc.acse.send_reject(*answer)
    event.assoc.kill()  # after the response is sent


def _free_place(event: evt.Event) -> None:
    cast(AssociationServer, event.assoc._server).free_place(event.assoc)


def _requestor(event: evt.Event) -> tuple[str, str]:
    """Returns the AE title and the address of a sender."""
    requestor = event.assoc.requestor
    title = cast(A_ASSOCIATE, requestor.primitive).calling_ae_title
    return title.strip(), str(requestor.address)


def _tls_failed(intake: Intake, address: str) -> None:
    intake.reject(address, "its certificate, or its TLS, is not accepted", address)


def _store(
    event: evt.Event, intake: Intake, monitor: ReceiptMonitor, transfers: "_Transfers"
) -> int:
    """Answers a C-STORE request (PS3.4 B.2.3)."""
    if monitor.end_instance(event.assoc):
        return OUT_OF_RESOURCES
    sender = event.assoc.requestor.ae_title.strip()
    received = ReceivedFile(
        path=Path(event.dataset_path),
        sender=sender,
        transfer=transfers.name(event.assoc),
        sop_instance_uid=str(cast(C_STORE, event.request).AffectedSOPInstanceUID),
    )
    try:
        intake.take(received)
    except TotalMapError as error:
        log.warning("instance_refused", sender=sender, reason=str(error))
        if isinstance(error, InputError):
            intake.refuse(sender, type(error).__name__, str(event.assoc.requestor.address))
        return _status(error)
    return SUCCESS


def _remove_partial_files(_event: evt.Event, storage: Storage, untouched_seconds: float) -> None:
    """Removes files that senders left incomplete, after their associations must have timed out."""
    storage.remove_partial_files(untouched_seconds)


def _status(error: TotalMapError) -> int:
    if isinstance(error, ResourceError):
        return OUT_OF_RESOURCES
    return DOES_NOT_MATCH if isinstance(error, MismatchedInstance) else CANNOT_UNDERSTAND


class _Transfers:
    """Names each association in which instances come, and stores its end."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._names: WeakKeyDictionary[Association, str] = WeakKeyDictionary()

    def name(self, association: Association) -> str:
        """Returns the name of the transfer, which is new for the first instance."""
        return self._names.setdefault(association, uuid4().hex)

    def release(self, event: evt.Event) -> None:
        """Ends a transfer whose sender has requested the release of its association."""
        if isinstance(cast(Any, event).primitive, A_RELEASE):
            self._end(event.assoc, is_whole=True)

    def cut_off(self, event: evt.Event) -> None:
        """Ends a transfer whose connection was closed without a release."""
        self._end(event.assoc, is_whole=False)

    def _end(self, association: Association, *, is_whole: bool) -> None:
        name = self._names.pop(association, None)
        if name is None:
            return
        try:
            address = str(association.requestor.address)
            self._intake.end(name, is_whole=is_whole, address=address)
        except ResourceError as error:  # its studies then wait a little longer
            log.warning("transfer_end_not_recorded", reason=str(error))
