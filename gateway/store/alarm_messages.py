"""Stores messages about alarms, which gather several alarms of one kind, until they are sent.

Each way of sending has messages of its own, so that a mail server that is away delays no webhook.
All changes are in the database before anything is sent: a kill of the gateway loses no alarm.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from gateway.config import AlarmKind
from gateway.store.alarms import ALARM_COLUMNS, Alarm, alarm_of
from gateway.store.database import Database
from gateway.store.schema import ALARM_MESSAGES, ALARM_NOTICES, ALARMS

# A later time to try again comes from a clock that was set back since.
_LONGEST_WAIT_SECONDS = 86_400.0


class MessageState(StrEnum):
    """The state of a message."""

    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmMessage:
    """A message about alarms of one kind.

    Attributes:
        uid: The same at each attempt, and of no other message.
        way: The name of the way by which it is sent.
        created_at: Seconds since 1970, UTC.
        attempts: The number of attempts that failed.
        begun: The alarms that have begun, the oldest first.
        ended: The alarms that have ended, the oldest first.
    """

    message_id: int
    uid: str
    way: str
    kind: AlarmKind
    created_at: float
    attempts: int
    begun: tuple[Alarm, ...]
    ended: tuple[Alarm, ...]


class AlarmMessages:
    """The messages on record; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def notice(self, ways: Mapping[str, Collection[AlarmKind]]) -> None:
        """Notes for each way which alarms have begun or ended since the last call.

        Args:
            ways: The names of the ways, with the kinds of alarms that each of them sends.
        """
        with self._database.transaction() as connection:
            for alarm_id, kind in connection.execute(_NEWLY_BEGUN).all():
                for way in (way for way, kinds in ways.items() if kind in kinds):
                    _insert_notice(connection, way, alarm_id, is_end=False)
                _note(connection, alarm_id, is_begin_noticed=True)
            for alarm_id in connection.execute(_NEWLY_ENDED).scalars().all():
                # A way that was added since the begin is not told of the end.
                told = select(ALARM_NOTICES.c.way).where(ALARM_NOTICES.c.alarm_id == alarm_id)
                for way in connection.execute(told).scalars().all():
                    _insert_notice(connection, way, alarm_id, is_end=True)
                _note(connection, alarm_id, is_end_noticed=True)

    def gather(self, way: str, window_seconds: float, now: float | None = None) -> None:
        """Makes a message of the notices of each kind that are due.

        The first begin of a kind is due at once, and so is the first end; those that follow are
        due when the last message is older than the window, and has been sent or given up.

        Args:
            way: The name of the way.
            window_seconds: How long notices are gathered after a message.
            now: Seconds since 1970, UTC; None: the time of the machine.
        """
        moment = time.time() if now is None else now
        with self._database.transaction() as connection:
            pending = connection.execute(_pending(way)).all()
            for kind, rows in groupby(pending, lambda row: row.kind):
                notices = list(rows)
                closed = _closed_windows(connection, way, kind, moment - window_seconds, moment)
                if any(closed[bool(notice.is_end)] for notice in notices):
                    _make_message(connection, way, kind, notices, moment)

    def next(self, way: str, now: float | None = None) -> AlarmMessage | None:
        """Returns the oldest message that is to be sent by a way now."""
        moment = time.time() if now is None else now
        not_before = ALARM_MESSAGES.c.not_before
        statement = (
            select(ALARM_MESSAGES)
            .where(
                ALARM_MESSAGES.c.way == way,
                ALARM_MESSAGES.c.state == MessageState.WAITING,
                or_(not_before <= moment, not_before > moment + _LONGEST_WAIT_SECONDS),
            )
            .order_by(ALARM_MESSAGES.c.message_id)
            .limit(1)
        )
        with self._database.transaction() as connection:
            row = connection.execute(statement).first()
            return None if row is None else _message_of(connection, row)

    def sent(self, message: AlarmMessage) -> None:
        """Stores that a message was taken."""
        self._set(message, state=MessageState.SENT, ended_at=time.time())

    def give_up(self, message: AlarmMessage) -> None:
        """Stores that a message is not tried again."""
        self._set(message, state=MessageState.GIVEN_UP, ended_at=time.time())

    def postpone(self, message: AlarmMessage, not_before: float) -> None:
        """Stores that a message was not taken.

        Args:
            message: The message.
            not_before: When it is tried again; seconds since 1970, UTC.
        """
        self._set(message, attempts=message.attempts + 1, not_before=not_before)

    def count(self, ways: Collection[str]) -> Mapping[tuple[str, MessageState], int]:
        """Returns how many messages of each way are in each state."""
        statement = select(ALARM_MESSAGES.c.way, ALARM_MESSAGES.c.state, func.count()).group_by(
            ALARM_MESSAGES.c.way, ALARM_MESSAGES.c.state
        )
        with self._database.transaction() as connection:
            found = {(way, state): n for way, state, n in connection.execute(statement)}
        return {(way, state): found.get((way, state), 0) for way in ways for state in MessageState}

    def forget(self, before: float) -> None:
        """Deletes alarms that ended before a moment, and messages about nothing else.

        Args:
            before: Seconds since 1970, UTC.
        """
        old = select(ALARMS.c.alarm_id).where(ALARMS.c.ended_at < before)
        with self._database.transaction() as connection:
            if connection.execute(old.limit(1)).first() is None:
                return
            connection.execute(delete(ALARM_NOTICES).where(ALARM_NOTICES.c.alarm_id.in_(old)))
            connection.execute(delete(ALARMS).where(ALARMS.c.ended_at < before))
            has_notices = (
                select(ALARM_NOTICES.c.alarm_id)
                .where(ALARM_NOTICES.c.message_id == ALARM_MESSAGES.c.message_id)
                .exists()
            )
            connection.execute(delete(ALARM_MESSAGES).where(~has_notices))

    def _set(self, message: AlarmMessage, **values: object) -> None:
        is_one = ALARM_MESSAGES.c.message_id == message.message_id
        with self._database.transaction() as connection:
            connection.execute(update(ALARM_MESSAGES).where(is_one).values(**values))


_NEWLY_BEGUN = (
    select(ALARMS.c.alarm_id, ALARMS.c.kind)
    .where(~ALARMS.c.is_begin_noticed)
    .order_by(ALARMS.c.alarm_id)
)
_NEWLY_ENDED = (
    select(ALARMS.c.alarm_id)
    .where(ALARMS.c.ended_at.is_not(None), ~ALARMS.c.is_end_noticed)
    .order_by(ALARMS.c.alarm_id)
)


def _insert_notice(connection: Connection, way: str, alarm_id: int, *, is_end: bool) -> None:
    values = {"way": way, "alarm_id": alarm_id, "is_end": is_end}
    connection.execute(insert(ALARM_NOTICES).values(values))


def _note(connection: Connection, alarm_id: int, **values: bool) -> None:
    connection.execute(update(ALARMS).where(ALARMS.c.alarm_id == alarm_id).values(**values))


def _pending(way: str) -> Any:
    """Selects the notices of a way that no message holds yet, kind by kind."""
    return (
        select(ALARM_NOTICES.c.alarm_id, ALARM_NOTICES.c.is_end, ALARMS.c.kind)
        .join(ALARMS, ALARMS.c.alarm_id == ALARM_NOTICES.c.alarm_id)
        .where(ALARM_NOTICES.c.way == way, ALARM_NOTICES.c.message_id.is_(None))
        .order_by(ALARMS.c.kind, ALARM_NOTICES.c.alarm_id, ALARM_NOTICES.c.is_end)
    )


def _closed_windows(
    connection: Connection, way: str, kind: str, since: float, now: float
) -> Mapping[bool, bool]:
    """Returns whether begins (False), and ends (True), of a kind may be sent now."""
    of_kind = (ALARM_MESSAGES.c.way == way, ALARM_MESSAGES.c.kind == kind)
    waiting = select(ALARM_MESSAGES.c.message_id).where(
        *of_kind, ALARM_MESSAGES.c.state == MessageState.WAITING
    )
    if connection.execute(waiting.limit(1)).first() is not None:
        return {False: False, True: False}
    # A message of the future comes from a clock that was set back since.
    recent = (
        select(ALARM_NOTICES.c.is_end)
        .distinct()
        .join(ALARM_MESSAGES, ALARM_MESSAGES.c.message_id == ALARM_NOTICES.c.message_id)
        .where(*of_kind, ALARM_MESSAGES.c.created_at > since, ALARM_MESSAGES.c.created_at <= now)
    )
    found = {bool(is_end) for is_end in connection.execute(recent).scalars()}
    return {is_end: is_end not in found for is_end in (False, True)}


def _make_message(
    connection: Connection, way: str, kind: str, notices: Sequence[Row[Any]], now: float
) -> None:
    values = {
        "uid": uuid4().hex,
        "way": way,
        "kind": kind,
        "state": MessageState.WAITING,
        "created_at": now,
        "attempts": 0,
        "not_before": 0.0,
    }
    made = connection.execute(
        insert(ALARM_MESSAGES).values(values).returning(ALARM_MESSAGES.c.message_id)
    )
    message_id = made.scalar_one()
    for notice in notices:
        is_one = (
            ALARM_NOTICES.c.way == way,
            ALARM_NOTICES.c.alarm_id == notice.alarm_id,
            ALARM_NOTICES.c.is_end == notice.is_end,
        )
        connection.execute(update(ALARM_NOTICES).where(*is_one).values(message_id=message_id))


def _message_of(connection: Connection, row: Row[Any]) -> AlarmMessage:
    statement = (
        select(ALARM_NOTICES.c.is_end, *ALARM_COLUMNS)
        .join(ALARMS, ALARMS.c.alarm_id == ALARM_NOTICES.c.alarm_id)
        .where(ALARM_NOTICES.c.message_id == row.message_id)
        .order_by(ALARMS.c.alarm_id)
    )
    notices = [(bool(found.is_end), alarm_of(found)) for found in connection.execute(statement)]
    return AlarmMessage(
        message_id=row.message_id,
        uid=row.uid,
        way=row.way,
        kind=AlarmKind(row.kind),
        created_at=row.created_at,
        attempts=row.attempts,
        begun=tuple(alarm for is_end, alarm in notices if not is_end),
        ended=tuple(alarm for is_end, alarm in notices if is_end),
    )
