"""Stores the accounts of the page's users, and records who has changed them."""

import re
import secrets
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    delete,
    exists,
    false,
    insert,
    select,
    text,
    update,
)

from gateway.config import Role
from gateway.store.database import Database
from gateway.store.events import EventKind, ObjectKind, record
from gateway.store.schema import ACCOUNTS, SESSIONS
from totalmap.errors import ConfigError
from totalmap.texts.catalogue import Message

NAME_CHARACTERS = 64
_NAME = re.compile(rf"\w(?:[\w .@'-]{{0,{NAME_CHARACTERS - 2}}}[\w.])?")
_STAMP_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account of a user.

    Attributes:
        key: The name without regard to case: two accounts never share it.
        name: As users, the history and the audit trail show it.
        role: What the user may do.
        password_hash: None: a provider of OpenID Connect logs the user in.
        subject: The issuer and the subject of that provider; None: the account is local.
        stamp: Changes whenever all sessions of the account end.
        created_at: Seconds since 1970, UTC.
        logged_in_at: Of the last login; None: there was none.
    """

    key: str
    name: str
    role: Role
    password_hash: str | None = field(repr=False)
    subject: str | None
    stamp: str = field(repr=False)
    created_at: float
    logged_in_at: float | None

    @property
    def is_local(self) -> bool:
        """Whether the user logs in here, by a password."""
        return self.subject is None


class NameTaken(Exception):
    """A provider names a user as another account is named."""


def account_key(name: str) -> str:
    """Returns a name without regard to case."""
    return unicodedata.normalize("NFKC", name).casefold()


class AccountList:
    """The accounts; each method raises ResourceError if the database fails.

    Where a method takes `who`, this is the user who acts, for the history and the audit trail; and
    where it takes `address`, that is from where, if it is known.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def accounts(self) -> Sequence[Account]:
        """Returns all accounts by their names."""
        statement = select(ACCOUNTS).order_by(ACCOUNTS.c.account_key)
        with self._database.transaction() as connection:
            return [_account(row) for row in connection.execute(statement)]

    def find(self, name: str) -> Account | None:
        """Returns an account by its name in any case."""
        with self._database.transaction() as connection:
            return _found(connection, ACCOUNTS.c.account_key == account_key(name))

    def require(self, name: str) -> Account:
        """Returns an account that is there.

        Raises:
            ConfigError: There is no such account.
        """
        with self._database.transaction() as connection:
            return _required(connection, name)

    def has_administrator(self) -> bool:
        """Returns whether a local account is an administrator's."""
        with self._database.transaction() as connection:
            return bool(connection.execute(select(exists().where(*_IS_ADMINISTRATOR))).scalar())

    def add(
        self, name: str, role: Role, password_hash: str, who: str, address: str | None = None
    ) -> None:
        """Adds a local account.

        Raises:
            ConfigError: The name can't be one, or is taken.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(Message("account_error.name", characters=NAME_CHARACTERS))
        row = _new_row(name, role, password_hash=password_hash)
        added = self._database.insert_or(ACCOUNTS).on_conflict_do_nothing()
        with self._database.transaction() as connection:
            if not connection.execute(added, row).rowcount:
                raise ConfigError(Message("account_error.taken", name=name))
            _record(connection, EventKind.ACCOUNT_ADDED, name, who, address, f"as {role}")

    def remove(self, name: str, who: str, address: str | None = None) -> None:
        """Removes an account, and ends its sessions.

        Raises:
            ConfigError: There is no such account, or it is the last administrator's.
        """
        with self._locked() as connection:
            account = _required(connection, name)
            _require_another_administrator(connection, account)
            connection.execute(delete(ACCOUNTS).where(ACCOUNTS.c.account_key == account.key))
            _end_sessions(connection, account.key)
            _record(connection, EventKind.ACCOUNT_REMOVED, account.name, who, address)

    def set_role(self, name: str, role: Role, who: str, address: str | None = None) -> None:
        """Gives an account another role, and ends its sessions.

        Raises:
            ConfigError: There is no such account, a provider gives its role, or it is the last
                administrator's.
        """
        with self._locked() as connection:
            account = _required(connection, name)
            _require_local(account, "role")
            if account.role is role:
                return
            _require_another_administrator(connection, account)
            _change(connection, account.key, role=role)
            _end_sessions(connection, account.key)
            detail = f"from {account.role} to {role}"
            _record(connection, EventKind.ROLE_CHANGED, account.name, who, address, detail)

    def set_password(
        self, name: str, password_hash: str, who: str, address: str | None = None
    ) -> None:
        """Gives an account another password, and ends its sessions.

        Raises:
            ConfigError: There is no such account, or a provider keeps its password.
        """
        with self._locked() as connection:
            account = _required(connection, name)
            _require_local(account, "password")
            _change(connection, account.key, password_hash=password_hash)
            _end_sessions(connection, account.key)
            _record(connection, EventKind.PASSWORD_CHANGED, account.name, who, address)

    def end_sessions(self, name: str, who: str, address: str | None = None) -> None:
        """Logs the user of an account out everywhere.

        Raises:
            ConfigError: There is no such account.
        """
        with self._locked() as connection:
            account = _required(connection, name)
            _change(connection, account.key)
            _end_sessions(connection, account.key)
            _record(connection, EventKind.SESSIONS_ENDED, account.name, who, address)

    def strengthen(self, account: Account, password_hash: str) -> None:
        """Replaces the hash of a password by another one of the same password."""
        same = (ACCOUNTS.c.account_key == account.key, ACCOUNTS.c.stamp == account.stamp)
        with self._database.transaction() as connection:
            connection.execute(update(ACCOUNTS).where(*same).values(password_hash=password_hash))

    def log_in_provided(self, subject: str, name: str, role: Role) -> Account:
        """Returns the account of a user whom a provider has logged in; makes it at the first login.

        The name stays the one of the first login. If the role has changed, the earlier sessions
        end.

        Args:
            subject: The issuer and the subject, which name the user for ever.
            name: As the provider says.
            role: By the claims of the provider.

        Raises:
            NameTaken: Another account has the name.
        """
        with self._locked() as connection:
            account = _found(connection, ACCOUNTS.c.subject == subject)
            if account is None:
                if _found(connection, ACCOUNTS.c.account_key == account_key(name)) is not None:
                    raise NameTaken
                connection.execute(insert(ACCOUNTS), _new_row(name, role, subject=subject))
                _record(connection, EventKind.ACCOUNT_ADDED, name, name, None, f"as {role}")
            elif account.role is not role:
                _change(connection, account.key, role=role)
                _end_sessions(connection, account.key)
                detail = f"from {account.role} to {role}"
                _record(
                    connection, EventKind.ROLE_CHANGED, account.name, account.name, None, detail
                )
            found = _found(connection, ACCOUNTS.c.subject == subject)
        assert found is not None  # noqa: S101  it was just written
        return found

    @contextmanager
    def _locked(self) -> Iterator[Connection]:
        """Yields a connection while no other process changes accounts."""
        with self._database.transaction() as connection:
            if self._database.is_postgres:
                connection.execute(text("LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE"))
            else:  # a statement that may write begins the transaction in which it is alone
                connection.execute(update(ACCOUNTS).where(false()).values(stamp=""))
            yield connection


_IS_ADMINISTRATOR: tuple[ColumnElement[bool], ...] = (
    ACCOUNTS.c.role == Role.ADMINISTRATOR,
    ACCOUNTS.c.subject.is_(None),
)


def _new_row(
    name: str, role: Role, *, password_hash: str | None = None, subject: str | None = None
) -> Mapping[str, Any]:
    return {
        "account_key": account_key(name),
        "name": name,
        "role": role,
        "password_hash": password_hash,
        "subject": subject,
        "stamp": secrets.token_hex(_STAMP_BYTES),
        "created_at": time.time(),
        "logged_in_at": None,
    }


def _account(row: Row[Any]) -> Account:
    values = {**row._mapping, "key": row.account_key, "role": Role(row.role)}
    del values["account_key"]
    return Account(**values)


def _found(connection: Connection, condition: ColumnElement[bool]) -> Account | None:
    row = connection.execute(select(ACCOUNTS).where(condition)).first()
    return None if row is None else _account(row)


def _required(connection: Connection, name: str) -> Account:
    account = _found(connection, ACCOUNTS.c.account_key == account_key(name))
    if account is None:
        raise ConfigError(Message("account_error.unknown", name=name))
    return account


def _require_local(account: Account, what: str) -> None:
    if not account.is_local:
        given = Message(f"account_error.provided_{what}")
        raise ConfigError(Message("account_error.provided", name=account.name, what=given))


def _require_another_administrator(connection: Connection, account: Account) -> None:
    if account.role is not Role.ADMINISTRATOR or not account.is_local:
        return
    others = select(exists().where(*_IS_ADMINISTRATOR, ACCOUNTS.c.account_key != account.key))
    if not connection.execute(others).scalar():
        raise ConfigError(Message("account_error.last_administrator", name=account.name))


def _change(connection: Connection, key: str, **values: Any) -> None:
    """Changes an account, and its stamp, so that a session which is being opened ends, too."""
    connection.execute(
        update(ACCOUNTS)
        .where(ACCOUNTS.c.account_key == key)
        .values(stamp=secrets.token_hex(_STAMP_BYTES), **values)
    )


def _end_sessions(connection: Connection, key: str) -> None:
    connection.execute(delete(SESSIONS).where(SESSIONS.c.account_key == key))


def _record(
    connection: Connection,
    kind: EventKind,
    name: str,
    who: str,
    address: str | None,
    detail: str | None = None,
) -> None:
    record(
        connection,
        kind,
        "",
        object_kind=ObjectKind.ACCOUNT,
        object_name=name,
        who=who,
        address=address,
        detail=detail,
    )
