"""Stores the conflicts of studies: instances that were set aside, and the decisions of users.

An instance that contradicts its study was acknowledged, so it is stored and set aside: it is not
part of the study. The study is held until a user decides. Attributes are stored by keyword, without
their values.
"""

import json
import time
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    delete,
    func,
    select,
    update,
)

from gateway.store.conflict import (
    HOLDING,
    AsideReason,
    Conflict,
    ConflictKind,
    ConflictState,
    Contradiction,
)
from gateway.store.database import Database
from gateway.store.deliveries import DeliveryState
from gateway.store.events import EventKind, ObjectKind, record
from gateway.store.job import UNFINISHED, JobState
from gateway.store.ledger import KeptInstance
from gateway.store.reject_replaced_results import reject_delivered_results
from gateway.store.schema import (
    CONFLICTS,
    DELIVERIES,
    INSTANCES,
    JOBS,
    SET_ASIDE,
    STUDIES,
)
from gateway.store.study_index import index_again
from totalmap.texts.catalogue import Message

_LISTED_SENDERS = 5


class ConflictList:
    """The conflicts on record; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._set_aside = database.insert_or(SET_ASIDE).on_conflict_do_nothing()

    def set_aside(self, instances: Collection[KeptInstance], reason: AsideReason) -> None:
        """Sets instances aside about which no user has to decide."""
        with self._database.transaction() as connection:
            for instance in instances:
                connection.execute(self._set_aside, _aside_row(instance, reason, None))

    def hold(self, study_instance_uid: str, found: Sequence[Contradiction]) -> None:
        """Sets instances aside and holds their study until a user decides.

        Contradictions that are found while a study is held belong to the same conflict. A rejected
        study stays rejected.
        """
        kinds = {kind for contradiction in found for kind in contradiction.kinds}
        keywords = dict.fromkeys(
            keyword for contradiction in found for keyword in contradiction.keywords
        )
        with self._database.transaction() as connection:
            conflict_id = _open(connection, study_instance_uid, kinds, [*keywords])
            for contradiction in found:
                row = _aside_row(contradiction.instance, AsideReason.CONFLICT, conflict_id)
                connection.execute(self._set_aside, row)
            senders = sorted({contradiction.instance.sender for contradiction in found})
            detail = (
                f"{len(found)} instances from {', '.join(senders[:_LISTED_SENDERS])}: "
                f"{', '.join(sorted(kinds))}"
            )
            record(
                connection,
                EventKind.CONFLICT,
                study_instance_uid,
                object_kind=ObjectKind.CONFLICT,
                object_name=str(conflict_id),
                detail=detail,
            )

    def is_held(self, study_instance_uid: str) -> bool:
        """Returns whether a study is held: nothing may be made of it or delivered now."""
        statement = select(func.count()).where(
            CONFLICTS.c.study_instance_uid == study_instance_uid, CONFLICTS.c.state.in_(HOLDING)
        )
        with self._database.transaction() as connection:
            return bool(connection.execute(statement).scalar_one())

    def conflict(self, conflict_id: int) -> Conflict | None:
        """Returns a conflict."""
        return next(iter(self._select(CONFLICTS.c.conflict_id == conflict_id)), None)

    def of_study(self, study_instance_uid: str) -> Sequence[Conflict]:
        """Returns the conflicts of a study, the oldest first."""
        return self._select(CONFLICTS.c.study_instance_uid == study_instance_uid)

    def undecided(self) -> Sequence[Conflict]:
        """Returns the conflicts about which a user has to decide, the oldest first."""
        return self._select(CONFLICTS.c.state == ConflictState.OPEN)

    def instances(self, conflict_id: int) -> Sequence[KeptInstance]:
        """Returns the instances set aside for a conflict, in the order in which they came."""
        return self._aside(
            SET_ASIDE.c.conflict_id == conflict_id, SET_ASIDE.c.reason == AsideReason.CONFLICT
        )

    def refused(self, study_instance_uid: str) -> Sequence[KeptInstance]:
        """Returns the instances of a study that a user decided against."""
        return self._aside(
            SET_ASIDE.c.study_instance_uid == study_instance_uid,
            SET_ASIDE.c.reason.in_((AsideReason.REFUSED, AsideReason.REPLACED)),
        )

    def keep_first(self, conflict_id: int, n_instances: int, who: str) -> bool:
        """Decides that the study stays as it was, and refuses the instances set aside.

        Args:
            conflict_id: Of the conflict.
            n_instances: The number of instances set aside when the user looked.
            who: The user.

        Returns:
            Whether it was decided; False if more instances have been set aside meanwhile.
        """
        with self._database.transaction() as connection:
            study = _decide(connection, conflict_id, n_instances, ConflictState.FIRST_KEPT, who)
            if study is None:
                return False
            connection.execute(_of_conflict(conflict_id).values(reason=AsideReason.REFUSED))
            _look_again(connection, study)
        return True

    def take_new(
        self, conflict_id: int, n_instances: int, who: str, replaced: Collection[KeptInstance]
    ) -> bool:
        """Decides that the instances set aside replace those of the study.

        Jobs on the old content are superseded. Destinations that have their results get a note that
        rejects them at once.

        Args:
            conflict_id: Of the conflict.
            n_instances: As in `keep_first`.
            who: The user.
            replaced: The instances that are replaced.

        Returns:
            As `keep_first`.
        """
        with self._database.transaction() as connection:
            study = _decide(connection, conflict_id, n_instances, ConflictState.NEW_TAKEN, who)
            if study is None:
                return False
            for instance in replaced:
                row = _aside_row(instance, AsideReason.REPLACED, None)
                connection.execute(self._set_aside, row)
            connection.execute(
                delete(SET_ASIDE).where(
                    SET_ASIDE.c.conflict_id == conflict_id,
                    SET_ASIDE.c.reason == AsideReason.CONFLICT,
                )
            )
            _supersede_jobs(connection, study)
            _look_again(connection, study)
        return True

    def reject_study(self, conflict_id: int, n_instances: int, who: str) -> bool:
        """Decides that nothing is made of the study; ends its jobs and open deliveries.

        The arguments and what is returned are as in `keep_first`.
        """
        reason = str(Message("reason.rejected", who=who))
        with self._database.transaction() as connection:
            study = _decide(connection, conflict_id, n_instances, ConflictState.REJECTED, who)
            if study is None:
                return False
            connection.execute(
                update(JOBS)
                .where(JOBS.c.study_instance_uid == study, JOBS.c.state.in_(UNFINISHED))
                .values(state=JobState.CANCELLED, reason=reason, ended_at=time.time())
            )
            connection.execute(
                update(DELIVERIES)
                .where(
                    DELIVERIES.c.job_id.in_(_job_ids(study)),
                    DELIVERIES.c.state == DeliveryState.WAITING,
                )
                .values(state=DeliveryState.DEAD, reason=reason)
            )
        return True

    def _aside(self, *conditions: ColumnElement[bool]) -> Sequence[KeptInstance]:
        statement = (
            select(INSTANCES)
            .join(
                SET_ASIDE,
                (SET_ASIDE.c.sop_instance_uid == INSTANCES.c.sop_instance_uid)
                & (SET_ASIDE.c.sha256 == INSTANCES.c.sha256),
            )
            .where(*conditions)
            .order_by(INSTANCES.c.arrival, INSTANCES.c.received_at)
        )
        with self._database.transaction() as connection:
            rows = connection.execute(statement).all()
        return [KeptInstance(**row._mapping) for row in rows]

    def _select(self, *conditions: ColumnElement[bool]) -> Sequence[Conflict]:
        number = _number_set_aside(CONFLICTS.c.conflict_id).label("n_instances")
        statement = select(CONFLICTS, number).where(*conditions).order_by(CONFLICTS.c.conflict_id)
        with self._database.transaction() as connection:
            return [_conflict(row) for row in connection.execute(statement)]


def _conflict(row: Row[Any]) -> Conflict:
    values = dict(row._mapping)
    return Conflict(
        **{
            **values,
            "state": ConflictState(values["state"]),
            "kinds": tuple(map(ConflictKind, json.loads(values["kinds"]))),
            "keywords": tuple(json.loads(values["keywords"])),
        }
    )


def _open(
    connection: Connection, study: str, kinds: Collection[ConflictKind], keywords: list[str]
) -> int:
    """Returns the conflict that holds a study: a new one, or the open one with more keywords."""
    holding = select(CONFLICTS).where(
        CONFLICTS.c.study_instance_uid == study, CONFLICTS.c.state.in_(HOLDING)
    )
    row = connection.execute(holding).first()
    before = _conflict_texts(row) if row is not None else ([], [])
    values = {
        "kinds": json.dumps(sorted({*before[0], *kinds})),
        "keywords": json.dumps([*dict.fromkeys([*before[1], *keywords])]),
    }
    if row is None:
        new = {"study_instance_uid": study, "state": ConflictState.OPEN, "found_at": time.time()}
        made = connection.execute(
            CONFLICTS.insert().values(**new, **values).returning(CONFLICTS.c.conflict_id)
        )
        return int(made.scalar_one())
    of_row = CONFLICTS.c.conflict_id == row.conflict_id
    connection.execute(update(CONFLICTS).where(of_row).values(**values))
    conflict_id: int = row.conflict_id
    return conflict_id


def _conflict_texts(row: Row[Any]) -> tuple[list[str], list[str]]:
    return json.loads(row.kinds), json.loads(row.keywords)


def _decide(
    connection: Connection, conflict_id: int, n_instances: int, state: ConflictState, who: str
) -> str | None:
    """Stores a decision; returns the study, or None if the conflict has changed meanwhile."""
    study = connection.execute(
        update(CONFLICTS)
        .where(
            CONFLICTS.c.conflict_id == conflict_id,
            CONFLICTS.c.state.in_(HOLDING),
            CONFLICTS.c.state != state,
            _number_set_aside(conflict_id) == n_instances,
        )
        .values(state=state, decided_at=time.time(), decided_by=who)
        .returning(CONFLICTS.c.study_instance_uid)
    ).scalar_one_or_none()
    if study is not None:
        detail = f"{state}; {n_instances} instances had been set aside"
        record(
            connection,
            EventKind.CONFLICT_DECIDED,
            study,
            object_kind=ObjectKind.CONFLICT,
            object_name=str(conflict_id),
            who=who,
            detail=detail,
        )
    return study


def _look_again(connection: Connection, study: str) -> None:
    """Makes the dispatcher look at a study again."""
    of_study = STUDIES.c.study_instance_uid == study
    connection.execute(update(STUDIES).where(of_study).values(n_passed_on=0))
    index_again(connection, study)


def _supersede_jobs(connection: Connection, study: str) -> None:
    """Supersedes all jobs of a study, and has their results rejected where they were delivered."""
    reject_delivered_results(connection, study)
    reason = str(Message("reason.other_content"))
    connection.execute(
        update(JOBS)
        .where(
            JOBS.c.study_instance_uid == study,
            JOBS.c.state.in_((*UNFINISHED, JobState.SEGMENTED, JobState.HELD)),
        )
        .values(
            state=JobState.SUPERSEDED,
            reason=reason,
            ended_at=func.coalesce(JOBS.c.ended_at, time.time()),
        )
    )
    record(connection, EventKind.SUPERSEDED, study, object_kind=ObjectKind.STUDY, detail=reason)


def _number_set_aside(conflict_id: ColumnElement[int] | int) -> Any:
    return (
        select(func.count())
        .where(SET_ASIDE.c.conflict_id == conflict_id, SET_ASIDE.c.reason == AsideReason.CONFLICT)
        .scalar_subquery()
    )


def _of_conflict(conflict_id: int) -> Any:
    return update(SET_ASIDE).where(
        SET_ASIDE.c.conflict_id == conflict_id, SET_ASIDE.c.reason == AsideReason.CONFLICT
    )


def _job_ids(study: str) -> Any:
    return select(JOBS.c.job_id).where(JOBS.c.study_instance_uid == study)


def _aside_row(
    instance: KeptInstance, reason: AsideReason, conflict_id: int | None
) -> dict[str, Any]:
    return {
        "sop_instance_uid": instance.sop_instance_uid,
        "sha256": instance.sha256,
        "study_instance_uid": instance.study_instance_uid,
        "reason": reason,
        "conflict_id": conflict_id,
    }
