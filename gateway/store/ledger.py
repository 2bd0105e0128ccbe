"""Stores received instances, their transfers and their studies.

The order is always the same: a file is safe on the disk before it is in the ledger, and in the
ledger before it is acknowledged. So a file that is not in the ledger was never acknowledged.
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

from gateway.store.audit_events import record_received, record_refused, record_rejected
from gateway.store.database import Database
from gateway.store.schema import INSTANCES, JOBS, SET_ASIDE, STUDIES, TRANSFERS

# Databases take some thousand values in one statement.
_UIDS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptInstance:
    """An instance whose file is safe.

    Attributes:
        sha256: The hash of its file, which is also the name of the file. If the same instance comes
            again with other content, there are two.
        sender: The AE title, or another name of who sent it.
        transfer: The name of the association or request in which it came.
        received_at: Seconds since 1970, UTC; only shown, since a clock may be set back.
        arrival: The number of the instance among those of its study, in the order in which they
            came. 0: the instance came before they were counted, or is not in the ledger yet.
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
    """The end of an association or request in which instances came.

    Attributes:
        ended_at: Seconds since 1970, UTC.
        is_whole: Whether the sender has ended it, and it was not cut off.
    """

    transfer: str
    ended_at: float
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowingStudy:
    """A study with instances that were not passed on yet.

    Attributes:
        last_received_at: When its newest instance came; seconds since 1970, UTC.
        transfers_ended_at: When its last transfer ended; None while a transfer goes on, or if one
            was cut off.
        has_jobs: Whether it was passed on before and made jobs.
    """

    study_instance_uid: str
    n_instances: int
    last_received_at: float
    transfers_ended_at: float | None
    has_jobs: bool = False


class Ledger:
    """The instances on record, with their transfers and studies.

    Each method raises ResourceError if the database fails or can't be reached.
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
        """Stores instances, all or none, and returns how many are new.

        Instances on record stay as they are. When this returns, the rows are on the disk.
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
        """Returns whether no study is on record."""
        with self._database.transaction() as connection:
            return connection.execute(select(STUDIES.c.study_instance_uid).limit(1)).first() is None

    def end_transfer(self, ended: EndedTransfer, address: str | None = None) -> None:
        """Stores the end of a transfer, once, and who sent it, with the address."""
        with self._database.transaction() as connection:
            connection.execute(self._end_transfer.values(**asdict(ended)))
        record_received(self._database, ended.transfer, address)

    def reject(self, who: str, why: str, address: str) -> bool:
        """Records that a sender was rejected, if `record_rejected` finds it new."""
        return record_rejected(self._database, who, why, address)

    def refuse(self, who: str, why: str, address: str) -> bool:
        """Records that a sender did what is not allowed, if `record_refused` finds it new."""
        return record_refused(self._database, who, why, address)

    def growing_studies(self) -> Sequence[GrowingStudy]:
        """Returns the studies with instances that were not passed on, the oldest first."""
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

        Instances that were set aside (gateway/store/conflicts.py) are left out.

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


# The clock orders only the instances that came before arrivals were counted.
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
    """Numbers new instances in the order given, after those that their studies already have.

    The transaction has just changed the rows of the studies, so that no other one counts now.
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


def _later(first: ColumnElement[float], second: ColumnElement[float]) -> ColumnElement[float]:
    """Returns the later of two times; the databases have different functions for it."""
    return case((first > second, first), else_=second)


def _growth(new: Iterable[KeptInstance]) -> list[dict[str, object]]:
    """Returns the rows that new instances add to their studies."""
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
