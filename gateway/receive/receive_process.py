"""Runs the receiving process: storage, ledger, intake and all receivers."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

from gateway.commitment.commitment_scp import commitment_handlers
from gateway.config import GatewaySettings
from gateway.deliver.deliverer import Deliverer
from gateway.heartbeat import Heartbeat
from gateway.receive.dicom_receiver import running_receiver
from gateway.receive.intake import Intake
from gateway.receive.listening_server import Leave
from gateway.receive.orthanc_polling import polling_orthanc
from gateway.receive.receiver_processes import running_receiver_processes
from gateway.receive.recover_unrecorded_files import recover
from gateway.receive.stow import running_stow
from gateway.receive.watched_folder import watching
from gateway.store.audit_events import record_received, record_shut_down, record_started_up
from gateway.store.database import Database, open_database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from totalmap.errors import ResourceError
from totalmap.log import get_logger

ROLE = "receive"

log = get_logger()


@contextmanager
def receiving(
    settings: GatewaySettings, heartbeat: Heartbeat | None = None, leave: Leave | None = None
) -> Iterator[int]:
    """Runs all receivers that are set while the block runs, and yields the DICOM port.

    Files that were being received when the last run ended, and so were never acknowledged, are
    removed first; files that are stored and not on record are put on record.

    Args:
        settings: Of the gateway.
        heartbeat: Of this process; None: no process watches this one.
        leave: Asks the receiver to take no more associations; None: nobody asks.

    Raises:
        ConfigError: The ledger is another version's, or a certificate or secret can't be read.
        ResourceError: Another gateway has the storage folder, the ledger can't be opened, or a
            port can't be listened on.
    """
    storage, ways = Storage(settings.storage_folder), settings.receive
    with storage.only_here(), open_database(settings) as database, ExitStack() as running:
        ledger = Ledger(database)
        recovered = recover(storage, ledger)
        if recovered.removed or recovered.recorded:
            log.info("recovered", removed=recovered.removed, recorded=recovered.recorded)
        record_received(database)  # transfers whose end a crash has left unrecorded
        record_started_up(database, ROLE)
        running.callback(_record_end, database)
        intake = running.enter_context(closing(Intake(storage, ledger, ways.keep_free_gb)))
        take_report = Deliverer.open(settings, storage, database).take_report
        commitment = commitment_handlers(settings, storage, database, take_report)
        others = running.enter_context(
            running_receiver_processes(
                settings, ways.processes - 1, settings.supervise.hang_seconds
            )
        )
        turned = running.enter_context((heartbeat or Heartbeat()).loop("receiver"))
        port = running.enter_context(
            running_receiver(ways, intake, storage, commitment, others, turned=turned, leave=leave)
        )
        log.info("receiving", address=ways.address, port=port)
        if ways.stow:
            stow = running_stow(ways.stow, ways.idle_seconds, intake, storage)
            log.info("receiving_stow", address=ways.stow.address, port=running.enter_context(stow))
        for folder in ways.folders:
            running.enter_context(watching(folder, intake, storage))
        for orthanc in ways.orthancs:
            running.enter_context(polling_orthanc(orthanc, intake, storage, ledger, database))
        yield port


def _record_end(database: Database) -> None:
    with suppress(ResourceError):  # the end must not wait for it
        record_shut_down(database, ROLE)
