"""Checks the integrity of the ledger at the start of the gateway and once a day.

A thread of its own does this, so that a slow database keeps the supervisor from nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from gateway.config import GatewaySettings
from gateway.store.database import Database, open_database
from gateway.store.ledger_damage import DamagedLedger
from totalmap.errors import ResourceError
from totalmap.log import get_logger

CHECK_SECONDS = 86_400.0

log = get_logger()


@contextmanager
def checking_ledger(
    settings: GatewaySettings, stop: Event, seconds: float = CHECK_SECONDS
) -> Iterator[None]:
    """Checks the integrity of the ledger at the start and once a day, while the block runs.

    Damage that is found at the start ends the gateway. Damage that is found later is announced to
    all processes: nothing more is received, and /health says why.

    Args:
        settings: Of the gateway.
        stop: Set if the first check finds damage; then the block should end.
        seconds: The time between two checks.

    Raises:
        DamagedLedger: After the block, if the first check has found damage; before it, if an
            earlier run had found damage that is still there.
        ResourceError: The ledger can't be opened.
    """
    found: list[DamagedLedger] = []
    over = Event()
    with open_database(settings) as database:
        if database.is_marked_damaged:  # no process would start; it may have been repaired since
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
