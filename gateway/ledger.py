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
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Double,
    Engine,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    case,
    create_engine,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError

from totalmap.errors import ConfigError, ResourceError

SCHEMA_VERSION = 1
BUSY_SECONDS = 30
_SHA256, _UID, _SENDER, _TRANSFER = String(64), String(64), String(64), String(64)

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
    Column("transfer", _TRANSFER, nullable=False),
    Column("received_at", Double, nullable=False),
)
_TRANSFERS = Table(
    "transfers",
    _METADATA,
    Column("transfer", _TRANSFER, primary_key=True),
    Column("ended_at", Double, nullable=False),
    Column("is_whole", Boolean, nullable=False),
)
_STUDIES = Table(
    "studies",
    _METADATA,
    Column("study_instance_uid", _UID, primary_key=True),
    Column("n_instances", Integer, nullable=False),
    Column("n_passed_on", Integer, nullable=False),
    Column("last_received_at", Double, nullable=False),
)
Index("growing", _STUDIES.c.n_instances - _STUDIES.c.n_passed_on)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptInstance:
    """An instance whose file is safe.

    Attributes:
        sha256: Of its file, after which that is named. The same instance may come a second time
            with other content; then there are two.
        sender: The AE title, or what else names who sent it.
        transfer: Names the association, or the request, in which it came.
        received_at: Seconds since 1970, UTC.
    """

    sop_instance_uid: str
    sha256: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    size_bytes: int
    sender: str
    transfer: str
    received_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedTransfer:
    """An association, or a request, in which instances came, and its end.

    Attributes:
        ended_at: Seconds since 1970, UTC.
        is_whole: Whether its sender said that this is all, and was not cut off.
    """

    transfer: str
    ended_at: float
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowingStudy:
    """A study of which something came that was not yet passed on.

    Attributes:
        last_received_at: When its newest instance came; seconds since 1970, UTC.
        transfers_ended_at: When the last of its transfers ended; None while one goes on, or when
            one was cut off.
    """

    study_instance_uid: str
    n_instances: int
    last_received_at: float
    transfers_ended_at: float | None


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
        insert_or = (
            postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        )
        self._add_instances = (
            insert_or(_INSTANCES)
            .on_conflict_do_nothing()
            .returning(_INSTANCES.c.study_instance_uid, _INSTANCES.c.received_at)
        )
        grow = insert_or(_STUDIES)
        self._grow_studies = grow.on_conflict_do_update(
            index_elements=[_STUDIES.c.study_instance_uid],
            set_={
                "n_instances": _STUDIES.c.n_instances + grow.excluded.n_instances,
                "last_received_at": _later(
                    _STUDIES.c.last_received_at, grow.excluded.last_received_at
                ),
            },
        )
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
        rows = [asdict(one) for one in instances]
        with self._transaction() as connection:
            new = connection.execute(self._add_instances, rows).all()
            if new:
                connection.execute(self._grow_studies, _growth(new))

    def end_transfer(self, ended: EndedTransfer) -> None:
        """Puts the end of a transfer on record."""
        with self._transaction() as connection:
            connection.execute(insert(_TRANSFERS).values(**asdict(ended)))

    def growing_studies(self) -> Sequence[GrowingStudy]:
        """Returns the studies that have more than was passed on, the oldest first."""
        ended = func.count(_TRANSFERS.c.transfer.distinct())
        statement = (
            select(
                _STUDIES.c.study_instance_uid,
                _STUDIES.c.n_instances,
                _STUDIES.c.last_received_at,
                (func.count(_INSTANCES.c.transfer.distinct()) - ended).label("open"),
                func.max(_TRANSFERS.c.ended_at).label("ended_at"),
            )
            .join(_INSTANCES, _INSTANCES.c.study_instance_uid == _STUDIES.c.study_instance_uid)
            .outerjoin(
                _TRANSFERS,
                (_TRANSFERS.c.transfer == _INSTANCES.c.transfer) & _TRANSFERS.c.is_whole,
            )
            .where(_STUDIES.c.n_instances - _STUDIES.c.n_passed_on > 0)
            .group_by(_STUDIES.c.study_instance_uid)
            .order_by(_STUDIES.c.last_received_at, _STUDIES.c.study_instance_uid)
        )
        with self._transaction() as connection:
            rows = connection.execute(statement).all()
        return [
            GrowingStudy(
                study_instance_uid=row.study_instance_uid,
                n_instances=row.n_instances,
                last_received_at=row.last_received_at,
                transfers_ended_at=None if row.open else row.ended_at,
            )
            for row in rows
        ]

    def pass_on(self, study: GrowingStudy) -> None:
        """Puts on record that a study went on with the instances that it had."""
        with self._transaction() as connection:
            connection.execute(
                update(_STUDIES)
                .where(_STUDIES.c.study_instance_uid == study.study_instance_uid)
                .values(n_passed_on=study.n_instances)
            )

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


def _later(one: ColumnElement[float], other: ColumnElement[float]) -> ColumnElement[float]:
    """Returns the later of two moments; the databases have different words for it."""
    return case((one > other, one), else_=other)


def _growth(new: Sequence[Row[str, float]]) -> list[dict[str, object]]:
    """Returns what instances that are new, as study and moment, add to their studies."""
    moments: dict[str, list[float]] = {}
    for study, received_at in new:
        moments.setdefault(study, []).append(received_at)
    return [
        {
            "study_instance_uid": study,
            "n_instances": len(received),
            "n_passed_on": 0,
            "last_received_at": max(received),
        }
        for study, received in moments.items()
    ]


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
