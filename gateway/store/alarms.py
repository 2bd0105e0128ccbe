"""Stores alarms: faults of which operators are told, from their begin to their end.

No alarm holds patient data: its subject is a job ID, or the name of a destination, worker, process
or file of a setting. Jobs and deliveries raise alarms by their events, so that none is missed; all
other alarms last as long as their fault is found.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update

from gateway.config import AlarmKind
from gateway.store.database import Database
from gateway.store.deliveries import DeliveryState
from gateway.store.events import EventKind, ObjectKind
from gateway.store.job import JobState
from gateway.store.schema import ALARMS, AUDITED, DELIVERIES, EVENTS, JOBS

EVENTS_AT_ONCE = 1000
# The name of the progress through the events, beside the places of the audit trail.
_PROGRESS = "alarms"
_KIND_OF_EVENT: Mapping[tuple[str, str], AlarmKind] = MappingProxyType(
    {
        (EventKind.DEAD, ObjectKind.JOB): AlarmKind.JOB_DEAD,
        (EventKind.HELD, ObjectKind.JOB): AlarmKind.RESULTS_HELD,
        (EventKind.DEAD, ObjectKind.DELIVERY): AlarmKind.DELIVERY_DEAD,
    }
)
# The states in which a job has an alarm.
_JOB_STATES: Mapping[AlarmKind, JobState] = MappingProxyType(
    {AlarmKind.JOB_DEAD: JobState.DEAD, AlarmKind.RESULTS_HELD: JobState.HELD}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A fault of which operators are told.

    Attributes:
        subject: What has the fault; of a delivery, the job ID, a space and the destination.
        detail: A measurement or a name, as it was at the begin; None: there is none.
        begun_at: Seconds since 1970, UTC, as all times.
        ended_at: None: it goes on.
    """

    alarm_id: int
    kind: AlarmKind
    subject: str
    detail: str | None
    begun_at: float
    ended_at: float | None


class AlarmList:
    """The alarms on record; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        advance = database.insert_or(AUDITED)
        self._advance = advance.on_conflict_do_update(
            index_elements=[AUDITED.c.place], set_={"event_id": advance.excluded.event_id}
        )

    def follow_events(self) -> None:
        """Raises the alarms of the events that came since the last call, and ends settled ones."""
        with self._database.transaction() as connection:
            last = connection.execute(_LAST_FOLLOWED).scalar() or 0
            newest = connection.execute(select(func.max(EVENTS.c.event_id))).scalar() or 0
            if newest > last:
                self._follow(connection, last)
            _end_settled_jobs(connection)
            _end_settled_deliveries(connection)

    def update(
        self, kind: AlarmKind, found: Mapping[str, str | None], subjects_begin_with: str = ""
    ) -> None:
        """Raises an alarm for each fault that is new, and ends those of faults that are over.

        Args:
            kind: The kind of the faults.
            found: All faults of the kind that exist now: their subjects, with details.
            subjects_begin_with: Alarms whose subjects begin otherwise belong to another machine.
        """
        with self._database.transaction() as connection:
            known = {
                subject: alarm_id
                for subject, alarm_id in _open(connection, kind)
                if subject.startswith(subjects_begin_with)
            }
            for subject, detail in found.items():
                if subject not in known:
                    _raise(connection, kind, subject, detail, time.time())
            _end(connection, [known[subject] for subject in known if subject not in found])

    def open_alarms(self) -> Sequence[Alarm]:
        """Returns the alarms that go on, the oldest first."""
        statement = (
            select(*ALARM_COLUMNS).where(ALARMS.c.ended_at.is_(None)).order_by(ALARMS.c.alarm_id)
        )
        with self._database.transaction() as connection:
            return [alarm_of(row) for row in connection.execute(statement)]

    def count_open(self) -> Mapping[AlarmKind, int]:
        """Returns how many alarms of each kind go on."""
        statement = (
            select(ALARMS.c.kind, func.count())
            .where(ALARMS.c.ended_at.is_(None))
            .group_by(ALARMS.c.kind)
        )
        with self._database.transaction() as connection:
            counts = [(AlarmKind(kind), n) for kind, n in connection.execute(statement)]
        return dict.fromkeys(AlarmKind, 0) | dict(counts)

    def _follow(self, connection: Connection, last: int) -> None:
        if self._database.is_postgres:
            # Ids are given before the commit: wait until all that have one have committed.
            connection.execute(text("LOCK TABLE events IN SHARE MODE"))
        rows = connection.execute(_EVENTS.where(EVENTS.c.event_id > last)).all()
        for row in rows:
            kind = _KIND_OF_EVENT.get((row.kind, row.object_kind))
            if kind is None or row.job_id is None:
                continue
            subject = row.job_id if row.object_name is None else f"{row.job_id} {row.object_name}"
            if subject not in {known for known, _ in _open(connection, kind)}:
                _raise(connection, kind, subject, None, row.at)
        connection.execute(self._advance, {"place": _PROGRESS, "event_id": rows[-1].event_id})


ALARM_COLUMNS = (
    ALARMS.c.alarm_id,
    ALARMS.c.kind,
    ALARMS.c.subject,
    ALARMS.c.detail,
    ALARMS.c.begun_at,
    ALARMS.c.ended_at,
)
_LAST_FOLLOWED = select(AUDITED.c.event_id).where(AUDITED.c.place == _PROGRESS)
_EVENTS = (
    select(
        EVENTS.c.event_id,
        EVENTS.c.kind,
        EVENTS.c.object_kind,
        EVENTS.c.object_name,
        EVENTS.c.job_id,
        EVENTS.c.at,
    )
    .order_by(EVENTS.c.event_id)
    .limit(EVENTS_AT_ONCE)
)


def alarm_of(row: Any) -> Alarm:
    """Returns the alarm of a row with `ALARM_COLUMNS`."""
    return Alarm(
        alarm_id=row.alarm_id,
        kind=AlarmKind(row.kind),
        subject=row.subject,
        detail=row.detail,
        begun_at=row.begun_at,
        ended_at=row.ended_at,
    )


def _open(connection: Connection, kind: AlarmKind) -> Sequence[tuple[str, int]]:
    """Returns the subjects and ids of the alarms of a kind that go on."""
    statement = select(ALARMS.c.subject, ALARMS.c.alarm_id).where(
        ALARMS.c.ended_at.is_(None), ALARMS.c.kind == kind
    )
    return [(subject, alarm_id) for subject, alarm_id in connection.execute(statement)]


def _raise(
    connection: Connection, kind: AlarmKind, subject: str, detail: str | None, at: float
) -> None:
    connection.execute(
        insert(ALARMS).values(
            kind=kind,
            subject=subject,
            detail=detail,
            begun_at=at,
            is_begin_noticed=False,
            is_end_noticed=False,
        )
    )


def _end(connection: Connection, alarm_ids: Collection[int]) -> None:
    for alarm_id in alarm_ids:
        is_one = ALARMS.c.alarm_id == alarm_id
        connection.execute(update(ALARMS).where(is_one).values(ended_at=time.time()))


def _end_settled_jobs(connection: Connection) -> None:
    """Ends the alarms of jobs that were retried, cancelled, replaced or deleted."""
    for kind, state in _JOB_STATES.items():
        is_settled = ~(
            select(JOBS.c.job_id)
            .where(JOBS.c.job_id == ALARMS.c.subject, JOBS.c.state == state)
            .exists()
        )
        statement = select(ALARMS.c.alarm_id).where(
            ALARMS.c.ended_at.is_(None), ALARMS.c.kind == kind, is_settled
        )
        _end(connection, connection.execute(statement).scalars().all())


def _end_settled_deliveries(connection: Connection) -> None:
    """Ends the alarms of deliveries that were retried, done or deleted."""
    known = _open(connection, AlarmKind.DELIVERY_DEAD)
    if not known:
        return
    dead = select(DELIVERIES.c.job_id, DELIVERIES.c.destination).where(
        DELIVERIES.c.state == DeliveryState.DEAD
    )
    still = {f"{job_id} {destination}" for job_id, destination in connection.execute(dead)}
    _end(connection, [alarm_id for subject, alarm_id in known if subject not in still])
