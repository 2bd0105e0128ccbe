"""Keeps what users have searched for in memory, so that no address of a page names a patient.

Addresses stand in the history of browsers and in the logs of reverse proxies.
"""

from collections import OrderedDict
from secrets import token_urlsafe
from threading import Lock

from gateway.store.study_index import StudyQuery

KEPT = 1000
_TOKEN_BYTES = 12


class SavedSearches:
    """The last searches of all users; safe to use from many threads."""

    def __init__(self, kept: int = KEPT) -> None:
        """Keeps nothing yet.

        Args:
            kept: The largest number of searches; then the oldest is forgotten.
        """
        self._most = kept
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, str], StudyQuery] = OrderedDict()

    def save(self, user: str, query: StudyQuery) -> str:
        """Keeps a search of a user, and returns the name under which it is found again."""
        name = token_urlsafe(_TOKEN_BYTES)
        with self._lock:
            self._kept[user, name] = query
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return name

    def find(self, user: str, name: str) -> StudyQuery | None:
        """Returns a search of the same user; None: it is kept no longer."""
        with self._lock:
            return self._kept.get((user, name))
