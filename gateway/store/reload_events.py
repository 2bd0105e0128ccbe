"""Stores that the settings of a running gateway were read again, and with which outcome."""

from sqlalchemy import select

from gateway.store.database import Database
from gateway.store.events import Event, EventKind, ObjectKind, event_of, record
from gateway.store.schema import EVENTS

_KINDS = (EventKind.RELOADED, EventKind.NOT_RELOADED)


def record_reload(database: Database, machine: str, detail: str, *, is_accepted: bool) -> None:
    """Stores the outcome of a reload.

    Args:
        database: With the events.
        machine: The name of the machine.
        detail: The sections that changed, or why the file was refused.
        is_accepted: Whether the new settings are used from now on.

    Raises:
        ResourceError: The database fails.
    """
    kind = EventKind.RELOADED if is_accepted else EventKind.NOT_RELOADED
    with database.transaction() as connection:
        record(
            connection,
            kind,
            "",
            object_kind=ObjectKind.SETTINGS,
            object_name=machine,
            detail=detail,
        )


def last_reload(database: Database, machine: str) -> tuple[int, Event] | None:
    """Returns the last reload of a machine, with the id of its event; None: there is none.

    Raises:
        ResourceError: The database fails.
    """
    statement = (
        select(EVENTS)
        .where(EVENTS.c.kind.in_(_KINDS), EVENTS.c.object_name == machine)
        .order_by(EVENTS.c.event_id.desc())
        .limit(1)
    )
    with database.transaction() as connection:
        row = connection.execute(statement).first()
    return None if row is None else (row.event_id, event_of(row))
