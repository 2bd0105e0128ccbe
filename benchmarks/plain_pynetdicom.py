"""Receives instances with pynetdicom's own server, to compare TotalMAP's with it.

    python -m benchmarks.plain_pynetdicom FOLDER PORT

It stores instances as TotalMAP's receiver does: in the ledger and on the disk before it
acknowledges them (gateway/receive/intake.py). TCP_NODELAY is set, and instances are written to
files undecoded. It has one process, and neither limits nor deadlines.
"""

import socket
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, cast
from uuid import uuid4
from weakref import WeakKeyDictionary

from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at its import

from gateway.config import GatewaySettings
from gateway.receive.dicom_receiver import NO_LIMIT, PDU_BYTES, SUCCESS
from gateway.receive.intake import Intake, ReceivedFile
from gateway.store.database import open_database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from tests.servers import LOOPBACK
from totalmap.dicom.transfer_syntaxes import PREFERRED


def main() -> None:
    """Serves until it is killed."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    settings = GatewaySettings(storage_folder=folder)
    storage = Storage(folder)
    _config.STORE_RECV_CHUNKED_DATASET, tempfile.tempdir = True, str(storage.incoming)
    _config.LOG_HANDLER_LEVEL = "none"
    entity = AE("TOTALMAP")
    entity.maximum_pdu_size = PDU_BYTES
    entity.maximum_associations = NO_LIMIT
    entity.add_supported_context(Verification)
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(cast(UID, context.abstract_syntax), list(PREFERRED))
    with open_database(settings) as database, closing(_intake(storage, Ledger(database))) as intake:
        transfers: WeakKeyDictionary[Association, str] = WeakKeyDictionary()
        entity.start_server(
            (LOOPBACK, port),
            evt_handlers=[
                (evt.EVT_CONN_OPEN, _send_at_once),
                (evt.EVT_C_STORE, _store, [intake, transfers]),
            ],
        )


def _intake(storage: Storage, ledger: Ledger) -> Intake:
    return Intake(storage, ledger, keep_free_gb=0.0)


def _send_at_once(event: evt.Event) -> None:
    connection = cast(Any, event.assoc.dul.socket).socket
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _store(event: evt.Event, intake: Intake, transfers: WeakKeyDictionary[Association, str]) -> int:
    received = ReceivedFile(
        path=Path(event.dataset_path),
        sender=event.assoc.requestor.ae_title.strip(),
        transfer=transfers.setdefault(event.assoc, uuid4().hex),
        sop_instance_uid=str(cast(C_STORE, event.request).AffectedSOPInstanceUID),
    )
    intake.take(received)
    return SUCCESS


if __name__ == "__main__":
    main()
