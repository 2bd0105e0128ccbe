"""Checks the whole ledger when the gateway starts, and once a day, while everything else runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from gateway.config import GatewaySettings
from gateway.store.damage import DamagedLedger
from gateway.store.database import Database, open_database
from totalmap.errors import ResourceError
from totalmap.log import get_logger

CHECK_SECONDS = 86_400.0

log = get_logger()


@contextmanager
def checking_ledger(
    settings: GatewaySettings, stop: Event, seconds: float = CHECK_SECONDS
) -> Iterator[None]:
    """Checks while the block runs.

    Damage that is there at the start ends the gateway. Of damage that comes later all processes
    hear: nothing more is received, and /health says why.

    Args:
        settings: Of the gateway.
        stop: Is set where the first check finds damage; the block should end then.
        seconds: Between two checks.

    Raises:
        DamagedLedger: After the block, where the first check has found damage; before it, where
            an earlier run had found it and it is still there.
        ResourceError: The ledger can't be opened.
    """
    found: list[DamagedLedger] = []
    over = Event()
    with open_database(settings) as database:
        if database.is_marked_damaged:  # nothing would start; somebody may have mended it
            database.check()
        arguments = (database, seconds, found, stop, over)
        thread = Thread(target=_check_until, args=arguments, name="ledger check", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
    if found:
        raise found[0]


def _check_until(
    database: Database, seconds: float, found: list[DamagedLedger], stop: Event, over: Event
) -> None:
    is_first = True
    while True:
        try:
            database.check()
        except DamagedLedger as error:
            if is_first:
                found.append(error)
                stop.set()
                return
        except ResourceError as error:
            log.warning("ledger_not_checked", reason=str(error))
        is_first = False
        if over.wait(seconds):
            return
