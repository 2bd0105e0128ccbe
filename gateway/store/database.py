"""Opens the database, SQLite beside the files or Postgres by its URL, and copies it."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Table,
    create_engine,
    event,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError

from gateway.config import GatewaySettings
from gateway.store.ledger_damage import DamageMark, is_damage
from gateway.store.migrate_schema import (
    downgrade_layout,
    require_known_layout,
    require_layout,
    upgrade_layout,
)
from gateway.store.schema import METADATA, SCHEMA
from totalmap.errors import ConfigError, ResourceError

BATCH_ROWS = 1000
_TABLES = [table for table in METADATA.sorted_tables if table is not SCHEMA]
LEDGER_FILE = "ledger.sqlite"
BUSY_SECONDS = 30
__all__ = [
    "LEDGER_FILE",
    "Connection",
    "Database",
    "look_at_database",
    "open_database",
    "open_existing_database",
    "save_sqlite",
]

# Any number that no other program locks in the same Postgres.
_LOCK = 7_068_252_180

# A shorter part of a password tells nothing, and occurs in many words.
_SECRET_CHARACTERS = 3


def copy_rows(source: Connection, target: Connection) -> int:
    """Copies all rows, and returns how many.

    Args:
        source: In a transaction that sees one state of its database.
        target: In a transaction; its tables have the layout of this version and are empty.

    Raises:
        ConfigError: The target is not empty.
    """
    for table in _TABLES:
        if target.execute(select(table).limit(1)).first() is not None:
            raise ConfigError(
                f"the database to copy to has rows in its table {table.name} already: name an "
                "empty database"
            )
    n_rows = 0
    for table in _TABLES:
        keys = table.columns.keys()  # a result has the names in the database, which may differ
        found = source.execution_options(yield_per=BATCH_ROWS).execute(select(table))
        for rows in found.partitions():
            target.execute(insert(table), [dict(zip(keys, row, strict=True)) for row in rows])
            n_rows += len(rows)
        if target.dialect.name == "postgresql":
            _continue_numbers(table, target)
    return n_rows


def _continue_numbers(table: Table, target: Connection) -> None:
    """Makes Postgres continue the numbers of the rows that were copied."""
    column = table.autoincrement_column
    if column is None or not isinstance(column.type, (Integer, BigInteger)):
        return
    if target.execute(select(func.max(column))).scalar() is not None:
        target.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'), "  # noqa: S608  names of ours
                f"(SELECT max({column.name}) FROM {table.name}))"
            )
        )


class Database:
    """A database with the tables of the gateway; safe to use from many threads and processes."""

    def __init__(self, url: str, require: Callable[[Connection], None] | None = None) -> None:
        """Opens the database, makes its tables, or changes those of an earlier version.

        Args:
            url: As SQLAlchemy writes it: `sqlite:////folder/ledger.sqlite`,
                `postgresql+psycopg://user@host/name`.
            require: Looks at the layout in place of that, and raises a ConfigError if it is
                wrong; then nothing is made or changed.

        Raises:
            ConfigError: The URL is not one, a later version of TotalMAP has changed the layout
                of the database, or `require` has raised it.
            ResourceError: It can't be opened.
            DamagedLedger: Its file is damaged.
        """
        self._url = url
        try:
            # Each transaction ends before its connection is returned: there is nothing to roll
            # back.
            self._engine = create_engine(url, pool_reset_on_return=None)
        except (ArgumentError, NoSuchModuleError, ValueError):
            # Without a cause: its text quotes the URL, or what it takes for a port.
            raise ConfigError(
                "ledger_url is not a database's, such as postgresql+psycopg://host/name with "
                "a user before the host; a password's special characters have to be %-encoded"
            ) from None
        self.is_postgres = self._engine.dialect.name == "postgresql"
        if not self.is_postgres:
            event.listen(self._engine, "connect", _make_durable)
        self._damage = DamageMark(self._name, self._file)
        try:
            if require is None:
                self._make_tables()
            else:
                with self._engine.connect() as connection:
                    require(connection)
        except DatabaseError as error:
            raise self._failure(error) from None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yields a connection; commits when the block ends, and rolls back when it fails.

        Raises:
            ResourceError: The database fails or can't be reached.
            DamagedLedger: It is damaged, which is a ResourceError, too.
        """
        if self._damage.is_set():
            raise self._damage.error()
        try:
            with self._engine.begin() as connection:
                yield connection
        except DatabaseError as error:
            raise self._failure(error) from None

    def save_to(self, file: Path) -> None:
        """Writes one state of the ledger into a new SQLite file; other processes may go on writing.

        Raises:
            ResourceError: It does not answer, or the disk is full.
        """
        source = self._file
        if source is not None:
            save_sqlite(source, file)
            return
        with Database(f"sqlite:///{file}") as target:
            self.copy_to(target)

    def copy_to(self, target: "Database") -> int:
        """Copies all rows as they are at one moment into an empty database; returns how many.

        Raises:
            ConfigError: The other database is not empty.
            ResourceError: A database does not answer.
        """
        with self._snapshot() as source, target.transaction() as connection:
            return copy_rows(source, connection)

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        """Yields a connection that sees one state of the database."""
        if self._damage.is_set():
            raise self._damage.error()
        level = "REPEATABLE READ" if self.is_postgres else "SERIALIZABLE"
        try:
            with self._engine.connect().execution_options(isolation_level=level) as connection:
                if not self.is_postgres:  # its driver begins no transaction for reads
                    connection.exec_driver_sql("BEGIN")
                yield connection
                connection.rollback()
        except DatabaseError as error:
            raise self._failure(error) from None

    @property
    def is_marked_damaged(self) -> bool:
        """Whether a process has found damage; then every transaction is refused."""
        return self._damage.is_set()

    def check(self) -> None:
        """Checks the integrity of a SQLite database; takes seconds for a large one.

        Raises:
            ResourceError: It does not answer.
            DamagedLedger: It is damaged.
        """
        if self.is_postgres:
            return
        try:
            with self._engine.connect() as connection:
                found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        except DatabaseError as error:
            raise self._failure(error) from None
        if found != "ok":
            # Its message may quote a value.
            raise self._damage.set("its pages do not fit together")
        self._damage.clear()

    def insert_or(self, table: Table) -> "postgresql.Insert | sqlite.Insert":
        """Returns an insert for which a rule for rows that exist already can be given."""
        return postgresql.insert(table) if self.is_postgres else sqlite.insert(table)

    def downgrade(self, version: str) -> None:
        """Changes the layout back to the one of an earlier version of TotalMAP, such as 0.1.0.

        The gateway must not run.

        Raises:
            ConfigError: There is no way back to that version.
        """
        with self.transaction() as connection:
            self._lock_layout(connection)
            downgrade_layout(connection, version)

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _name(self) -> str:
        """The kind and place of the database, without user, password and parameters."""
        url = self._engine.url
        where = f"{url.host}/{url.database}" if url.host else str(url.database)
        return f"{url.get_backend_name()} {_without_password(where, self._url)}"

    @property
    def _file(self) -> Path | None:
        """The file of SQLite."""
        return None if self.is_postgres else Path(str(self._engine.url.database))

    def _failure(self, error: DatabaseError) -> Exception:
        """Returns the exception to raise for an error of the database."""
        reason = _without_password(str(error.orig), self._url)
        if is_damage(error.orig):
            return self._damage.set(reason)
        if isinstance(error, OperationalError):
            return ResourceError(f"the ledger {self._name} does not answer: {reason}")
        return error  # a defect of ours

    def _make_tables(self) -> None:
        """Updates the layout; processes that start together do so one after the other."""
        with self._engine.begin() as connection:
            self._lock_layout(connection)
            upgrade_layout(connection)

    def _lock_layout(self, connection: Connection) -> None:
        """Keeps other processes from changing the layout until the transaction ends."""
        connection.exec_driver_sql(
            f"SELECT pg_advisory_xact_lock({_LOCK})" if self.is_postgres else "BEGIN IMMEDIATE"
        )


def _without_password(text: str, url: str) -> str:
    """Returns a message of a database without any part of the password in its URL.

    A password that is not %-encoded may be taken for a host or a port, which the message names.
    """
    rest, _, query = url.partition("://")[2].partition("?")
    password = rest.rpartition("@")[0].partition(":")[2]
    values = [part.partition("=")[2] for part in query.split("&")]
    parts = {password, *re.split(r"[:/@?&=]", password), *values}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _SECRET_CHARACTERS:
            text = text.replace(part, "...")
    return text


def open_database(settings: GatewaySettings) -> Database:
    """Opens the database that the settings name.

    Raises:
        ConfigError, ResourceError: As `Database`.
    """
    settings.storage_folder.mkdir(parents=True, exist_ok=True)
    file = settings.storage_folder.absolute() / LEDGER_FILE
    return Database(settings.ledger_url or f"sqlite:///{file}")


def open_existing_database(settings: GatewaySettings) -> Database:
    """Opens the database of a gateway that has run with this version; makes and changes nothing.

    Raises:
        ConfigError: There is no ledger, or it has the layout of another version.
        ResourceError: As `Database`.
    """
    return Database(_existing_url(settings), require_layout)


def look_at_database(settings: GatewaySettings) -> Database:
    """Opens a database that a start of this version would upgrade; makes and changes nothing.

    Raises:
        ConfigError: There is no ledger, or that of a later version; a Postgres may be empty.
        ResourceError: As `Database`.
    """
    return Database(_existing_url(settings), require_known_layout)


def _existing_url(settings: GatewaySettings) -> str:
    """Returns the URL of the database.

    Raises:
        ConfigError: There is no ledger.
    """
    file = settings.storage_folder.absolute() / LEDGER_FILE
    if not settings.ledger_url and not file.is_file():
        raise ConfigError(
            f"{settings.storage_folder} holds no ledger of a gateway: name the gateway.yaml of the "
            "gateway, or start it with `totalmap serve`"
        )
    return settings.ledger_url or f"sqlite:///{file}"


def _make_durable(connection: Any, _record: object) -> None:
    """Makes SQLite wait until a commit is on the disk, without making readers wait."""
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={BUSY_SECONDS * 1000}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def save_sqlite(source: Path, target: Path) -> None:
    """Copies one state of a SQLite database, also while it is written to.

    Raises:
        ResourceError: It can't be read, or the copy can't be written.
    """
    try:
        with (
            closing(sqlite3.connect(source, timeout=BUSY_SECONDS)) as origin,
            closing(sqlite3.connect(target)) as copy,
        ):
            origin.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, which can be hashed
    except sqlite3.Error as error:
        raise ResourceError(f"{source.name} can't be saved: {error}") from error
