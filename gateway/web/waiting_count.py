"""Counts the results that wait for review, for every page, and again only after a change."""

from collections.abc import Mapping
from threading import Lock

from gateway.store.count_events_for_metrics import Counted, EventCounts
from gateway.store.events import EventKind
from gateway.store.review_list import ReviewList

# The events after which other results wait.
_CHANGES = (
    EventKind.QUEUED,
    EventKind.RETRIED,
    EventKind.SEGMENTED,
    EventKind.HELD,
    EventKind.DELETED,
    EventKind.ACCEPTED,
    EventKind.RESULT_REJECTED,
    EventKind.RELEASED,
    EventKind.WITHDRAWN,
)


class WaitingCount:
    """The number of results that wait; safe to use from several threads."""

    def __init__(self, review_list: ReviewList, event_counts: EventCounts) -> None:
        self._review_list = review_list
        self._event_counts = event_counts
        self._lock = Lock()
        self._changes: Mapping[Counted, int] | None = None
        self._waiting = 0

    def count(self) -> int:
        """Returns how many results wait.

        Raises:
            ResourceError: The database fails.
        """
        with self._lock:
            counts = self._event_counts.count()
            changes = {event: n for event, n in counts.items() if event[0] in _CHANGES}
            if changes != self._changes:
                self._waiting = self._review_list.count_waiting()
                self._changes = changes
            return self._waiting
