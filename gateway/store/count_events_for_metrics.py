"""Counts events since the start of a process: for the counters of /metrics, and to see changes."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from typing import Any

from sqlalchemy import func, select

from gateway.store.database import Database
from gateway.store.events import EventKind, ObjectKind
from gateway.store.schema import EVENTS

# The kind of an event and of its object, and, of a delivery, the destination.
Counted = tuple[EventKind, ObjectKind, str]

_KINDS = (
    EventKind.COMPLETE,
    EventKind.QUEUED,
    EventKind.RETRIED,
    EventKind.SEGMENTED,
    EventKind.HELD,
    EventKind.POSTPONED,
    EventKind.DEAD,
    EventKind.CANCELLED,
    EventKind.SUPERSEDED,
    EventKind.DELIVERED,
    EventKind.NOT_DELIVERED,
    EventKind.ACCEPTED,
    EventKind.RESULT_REJECTED,
    EventKind.RELEASED,
    EventKind.COMMENTED,
    EventKind.WITHDRAWN,
    EventKind.DELETED,
)
# Postgres gives ids before the commit, so that an event may appear behind later ones.
_LATE_IDS = 1000
_ROWS_AT_ONCE = 5000


class EventCounts:
    """Counts the events that come; safe to use from several threads.

    Each method raises ResourceError if the database fails.
    """

    def __init__(self, database: Database) -> None:
        """Counts no event that is there now."""
        self._database = database
        self._lock = Lock()
        self._counts: Counter[Counted] = Counter()
        self._last = self._newest()
        self._seen = {row.event_id for row in self._new_rows(self._last, frozenset())}

    def count(self) -> Mapping[Counted, int]:
        """Returns the numbers of the events that have come."""
        with self._lock:
            while rows := self._new_rows(self._last, self._seen):
                self._counts.update(_counted(row) for row in rows)
                self._seen |= {row.event_id for row in rows}
                self._last = max(self._last, rows[-1].event_id)
                self._seen = {seen for seen in self._seen if seen > self._last - _LATE_IDS}
            return Counter(self._counts)

    def _newest(self) -> int:
        with self._database.transaction() as connection:
            return connection.execute(select(func.max(EVENTS.c.event_id))).scalar() or 0

    def _new_rows(self, last: int, seen: Collection[int]) -> Sequence[Any]:
        """Returns rows after the last one, and late ones before it, that were not returned yet."""
        columns = (EVENTS.c.event_id, EVENTS.c.kind, EVENTS.c.object_kind, EVENTS.c.object_name)
        statement = (
            select(*columns)
            .where(EVENTS.c.event_id > last - _LATE_IDS, EVENTS.c.kind.in_(_KINDS))
            .order_by(EVENTS.c.event_id)
            .limit(_ROWS_AT_ONCE)
        )
        with self._database.transaction() as connection:
            rows = connection.execute(statement).all()
        return [row for row in rows if row.event_id not in seen]


def _counted(row: Any) -> Counted:
    kind, object_kind = EventKind(row.kind), ObjectKind(row.object_kind)
    is_delivery = object_kind is ObjectKind.DELIVERY
    return kind, object_kind, str(row.object_name or "") if is_delivery else ""
