"""Stores the sessions of users who are logged in, by the SHA-256 of their tokens."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Row, delete, func, insert, or_, select, update

from gateway.config import Role
from gateway.store.accounts import Account
from gateway.store.database import Database
from gateway.store.schema import ACCOUNTS, SESSIONS

TOKEN_BYTES = 32
# A session that was last seen so far in the future was seen before the clock was set back.
CLOCK_SECONDS = 60.0
# How exactly the moment is stored in which a user has acted: a part of the idle time.
_EXACTNESS = 0.05
_LONGEST_EXACTNESS_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The session of a user; a client with the token acts as that user.

    Attributes:
        token: The secret of the browser.
        user: The name of the account, or the user whom a reverse proxy has named.
        role: What the user may do.
        is_by_proxy: Whether a reverse proxy has named the user, who has no account.
        is_provided: Whether a provider of OpenID Connect has logged the user in.
    """

    token: str
    user: str
    role: Role
    is_by_proxy: bool = False
    is_provided: bool = False


def new_token() -> str:
    """Returns a random token."""
    return secrets.token_urlsafe(TOKEN_BYTES)


class SessionList:
    """The open sessions; each method raises ResourceError if the database fails."""

    def __init__(
        self,
        database: Database,
        idle_seconds: float,
        longest_seconds: float,
        now_seconds: Callable[[], float] = time.time,
    ) -> None:
        """Opens nothing yet.

        Args:
            database: With the rows.
            idle_seconds: A session ends when its user does nothing for longer.
            longest_seconds: A session ends so long after it was opened.
            now_seconds: The clock: seconds since 1970, UTC.
        """
        self._database = database
        self._idle_seconds = idle_seconds
        self._longest_seconds = longest_seconds
        self._now_seconds = now_seconds
        self._exactness_seconds = min(_EXACTNESS * idle_seconds, _LONGEST_EXACTNESS_SECONDS)

    def open(self, account: Account, address: str) -> Session:
        """Opens a session for an account as it was when its user was let in."""
        session = Session(
            token=new_token(),
            user=account.name,
            role=account.role,
            is_provided=not account.is_local,
        )
        with self._database.transaction() as connection:
            own = ACCOUNTS.c.account_key == account.key
            now = self._now_seconds()
            connection.execute(update(ACCOUNTS).where(own).values(logged_in_at=now))
        self._open(session, address, account)
        return session

    def open_by_proxy(self, user: str, role: Role, address: str) -> Session:
        """Opens a session for a user whom a reverse proxy has named."""
        session = Session(token=new_token(), user=user, role=role, is_by_proxy=True)
        self._open(session, address, None)
        return session

    def find(self, token: str, *, is_acting: bool) -> Session | None:
        """Returns a session that has not ended.

        Args:
            token: Of the session.
            is_acting: Whether the user does something. A page that refreshes itself does not extend
                a session.
        """
        of_token = SESSIONS.c.token_sha256 == _sha256(token)
        statement = select(SESSIONS, *_OF_ACCOUNT).outerjoin(
            ACCOUNTS, ACCOUNTS.c.account_key == SESSIONS.c.account_key
        )
        now = self._now_seconds()
        with self._database.transaction() as connection:
            row = connection.execute(statement.where(of_token)).first()
            if row is None or self._has_ended(row, now):
                return None
            if is_acting and abs(now - row.seen_at) >= self._exactness_seconds:
                connection.execute(update(SESSIONS).where(of_token).values(seen_at=now))
        is_by_proxy = row.account_key is None
        return Session(
            token=token,
            user=row.user_name,
            role=Role(row.role if is_by_proxy else row.account_role),
            is_by_proxy=is_by_proxy,
            is_provided=row.account_subject is not None,
        )

    def close(self, token: str) -> None:
        """Ends a session."""
        with self._database.transaction() as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.token_sha256 == _sha256(token)))

    def counts(self) -> dict[str, int]:
        """Returns the number of open sessions of each account that has one, by its key."""
        now = self._now_seconds()
        statement = (
            select(SESSIONS.c.account_key, func.count())
            .where(
                SESSIONS.c.account_key.is_not(None),
                SESSIONS.c.seen_at >= now - self._idle_seconds,
                SESSIONS.c.opened_at >= now - self._longest_seconds,
            )
            .group_by(SESSIONS.c.account_key)
        )
        with self._database.transaction() as connection:
            return {row[0]: row[1] for row in connection.execute(statement)}

    def _open(self, session: Session, address: str, account: Account | None) -> None:
        """Stores a session, and removes those that have ended."""
        now = self._now_seconds()
        row = {
            "token_sha256": _sha256(session.token),
            "account_key": account.key if account else None,
            "stamp": account.stamp if account else None,
            "user_name": session.user,
            "role": session.role,
            "address": address,
            "opened_at": now,
            "seen_at": now,
        }
        ended = or_(
            SESSIONS.c.seen_at < now - self._idle_seconds,
            SESSIONS.c.opened_at < now - self._longest_seconds,
        )
        with self._database.transaction() as connection:
            connection.execute(delete(SESSIONS).where(ended))
            connection.execute(insert(SESSIONS), row)

    def _has_ended(self, row: Row[tuple[object, ...]], now: float) -> bool:
        """Returns whether a session has ended by time, or all sessions of its account have."""
        idle_seconds = now - row.seen_at
        if idle_seconds > self._idle_seconds or now - row.opened_at > self._longest_seconds:
            return True
        if idle_seconds < -CLOCK_SECONDS:
            return True
        return row.account_key is not None and row.account_stamp != row.stamp


def close_all_sessions(database: Database) -> None:
    """Ends the sessions of all users.

    Raises:
        ResourceError: The database fails.
    """
    with database.transaction() as connection:
        connection.execute(delete(SESSIONS))


_OF_ACCOUNT = (
    ACCOUNTS.c.stamp.label("account_stamp"),
    ACCOUNTS.c.role.label("account_role"),
    ACCOUNTS.c.subject.label("account_subject"),
)


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
