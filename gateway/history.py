"""What happened to each study, one line an event; nothing of a patient but the study's UID."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, insert, select

from gateway.database import Database
from gateway.schema import EVENTS


class What(StrEnum):
    """The kinds of events."""

    COMPLETE = "complete"
    NOT_WANTED = "not wanted"
    QUEUED = "queued"
    SUPERSEDED = "superseded"
    STARTED = "started"
    SEGMENTED = "segmented"
    POSTPONED = "postponed"
    DEAD = "dead"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    MADE_URGENT = "made urgent"
    DELIVERED = "delivered"
    NOT_DELIVERED = "not delivered"
    COMMITTED = "committed"
    NOT_COMMITTED = "not committed"
    DELETED = "deleted"
    LOGGED_IN = "logged in"
    LOGIN_FAILED = "login failed"
    VIEWED = "viewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened.

    Attributes:
        at: Seconds since 1970, UTC.
        who: The user, sender, worker or destination; None: the gateway itself.
        detail: The rest, in words.
    """

    at: float
    study_instance_uid: str
    job_id: str | None
    what: What
    who: str | None
    detail: str | None


def record(
    connection: Connection,
    what: What,
    study_instance_uid: str,
    *,
    job_id: str | None = None,
    who: str | None = None,
    detail: str | None = None,
) -> None:
    """Puts an event on record, together with whatever else the transaction does."""
    connection.execute(
        insert(EVENTS).values(
            at=time.time(),
            study_instance_uid=study_instance_uid,
            job_id=job_id,
            what=what,
            who=who,
            detail=detail,
        )
    )


def history(database: Database, study_instance_uid: str) -> Sequence[Event]:
    """Returns the events of a study, the oldest first.

    Raises:
        ResourceError: The database fails.
    """
    columns = [column for column in EVENTS.c if column is not EVENTS.c.event_id]
    statement = (
        select(*columns)
        .where(EVENTS.c.study_instance_uid == study_instance_uid)
        .order_by(EVENTS.c.event_id)
    )
    with database.transaction() as connection:
        rows = connection.execute(statement).all()
    return [Event(**{**row._mapping, "what": What(row.what)}) for row in rows]
