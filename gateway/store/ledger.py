"""What came in, as the database has it: all SQL of the receiving side.

The order is always the same: a file is safe on the disk before it is in the ledger, and in the
ledger before it is acknowledged. So a file that is not here was never acknowledged.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    case,
    exists,
    func,
    select,
    update,
)

from gateway.store.access_events import record_received, record_refused, record_rejected
from gateway.store.database import Database
from gateway.store.schema import INSTANCES, JOBS, SET_ASIDE, STUDIES, TRANSFERS

# Databases take some thousand values in one statement.
_UIDS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptInstance:
    """An instance whose file is safe.

    Attributes:
        sha256: Of its file, after which that is named. The same instance may come a second time
            with other content; then there are two.
        sender: The AE title, or what else names who sent it.
        transfer: Names the association, or the request, in which it came.
        received_at: Seconds since 1970, UTC; for people, since a clock may be set back.
        arrival: Grows with each instance of the study that comes. The ledger counts it; 0: not
            yet, or the instance came before it was counted.
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
    arrival: int = field(default=0, compare=False)


# asdict() would copy each value.
_COLUMNS = tuple(column.name for column in fields(KeptInstance) if column.name != "arrival")


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
        has_jobs: Whether it was passed on before and made jobs.
    """

    study_instance_uid: str
    n_instances: int
    last_received_at: float
    transfers_ended_at: float | None
    has_jobs: bool = False


class Ledger:
    """Instances, their transfers, and the studies that they belong to.

    Each method raises ResourceError where the database fails or is not there.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._add_instances = (
            database.insert_or(INSTANCES)
            .on_conflict_do_nothing()
            .returning(INSTANCES.c.sop_instance_uid, INSTANCES.c.sha256)
        )
        self._end_transfer = database.insert_or(TRANSFERS).on_conflict_do_nothing()
        grow = database.insert_or(STUDIES)
        self._grow_studies = grow.on_conflict_do_update(
            index_elements=[STUDIES.c.study_instance_uid],
            set_={
                "n_instances": STUDIES.c.n_instances + grow.excluded.n_instances,
                "last_received_at": _later(
                    STUDIES.c.last_received_at, grow.excluded.last_received_at
                ),
            },
        )

    def add(self, instances: Sequence[KeptInstance]) -> int:
        """Puts instances on record, all or none; those on record already stay as they are.

        They are on the disk when this returns the number of those that are new.
        """
        rows = [{name: getattr(given, name) for name in _COLUMNS} for given in instances]
        with self._database.transaction() as connection:
            inserted = {tuple(key) for key in connection.execute(self._add_instances, rows)}
            if inserted:
                new = {_key(given): given for given in instances if _key(given) in inserted}
                connection.execute(self._grow_studies, _growth(new.values()))
                _count_arrivals(connection, new.values())
        return len(inserted)

    def is_empty(self) -> bool:
        """Returns whether no study was ever put on record."""
        with self._database.transaction() as connection:
            return connection.execute(select(STUDIES.c.study_instance_uid).limit(1)).first() is None

    def end_transfer(self, ended: EndedTransfer, address: str | None = None) -> None:
        """Stores the end of a transfer, once, and who sent it, with the address."""
        with self._database.transaction() as connection:
            connection.execute(self._end_transfer.values(**asdict(ended)))
        record_received(self._database, ended.transfer, address)

    def reject(self, who: str, why: str, address: str) -> None:
        """Puts on record that somebody was not let in; `why` is one of a few constant texts."""
        record_rejected(self._database, who, why, address)

    def refuse(self, who: str, why: str, address: str) -> None:
        """Puts on record that a sender did what is not allowed; `why` is a constant text."""
        record_refused(self._database, who, why, address)

    def growing_studies(self) -> Sequence[GrowingStudy]:
        """Returns the studies that have more than was passed on, the oldest first."""
        ended = func.count(TRANSFERS.c.transfer.distinct())
        statement = (
            select(
                STUDIES.c.study_instance_uid,
                STUDIES.c.n_instances,
                STUDIES.c.last_received_at,
                (func.count(INSTANCES.c.transfer.distinct()) - ended).label("open"),
                func.max(TRANSFERS.c.ended_at).label("ended_at"),
                exists()
                .where(JOBS.c.study_instance_uid == STUDIES.c.study_instance_uid)
                .label("has_jobs"),
            )
            .join(INSTANCES, INSTANCES.c.study_instance_uid == STUDIES.c.study_instance_uid)
            .outerjoin(
                TRANSFERS,
                (TRANSFERS.c.transfer == INSTANCES.c.transfer) & TRANSFERS.c.is_whole,
            )
            .where(STUDIES.c.n_instances - STUDIES.c.n_passed_on > 0)
            .group_by(STUDIES.c.study_instance_uid)
            .order_by(STUDIES.c.last_received_at, STUDIES.c.study_instance_uid)
        )
        with self._database.transaction() as connection:
            rows = connection.execute(statement).all()
        return [
            GrowingStudy(
                study_instance_uid=row.study_instance_uid,
                n_instances=row.n_instances,
                last_received_at=row.last_received_at,
                transfers_ended_at=None if row.open else row.ended_at,
                has_jobs=bool(row.has_jobs),
            )
            for row in rows
        ]

    def instances(self, study_instance_uid: str | None = None) -> Iterator[KeptInstance]:
        """Yields the instances of a study, in the order in which they came; None: of all."""
        statement = select(INSTANCES)
        if study_instance_uid is not None:
            statement = statement.where(INSTANCES.c.study_instance_uid == study_instance_uid)
        with self._database.transaction() as connection:
            for row in connection.execute(statement.order_by(*_ARRIVAL_ORDER)):
                yield KeptInstance(**row._mapping)

    def content(
        self, study_instance_uid: str, until_arrival: float | None = None
    ) -> Sequence[KeptInstance]:
        """Returns the instances that a study is made of, in the order in which they came.

        Left out is what was set aside (gateway/store/conflicts.py).

        Args:
            study_instance_uid: Of the study.
            until_arrival: The `arrival` of the last instance; None: all of them.
        """
        statement = _content(study_instance_uid)
        if until_arrival is not None:
            statement = statement.where(INSTANCES.c.arrival <= until_arrival)
        with self._database.transaction() as connection:
            rows = connection.execute(statement.order_by(*_ARRIVAL_ORDER)).all()
        return [KeptInstance(**row._mapping) for row in rows]

    def first_instance(self, study_instance_uid: str) -> KeptInstance | None:
        """Returns the instance of a study that came first and was not set aside."""
        statement = _content(study_instance_uid).order_by(*_ARRIVAL_ORDER).limit(1)
        with self._database.transaction() as connection:
            row = connection.execute(statement).first()
        return KeptInstance(**row._mapping) if row is not None else None

    def count_by_class(self, transfer: str, study_instance_uid: str) -> Mapping[str, int]:
        """Returns how many instances of each SOP class a transfer brought of a study."""
        statement = (
            select(INSTANCES.c.sop_class_uid, func.count())
            .where(
                INSTANCES.c.transfer == transfer,
                INSTANCES.c.study_instance_uid == study_instance_uid,
            )
            .group_by(INSTANCES.c.sop_class_uid)
        )
        with self._database.transaction() as connection:
            return dict(connection.execute(statement).all())

    def hashes(self, study_instance_uid: str) -> set[str]:
        """Returns the SHA-256 of each instance of a study."""
        of_study = INSTANCES.c.study_instance_uid == study_instance_uid
        with self._database.transaction() as connection:
            return set(connection.execute(select(INSTANCES.c.sha256).where(of_study)).scalars())

    def with_uids(self, sop_instance_uids: Sequence[str]) -> Iterator[KeptInstance]:
        """Yields the instances that have one of some SOP Instance UIDs."""
        for start in range(0, len(sop_instance_uids), _UIDS_AT_ONCE):
            uids = sop_instance_uids[start : start + _UIDS_AT_ONCE]
            statement = select(INSTANCES).where(INSTANCES.c.sop_instance_uid.in_(uids))
            with self._database.transaction() as connection:
                rows = connection.execute(statement).all()
            yield from (KeptInstance(**row._mapping) for row in rows)


# The clock decides only between instances that came before arrivals were counted.
_ARRIVAL_ORDER = (
    INSTANCES.c.arrival,
    INSTANCES.c.received_at,
    INSTANCES.c.sop_instance_uid,
    INSTANCES.c.sha256,
)
_SET_ARRIVAL = (
    update(INSTANCES)
    .where(
        INSTANCES.c.sop_instance_uid == bindparam("uid"),
        INSTANCES.c.sha256 == bindparam("content"),
    )
    .values(arrival=bindparam("number"))
)


def _content(study_instance_uid: str) -> Any:
    """Selects the instances of a study that were not set aside."""
    is_set_aside = exists().where(
        SET_ASIDE.c.sop_instance_uid == INSTANCES.c.sop_instance_uid,
        SET_ASIDE.c.sha256 == INSTANCES.c.sha256,
    )
    return select(INSTANCES).where(
        INSTANCES.c.study_instance_uid == study_instance_uid, ~is_set_aside
    )


def _key(instance: KeptInstance) -> tuple[str, str]:
    return instance.sop_instance_uid, instance.sha256


def _count_arrivals(connection: Connection, new: Collection[KeptInstance]) -> None:
    """Numbers new instances in the order given, after those that their studies have already.

    The transaction has just changed the rows of the studies, so that no other one counts meanwhile.
    """
    studies = {instance.study_instance_uid for instance in new}
    numbers = connection.execute(
        select(STUDIES.c.study_instance_uid, STUDIES.c.n_instances).where(
            STUDIES.c.study_instance_uid.in_(studies)
        )
    )
    last: dict[str, int] = dict(numbers.all())
    arrivals = []
    for instance in reversed([*new]):
        uid, content = _key(instance)
        number = last[instance.study_instance_uid]
        last[instance.study_instance_uid] = number - 1
        arrivals.append({"uid": uid, "content": content, "number": number})
    connection.execute(_SET_ARRIVAL, arrivals)


def _later(one: ColumnElement[float], other: ColumnElement[float]) -> ColumnElement[float]:
    """Returns the later of two moments; the databases have different words for it."""
    return case((one > other, one), else_=other)


def _growth(new: Iterable[KeptInstance]) -> list[dict[str, object]]:
    """Returns what instances that are new add to their studies."""
    moments: dict[str, list[float]] = {}
    for instance in new:
        moments.setdefault(instance.study_instance_uid, []).append(instance.received_at)
    return [
        {
            "study_instance_uid": study,
            "n_instances": len(received),
            "n_passed_on": 0,
            "last_received_at": max(received),
        }
        for study, received in moments.items()
    ]
