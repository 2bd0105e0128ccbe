"""What the gateway has, in a database: SQLite beside the files, or Postgres by its URL.

All SQL of the receiving side is in this file. The order is always the same: a file is safe on the
disk before it is in the ledger, and in the ledger before it is acknowledged. So a file that is not
here was never acknowledged.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError

from totalmap.errors import ConfigError, ResourceError

SCHEMA_VERSION = 1
BUSY_SECONDS = 30
_SHA256, _UID, _SENDER = String(64), String(64), String(64)


_METADATA = MetaData()
_SCHEMA = Table("schema", _METADATA, Column("version", Integer, primary_key=True))
_INSTANCES = Table(
    "instances",
    _METADATA,
    Column("sop_instance_uid", _UID, primary_key=True),
    Column("sha256", _SHA256, primary_key=True),
    Column("sop_class_uid", _UID, nullable=False),
    Column("study_instance_uid", _UID, nullable=False, index=True),
    Column("series_instance_uid", _UID, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sender", _SENDER, nullable=False),
    Column("received_at", Double, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptInstance:
    """An instance whose file is safe.

    Attributes:
        sha256: Of its file, after which that is named. The same instance may come a second time
            with other content; then there are two.
        sender: The AE title, or what else names who sent it.
        received_at: Seconds since 1970, UTC.
    """

    sop_instance_uid: str
    sha256: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    size_bytes: int
    sender: str
    received_at: float


class Ledger:
    """The database; may be used by many threads and processes at once.

    Each method raises ResourceError where the database fails or is not there.
    """

    def __init__(self, url: str) -> None:
        """Opens the database and makes its tables where there are none.

        Args:
            url: As SQLAlchemy writes it: `sqlite:////folder/ledger.sqlite`,
                `postgresql+psycopg://user@host/name`.

        Raises:
            ConfigError: It was written by another version of TotalMAP.
            ResourceError: It can't be opened.
        """
        self._engine = create_engine(url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _make_durable)
        try:
            _METADATA.create_all(self._engine)
            _require_version(self._engine)
        except OperationalError as error:
            raise ResourceError(
                f"the ledger {self._engine.url!r} can't be opened: {error.orig}"
            ) from error

    def add(self, instances: Sequence[KeptInstance]) -> None:
        """Puts instances on record, all or none; those on record already stay as they are.

        They are on the disk when this returns.
        """
        dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(_INSTANCES).on_conflict_do_nothing()
        with self._transaction() as connection:
            connection.execute(statement, [asdict(one) for one in instances])

    def instances(self, study_instance_uid: str | None = None) -> Iterator[KeptInstance]:
        """Yields the instances of a study, or all, in the order in which they came."""
        statement = select(_INSTANCES).order_by(
            _INSTANCES.c.received_at, _INSTANCES.c.sop_instance_uid
        )
        if study_instance_uid is not None:
            statement = statement.where(_INSTANCES.c.study_instance_uid == study_instance_uid)
        with self._transaction() as connection:
            for row in connection.execute(statement):
                yield KeptInstance(**row._mapping)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except OperationalError as error:
            raise ResourceError(f"the ledger does not answer: {error.orig}") from error

    def close(self) -> None:
        """Gives up all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _make_durable(connection: Any, _record: object) -> None:
    """Makes a commit of SQLite wait until it is on the disk, and readers never wait for it."""
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={BUSY_SECONDS * 1000}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _require_version(engine: Engine) -> None:
    with engine.begin() as connection:
        version = connection.execute(select(_SCHEMA.c.version)).scalar()
        if version is None:
            connection.execute(insert(_SCHEMA).values(version=SCHEMA_VERSION))
        elif version != SCHEMA_VERSION:
            raise ConfigError(
                f"the ledger {engine.url!r} has layout {version}, this version of TotalMAP "
                f"reads {SCHEMA_VERSION}"
            )
