"""Stores events about senders, users and processes: transfers, logins, views, refusals."""

import time

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    cast,
    exists,
    func,
    insert,
    literal,
    select,
)

from gateway.store.database import Database
from gateway.store.events import EventKind, ObjectKind, Outcome, record
from gateway.store.schema import EVENTS, INSTANCES

# Anybody can cause these events. The rest of a flood would add nothing, and would fill the disk.
SELDOM_SECONDS = 60.0
SELDOM_AT_MOST = 60
NAME_CHARACTERS = 64
LOCKED_OUT = "too many attempts"


def record_received(
    database: Database, transfer: str | None = None, address: str | None = None
) -> None:
    """Stores who sent what: one event for each study of a transfer that has ended, once.

    Args:
        database: With the instances.
        transfer: Names it; None: all transfers without an event, because the gateway was killed
            before they ended. Only at the start, before anything is received.
        address: From where the sender sent.

    Raises:
        ResourceError: The database fails.
    """
    is_on_record = exists().where(
        EVENTS.c.transfer == INSTANCES.c.transfer,
        EVENTS.c.study_instance_uid == INSTANCES.c.study_instance_uid,
    )
    received = (
        select(
            func.max(INSTANCES.c.received_at),
            INSTANCES.c.study_instance_uid,
            literal(EventKind.RECEIVED.value),
            func.min(INSTANCES.c.sender),
            cast(func.count(), String) + " instances",
            literal(address, String),
            INSTANCES.c.transfer,
            literal(ObjectKind.STUDY.value),
            literal(Outcome.SUCCESS.value),
        )
        .where(~is_on_record)
        .group_by(INSTANCES.c.transfer, INSTANCES.c.study_instance_uid)
    )
    chosen = _transfers_without_events() if transfer is None else [transfer]
    received = received.where(INSTANCES.c.transfer.in_(chosen))
    columns = [
        *("at", "study_instance_uid", "kind", "who", "detail", "address", "transfer"),
        *("object_kind", "outcome"),
    ]
    with database.transaction() as connection:
        connection.execute(insert(EVENTS).from_select(columns, received))


def _transfers_without_events() -> Select[str]:
    """Selects the transfers that have no event, with one step in the index for each transfer."""
    found = select(func.min(INSTANCES.c.transfer).label("transfer")).cte("found", recursive=True)
    following = (
        select(func.min(INSTANCES.c.transfer))
        .where(INSTANCES.c.transfer > found.c.transfer)
        .scalar_subquery()
    )
    found = found.union_all(select(following).where(found.c.transfer.is_not(None)))
    return select(found.c.transfer).where(
        found.c.transfer.is_not(None), ~exists().where(EVENTS.c.transfer == found.c.transfer)
    )


def record_rejected(database: Database, who: str, why: str, address: str | None = None) -> bool:
    """Stores that a sender was rejected, once a minute for the same name and reason.

    Args:
        database: With the events.
        who: An AE title, or an address where there is no title.
        why: In words, always the same for the same reason.
        address: From where.

    Returns:
        Whether it was stored: it was not within the last minute, and there are few such events.

    Raises:
        ResourceError: The database fails.
    """
    return _record_seldom(
        database,
        EventKind.REJECTED,
        who=who,
        detail=why,
        address=address,
        object_kind=ObjectKind.CONNECTION,
    )


def record_refused(database: Database, who: str, why: str, address: str | None = None) -> bool:
    """Stores that an accepted sender tried what is not allowed, such as sending too much.

    Args, Returns and Raises are those of `record_rejected`.
    """
    return _record_seldom(
        database,
        EventKind.REFUSED,
        who=who,
        detail=why,
        address=address,
        object_kind=ObjectKind.CONNECTION,
    )


def record_logged_in(database: Database, who: str, address: str) -> None:
    """Stores that a user has logged in.

    Raises:
        ResourceError: The database fails.
    """
    _record_of_user(database, EventKind.LOGGED_IN, ObjectKind.SESSION, who, address)


def record_logged_out(database: Database, who: str, address: str) -> None:
    """Stores that a user has logged out.

    Raises:
        ResourceError: The database fails.
    """
    _record_of_user(database, EventKind.LOGGED_OUT, ObjectKind.SESSION, who, address)


def record_login_failed(
    database: Database,
    who: str,
    address: str,
    *,
    why: str = "wrong name or password",
    is_locked_out: bool = False,
) -> None:
    """Stores that a login failed.

    Args:
        database: With the events.
        who: The name that was given.
        address: From where.
        why: In words, always the same for the same reason.
        is_locked_out: Whether further attempts are refused for a while; that is a security alert
            of its own.

    Raises:
        ResourceError: The database fails.
    """
    _record_seldom(
        database,
        EventKind.LOGIN_FAILED,
        who=who,
        detail=LOCKED_OUT if is_locked_out else why,
        address=address,
        object_kind=ObjectKind.SESSION,
        outcome=Outcome.SERIOUS_FAILURE if is_locked_out else Outcome.MINOR_FAILURE,
    )
    if is_locked_out:
        record_refused(database, address, f"{LOCKED_OUT} to log in", address)


def record_viewed(
    database: Database,
    study_instance_uid: str,
    who: str,
    address: str,
    *,
    job_id: str | None = None,
    result: str | None = None,
) -> None:
    """Stores that a user has looked at a study or a result; the same at most once a minute.

    Args:
        database: With the events.
        study_instance_uid: Of the study.
        who: The user.
        address: From where.
        job_id: Of the job whose result it was; None: it was the study.
        result: The path of the result; None: it was the study.

    Raises:
        ResourceError: The database fails.
    """
    same = (
        EVENTS.c.study_instance_uid == study_instance_uid,
        EVENTS.c.job_id.is_not_distinct_from(job_id),
        EVENTS.c.object_name.is_not_distinct_from(result),
        EVENTS.c.who == _printable(who),
    )
    with database.transaction() as connection:
        if not _lately(connection, EventKind.VIEWED, *same):
            record(
                connection,
                EventKind.VIEWED,
                study_instance_uid,
                object_kind=ObjectKind.STUDY if result is None else ObjectKind.RESULT,
                object_name=result,
                job_id=job_id,
                who=_printable(who),
                address=address,
            )


def record_searched(database: Database, who: str, address: str, conditions: str) -> None:
    """Stores that a user has searched for studies.

    Args:
        database: With the events.
        who: The user.
        address: From where.
        conditions: The attributes that were searched by, without what was entered.

    Raises:
        ResourceError: The database fails.
    """
    _record_of_user(
        database, EventKind.SEARCHED, ObjectKind.SEARCH, who, address, detail=conditions
    )


def record_started_up(database: Database, process: str) -> None:
    """Stores that a process of the gateway begins its work.

    Args:
        database: With the events.
        process: Its role, as in `python -m gateway ROLE`, or the name of a worker.

    Raises:
        ResourceError: The database fails.
    """
    _record_process(database, EventKind.STARTED_UP, process)


def record_shut_down(database: Database, process: str) -> None:
    """Stores that a process of the gateway ends as it was told to.

    Args and Raises are those of `record_started_up`.
    """
    _record_process(database, EventKind.SHUT_DOWN, process)


def _record_of_user(
    database: Database,
    kind: EventKind,
    object_kind: ObjectKind,
    who: str,
    address: str,
    *,
    detail: str | None = None,
) -> None:
    """Stores what a user did that is not about a study."""
    with database.transaction() as connection:
        record(
            connection,
            kind,
            "",
            object_kind=object_kind,
            who=_printable(who),
            detail=detail,
            address=address,
        )


def _record_process(database: Database, kind: EventKind, process: str) -> None:
    with database.transaction() as connection:
        record(
            connection,
            kind,
            "",
            object_kind=ObjectKind.PROCESS,
            object_name=process,
            who=process,
        )


def _record_seldom(
    database: Database,
    kind: EventKind,
    *,
    who: str,
    detail: str,
    address: str | None,
    object_kind: ObjectKind,
    outcome: Outcome | None = None,
) -> bool:
    name = _printable(who)
    with database.transaction() as connection:
        if _lately(connection, kind, EVENTS.c.who == name, EVENTS.c.detail == detail):
            return False
        if _lately(connection, kind) >= SELDOM_AT_MOST:
            return False
        record(
            connection,
            kind,
            "",
            object_kind=object_kind,
            who=name,
            detail=detail,
            address=address,
            outcome=outcome,
        )
    return True


def _lately(connection: Connection, kind: EventKind, *conditions: ColumnElement[bool]) -> int:
    since = time.time() - SELDOM_SECONDS
    statement = select(func.count()).where(EVENTS.c.at > since, EVENTS.c.kind == kind)
    return connection.execute(statement.where(*conditions)).scalar_one()


def _printable(who: str) -> str:
    """Returns a name from outside, cut, without characters that a database or log can't hold."""
    return "".join(
        character if character.isprintable() else "?" for character in who[:NAME_CHARACTERS]
    )
