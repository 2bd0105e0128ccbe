"""Who is logged in: kept in memory, so that a restart of the page logs everybody out."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A user who is logged in; whoever has the token is that user."""

    token: str
    user: str


class Sessions:
    """May be used by many threads at once."""

    def __init__(
        self, idle_seconds: float, now_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._idle_seconds = idle_seconds
        self._now_seconds = now_seconds
        self._lock = Lock()
        self._open: dict[str, tuple[Session, float]] = {}

    def open(self, user: str) -> Session:
        """Returns a new session, and forgets those that have ended."""
        session = Session(token=new_token(), user=user)
        now = self._now_seconds()
        with self._lock:
            self._open = {
                token: (one, seen_at)
                for token, (one, seen_at) in self._open.items()
                if now - seen_at <= self._idle_seconds
            }
            self._open[session.token] = (session, now)
        return session

    def find(self, token: str, *, is_acting: bool) -> Session | None:
        """Returns a session that has not ended.

        Args:
            token: Of the session.
            is_acting: Whether the user does something; a page that refreshes itself does not
                keep a session from ending.
        """
        now = self._now_seconds()
        with self._lock:
            session, seen_at = self._open.get(token, (None, 0.0))
            if session is None or now - seen_at > self._idle_seconds:
                return None
            if is_acting:
                self._open[token] = (session, now)
            return session

    def close(self, token: str) -> None:
        """Ends a session."""
        with self._lock:
            self._open.pop(token, None)


class FormTokens:
    """What shows that a form was made by this page, for the browser that sends it (CSRF)."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(TOKEN_BYTES)

    def of(self, token: str) -> str:
        """Returns what a form has to hold that a browser with this cookie is shown."""
        return hmac.new(self._key, token.encode(), hashlib.sha256).hexdigest()

    def fits(self, token: str, given: str) -> bool:
        """Returns whether a form was made for a browser with this cookie."""
        return hmac.compare_digest(self.of(token).encode(), given.encode())


def new_token() -> str:
    """Returns what nobody can guess."""
    return secrets.token_urlsafe(TOKEN_BYTES)
