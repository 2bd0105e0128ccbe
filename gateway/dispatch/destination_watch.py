"""Tests every minute whether each destination answers, and stores the outcome.

Each destination is tested in a thread of its own, so that one that does not answer delays neither
the others nor the dispatcher.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from gateway.config import DestinationSection, GatewaySettings
from gateway.deliver.destination_probe import probe
from gateway.store.database import Database
from gateway.store.destination_states import DestinationStates
from gateway.store.ledger_damage import DamagedLedger
from totalmap.errors import ResourceError, internal_error
from totalmap.log import get_logger

# The longest time that a test waits for a connection, and for each response.
ANSWER_SECONDS = 10.0

log = get_logger()


@contextmanager
def watching_destinations(settings: GatewaySettings, database: Database) -> Iterator[None]:
    """Tests the destinations while the block runs; the first time at once.

    Raises:
        ResourceError: The database fails.
    """
    states, stop = DestinationStates(database), Event()
    states.forget_all_but(tuple(destination.name for destination in settings.destinations))
    for destination in settings.destinations:
        # A test that waits for an answer must not delay the end of the process.
        Thread(
            target=_watch,
            args=[destination, states, settings.deliver.test_seconds, stop],
            name=f"test of {destination.name}",
            daemon=True,
        ).start()
    try:
        yield
    finally:
        stop.set()


def _watch(
    destination: DestinationSection, states: DestinationStates, seconds: float, stop: Event
) -> None:
    was_away: bool | None = None
    while not stop.is_set():
        fault = _fault(destination)
        if stop.is_set():
            return
        is_away = fault is not None
        if is_away and not was_away:
            log.warning("destination_away", destination=destination.name, reason=fault)
        elif was_away and not is_away:
            log.info("destination_answers", destination=destination.name)
        was_away = is_away
        _save(states, destination.name, fault)
        stop.wait(seconds)


def _fault(destination: DestinationSection) -> str | None:
    """Returns why a destination does not answer as it should; None: it answers."""
    try:
        probe(destination, ANSWER_SECONDS)
    except ResourceError as error:
        return str(error)
    except Exception as error:  # the next test may succeed
        log.error("destination_not_tested", message=str(internal_error(error)))
        return f"the test of the destination has failed ({type(error).__name__})"
    return None


def _save(states: DestinationStates, destination: str, fault: str | None) -> None:
    try:
        states.save(destination, fault, time.time())
    except DamagedLedger:
        pass  # it is logged already
    except ResourceError as error:
        log.warning("destination_state_not_stored", reason=str(error))
