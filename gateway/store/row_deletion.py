"""Finds and deletes the rows of studies that retention may delete.

Functions that take a connection run in the transaction of their caller.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, exists, func, select, update

from gateway.store.counter_totals import (
    INSTANCES_DELETED,
    SEGMENTATION_LIMITS_SECONDS,
    SEGMENTATION_SECONDS_DELETED,
    SEGMENTED_JOBS_DELETED,
    add_deleted,
    within_name,
)
from gateway.store.database import Database
from gateway.store.events import EventKind
from gateway.store.job import UNFINISHED, JobState
from gateway.store.schema import (
    AUDITED,
    CONFLICTS,
    DECISION_SUBJECTS,
    DECISIONS,
    DELIVERIES,
    EVENTS,
    INSTANCES,
    JOBS,
    LEAVING,
    REPLACED_RESULTS,
    RESULTS,
    SET_ASIDE,
    STUDIES,
    TRANSFERS,
    WORKERS,
)
from gateway.store.study_index import delete_study_attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class LeavingStudy:
    """A study whose files are being removed.

    Attributes:
        since: When its rows were deleted; seconds since 1970, UTC.
        moved_at: When its files were moved out of the way; None: they were not.
    """

    study_instance_uid: str
    since: float
    moved_at: float | None


class LeavingStudies:
    """Studies whose files are removed; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        add = database.insert_or(LEAVING)
        self._add = add.on_conflict_do_update(
            index_elements=[LEAVING.c.study_instance_uid],
            set_={"since": add.excluded.since, "moved_at": None},
        )

    def add(self, connection: Connection, study: str, now: float) -> None:
        """Adds a study, in the transaction that deletes its rows."""
        connection.execute(self._add, {"study_instance_uid": study, "since": now})

    def to_be_moved(self, before: float, limit: int) -> Sequence[str]:
        """Returns studies whose files were not moved yet and that are not being received again.

        Args:
            before: Studies that were added, or received, after it are left out.
            limit: The largest number of studies.
        """
        is_coming = exists().where(
            STUDIES.c.study_instance_uid == LEAVING.c.study_instance_uid,
            STUDIES.c.last_received_at > before,
        )
        due = select(LEAVING.c.study_instance_uid).where(
            LEAVING.c.moved_at.is_(None), LEAVING.c.since <= before, ~is_coming
        )
        with self._database.transaction() as connection:
            return connection.execute(due.limit(limit)).scalars().all()

    def all(self) -> Sequence[LeavingStudy]:
        """Returns all studies whose files are being removed."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(LEAVING)).all()
        return [LeavingStudy(**row._mapping) for row in rows]

    def set_moved(self, study: str, now: float) -> None:
        """Stores that the files of a study were moved out of the way."""
        of_study = LEAVING.c.study_instance_uid == study
        with self._database.transaction() as connection:
            connection.execute(update(LEAVING).where(of_study).values(moved_at=now))

    def remove(self, leaving: LeavingStudy) -> None:
        """Removes a study whose files are gone, unless it was deleted again meanwhile."""
        with self._database.transaction() as connection:
            connection.execute(
                delete(LEAVING).where(
                    LEAVING.c.study_instance_uid == leaving.study_instance_uid,
                    LEAVING.c.moved_at == leaving.moved_at,
                )
            )


def studies_received_before(database: Database, before: float) -> Sequence[str]:
    """Returns the studies of which nothing came after a moment, the oldest first.

    Args:
        database: With the studies.
        before: Seconds since 1970, UTC.
    """
    statement = (
        select(STUDIES.c.study_instance_uid)
        .where(STUDIES.c.last_received_at <= before)
        .order_by(STUDIES.c.last_received_at)
    )
    with database.transaction() as connection:
        return connection.execute(statement).scalars().all()


def jobs_ended_before(
    database: Database, job_ids: Collection[str], before: float
) -> Sequence[tuple[str, str]]:
    """Returns those of some jobs that ended before a moment and have no worker, with their study.

    Args:
        database: With the jobs.
        job_ids: Of the jobs to choose from.
        before: Seconds since 1970, UTC.
    """
    statement = select(JOBS.c.job_id, JOBS.c.study_instance_uid).where(
        JOBS.c.job_id.in_(job_ids),
        JOBS.c.state.not_in(UNFINISHED),
        JOBS.c.ended_at <= before,
        ~exists().where(WORKERS.c.job_id == JOBS.c.job_id),
    )
    with database.transaction() as connection:
        return [(job_id, study) for job_id, study in connection.execute(statement)]


def is_passed_on(connection: Connection, study: str) -> bool:
    """Returns whether a study is on record and all that came of it was passed on."""
    is_growing = STUDIES.c.n_instances != STUDIES.c.n_passed_on
    statement = select(is_growing).where(STUDIES.c.study_instance_uid == study)
    return connection.execute(statement).scalar() is False


def count_results(connection: Connection, job_id: str) -> int:
    """Returns how many results a job has on record."""
    statement = select(func.count()).where(RESULTS.c.job_id == job_id)
    return connection.execute(statement).scalar_one()


def is_deletion_recorded(connection: Connection, job_id: str, study: str) -> bool:
    """Returns whether a deletion of the results that a job has now was interrupted before."""
    statement = select(func.count()).where(
        EVENTS.c.study_instance_uid == study,
        EVENTS.c.job_id == job_id,
        EVENTS.c.kind == EventKind.DELETED,
        EVENTS.c.at >= select(JOBS.c.ended_at).where(JOBS.c.job_id == job_id).scalar_subquery(),
    )
    return bool(connection.execute(statement).scalar_one())


def delete_sources(connection: Connection, study: str) -> int:
    """Deletes the rows of the instances of a study; returns how many instances."""
    others = INSTANCES.alias()
    transfers = select(INSTANCES.c.transfer).where(INSTANCES.c.study_instance_uid == study)
    has_others = exists().where(
        others.c.transfer == TRANSFERS.c.transfer, others.c.study_instance_uid != study
    )
    connection.execute(delete(TRANSFERS).where(TRANSFERS.c.transfer.in_(transfers), ~has_others))
    instances = connection.execute(
        delete(INSTANCES).where(INSTANCES.c.study_instance_uid == study)
    ).rowcount
    for table in (STUDIES, SET_ASIDE):
        connection.execute(delete(table).where(table.c.study_instance_uid == study))
    add_deleted(connection, {INSTANCES_DELETED: instances})
    return instances


def studies_without_sources(database: Database, before: float) -> Sequence[str]:
    """Returns studies that have events before a moment and no sources any more.

    Args:
        database: With the events.
        before: Seconds since 1970, UTC.
    """
    statement = (
        select(EVENTS.c.study_instance_uid)
        .where(EVENTS.c.at <= before, EVENTS.c.study_instance_uid != "")
        .where(~exists().where(STUDIES.c.study_instance_uid == EVENTS.c.study_instance_uid))
        .distinct()
    )
    with database.transaction() as connection:
        return connection.execute(statement).scalars().all()


def has_sources(connection: Connection, study: str) -> bool:
    """Returns whether a study has sources, or files of them that are still being removed."""
    tables = (STUDIES, LEAVING)
    rows = (select(1).where(table.c.study_instance_uid == study) for table in tables)
    return any(connection.execute(statement).first() for statement in rows)


def last_event(connection: Connection, study: str) -> tuple[int | None, float | None]:
    """Returns the id of the last event of a study, and when the newest was; None: there is none."""
    statement = select(func.max(EVENTS.c.event_id), func.max(EVENTS.c.at)).where(
        EVENTS.c.study_instance_uid == study
    )
    event_id, at = connection.execute(statement).one()
    return event_id, at


def last_deletable_event(connection: Connection, audit_places: Collection[str]) -> int:
    """Returns the last event that may be deleted: not the newest, and written to the audit trail.

    If the newest were deleted, SQLite would give its id again, and the audit trail miss an event.

    Args:
        connection: In a transaction.
        audit_places: Names of the places to which the audit trail goes.
    """
    limits = [(connection.execute(select(func.max(EVENTS.c.event_id))).scalar() or 0) - 1]
    for place in audit_places:
        statement = select(AUDITED.c.event_id).where(AUDITED.c.place == place)
        limits.append(connection.execute(statement).scalar() or 0)
    return min(limits)


def delete_history(connection: Connection, study: str, before: float) -> tuple[int, int]:
    """Deletes the jobs of a study with all that belongs to them, and its events up to a moment.

    Returns:
        How many jobs, and how many events.
    """
    add_deleted(connection, _segmented(connection, study))
    jobs = select(JOBS.c.job_id).where(JOBS.c.study_instance_uid == study)
    decisions = select(DECISIONS.c.decision_id).where(DECISIONS.c.job_id.in_(jobs))
    of_decisions = DECISION_SUBJECTS.c.decision_id.in_(decisions)
    connection.execute(delete(DECISION_SUBJECTS).where(of_decisions))
    for table in (DELIVERIES, RESULTS, REPLACED_RESULTS, DECISIONS):
        connection.execute(delete(table).where(table.c.job_id.in_(jobs)))
    delete_study_attributes(connection, study)
    connection.execute(delete(CONFLICTS).where(CONFLICTS.c.study_instance_uid == study))
    n_jobs = connection.execute(delete(JOBS).where(JOBS.c.study_instance_uid == study)).rowcount
    of_study = (EVENTS.c.study_instance_uid == study, EVENTS.c.at <= before)
    return n_jobs, connection.execute(delete(EVENTS).where(*of_study)).rowcount


def _segmented(connection: Connection, study: str) -> dict[str, float]:
    """Returns what the jobs of a study add to the counters of segmentation times."""
    took = select(JOBS.c.ended_at - JOBS.c.started_at).where(
        JOBS.c.study_instance_uid == study, JOBS.c.state == JobState.SEGMENTED
    )
    seconds = [value for value in connection.execute(took).scalars() if value is not None]
    return {
        SEGMENTED_JOBS_DELETED: len(seconds),
        SEGMENTATION_SECONDS_DELETED: sum(seconds),
        **{
            within_name(limit): sum(value <= limit for value in seconds)
            for limit in SEGMENTATION_LIMITS_SECONDS
        },
    }


def delete_other_events(connection: Connection, before: float, until_id: int, limit: int) -> None:
    """Deletes events that are about no study.

    Args:
        connection: In a transaction.
        before: Later ones stay; seconds since 1970, UTC.
        until_id: Ones with a larger id stay.
        limit: The largest number of events.
    """
    is_old = EVENTS.c.at <= before
    is_other = EVENTS.c.study_instance_uid == ""
    found = select(EVENTS.c.event_id).where(is_old, is_other, EVENTS.c.event_id <= until_id)
    connection.execute(delete(EVENTS).where(EVENTS.c.event_id.in_(found.limit(limit))))
