"""The receiving side as a whole: ledger, storage, intake, and who listens."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from gateway.commitment_scp import commitment_handlers
from gateway.config import GatewaySettings
from gateway.database import open_database
from gateway.intake import Intake
from gateway.ledger import Ledger
from gateway.scp import running_receiver
from gateway.storage import Storage
from totalmap.log import get_logger

log = get_logger()


@contextmanager
def receiving(settings: GatewaySettings) -> Iterator[int]:
    """Receives while the block runs, and yields the DICOM port.

    What was being received when the last run ended, and so was never acknowledged, is removed
    first.

    Raises:
        ConfigError: The ledger is another version's.
        ResourceError: Another gateway has the storage folder, the ledger can't be opened, or
            nobody can listen at the port.
    """
    storage = Storage(settings.storage_folder)
    with storage.only_here(), open_database(settings) as database:
        ledger = Ledger(database)
        removed = storage.remove_unacknowledged(ledger)
        if removed:
            log.info("unacknowledged_removed", files=removed)
        with (
            closing(Intake(storage, ledger, settings.receive.keep_free_gb)) as intake,
            running_receiver(
                settings.receive, intake, storage, commitment_handlers(settings, storage, database)
            ) as port,
        ):
            log.info("receiving", address=settings.receive.address, port=port)
            yield port
