"""Reads counts and lists for the page, /metrics and /health; changes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, Table, case, exists, func, select

from gateway.store.conflict import is_held
from gateway.store.counter_totals import (
    INSTANCES_DELETED,
    SEGMENTATION_LIMITS_SECONDS,
    SEGMENTATION_SECONDS_DELETED,
    SEGMENTED_JOBS_DELETED,
    deleted_totals,
    within_name,
)
from gateway.store.database import Database
from gateway.store.deliveries import DeliveryState, is_rejection
from gateway.store.job import UNFINISHED, Job, JobState
from gateway.store.job_statements import COLUMNS, job_of
from gateway.store.schema import DELIVERIES, JOBS, STUDIES


class Group(StrEnum):
    """A group of jobs on the page, by their states."""

    FAILED = "failed"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    WITHDRAWN = "withdrawn"


GROUP_STATES: Mapping[Group, tuple[JobState, ...]] = {
    Group.FAILED: (JobState.DEAD, JobState.HELD),
    Group.RUNNING: (JobState.RUNNING,),
    Group.WAITING: (JobState.QUEUED,),
    Group.DONE: (JobState.SEGMENTED,),
    Group.WITHDRAWN: (JobState.CANCELLED, JobState.SUPERSEDED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDelivery:
    """A delivery in a list of jobs; the fields are those of `Delivery`."""

    destination: str
    state: DeliveryState
    reason: str | None
    attempts: int
    delivered_at: float | None
    is_rejection: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivingStudy:
    """A study that is still being received.

    Attributes:
        last_received_at: Seconds since 1970, UTC.
    """

    study_instance_uid: str
    n_instances: int
    last_received_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationHealth:
    """The state of a destination.

    Attributes:
        waiting: The number of deliveries that were not delivered yet.
        failing: The number of those that have failed before.
        dead: The number of deliveries that were given up.
        last_delivered_at: Seconds since 1970, UTC; None: never.
        last_reason: Why the newest failing delivery failed; None: none is failing.
    """

    destination: str
    waiting: int
    failing: int
    dead: int
    last_delivered_at: float | None
    last_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long jobs took.

    Attributes:
        n_jobs: The number of jobs.
        total_seconds: The time of all of them together.
        n_within: For each of `SEGMENTATION_LIMITS_SECONDS`, the number of jobs that took no longer.
    """

    n_jobs: int
    total_seconds: float
    n_within: Sequence[int]


def count_jobs(database: Database) -> Mapping[JobState, int]:
    """Returns how many jobs are in each state.

    Raises:
        ResourceError: The database fails, here and in what follows.
    """
    statement = select(JOBS.c.state, func.count()).group_by(JOBS.c.state)
    with database.transaction() as connection:
        counts = {JobState(state): n for state, n in connection.execute(statement)}
    return {state: counts.get(state, 0) for state in JobState}


def is_idle(database: Database) -> bool:
    """Returns whether nothing is received, waits, runs or is to be delivered, but held studies."""
    unfinished = select(JOBS.c.job_id).where(
        JOBS.c.state.in_(UNFINISHED), ~is_held(JOBS.c.study_instance_uid)
    )
    waiting = (
        select(DELIVERIES.c.job_id)
        .join(JOBS, JOBS.c.job_id == DELIVERIES.c.job_id)
        .where(DELIVERIES.c.state == DeliveryState.WAITING, ~is_held(JOBS.c.study_instance_uid))
    )
    with database.transaction() as connection:
        is_busy = any(connection.execute(found.limit(1)).first() for found in (unfinished, waiting))
    return not (is_busy or arriving_studies(database))


def list_jobs(database: Database, group: Group, *, limit: int, offset: int = 0) -> Sequence[Job]:
    """Returns jobs of a group: those that come next, or ended last, are first."""
    statement = (
        select(*COLUMNS)
        .where(JOBS.c.state.in_(GROUP_STATES[group]))
        .order_by(*_ORDER[group], JOBS.c.job_id)
        .limit(limit)
        .offset(offset)
    )
    with database.transaction() as connection:
        return [job_of(row) for row in connection.execute(statement)]


_NEWEST_END = (JOBS.c.ended_at.desc(),)
_ORDER: Mapping[Group, tuple[Any, ...]] = {
    Group.FAILED: _NEWEST_END,
    Group.RUNNING: (JOBS.c.started_at,),
    Group.WAITING: (JOBS.c.is_urgent.desc(), JOBS.c.created_at),
    Group.DONE: _NEWEST_END,
    Group.WITHDRAWN: _NEWEST_END,
}


def deliveries_of(
    database: Database, job_ids: Iterable[str]
) -> Mapping[str, Sequence[ListedDelivery]]:
    """Returns the deliveries of each job, in the order of their destinations' names."""
    found: dict[str, list[ListedDelivery]] = {job_id: [] for job_id in job_ids}
    statement = (
        select(
            DELIVERIES.c.job_id,
            DELIVERIES.c.destination,
            DELIVERIES.c.state,
            DELIVERIES.c.reason,
            DELIVERIES.c.attempts,
            DELIVERIES.c.delivered_at,
            is_rejection(),
        )
        .where(DELIVERIES.c.job_id.in_(found), DELIVERIES.c.decision_id == 0)
        .order_by(DELIVERIES.c.destination)
    )
    with database.transaction() as connection:
        for job_id, destination, state, reason, attempts, at, rejects in connection.execute(
            statement
        ):
            delivery = ListedDelivery(
                destination=destination,
                state=DeliveryState(state),
                reason=reason,
                attempts=attempts,
                delivered_at=at,
                is_rejection=bool(rejects),
            )
            found[job_id].append(delivery)
    return found


def arriving_studies(database: Database) -> Sequence[ArrivingStudy]:
    """Returns the studies that are still being received, the newest first."""
    statement = (
        select(STUDIES.c.study_instance_uid, STUDIES.c.n_instances, STUDIES.c.last_received_at)
        .where(STUDIES.c.n_instances - STUDIES.c.n_passed_on > 0)
        .order_by(STUDIES.c.last_received_at.desc(), STUDIES.c.study_instance_uid)
    )
    with database.transaction() as connection:
        return [ArrivingStudy(**row._mapping) for row in connection.execute(statement)]


def count_deliveries(database: Database) -> Mapping[tuple[str, DeliveryState], int]:
    """Returns how many deliveries to each destination are in each state."""
    statement = select(DELIVERIES.c.destination, DELIVERIES.c.state, func.count()).group_by(
        DELIVERIES.c.destination, DELIVERIES.c.state
    )
    with database.transaction() as connection:
        rows = connection.execute(statement).all()
    return {(destination, DeliveryState(state)): n for destination, state, n in rows}


def destinations(database: Database, names: Iterable[str]) -> Sequence[DestinationHealth]:
    """Returns the state of each destination.

    Args:
        database: With the deliveries.
        names: Of destinations to be listed even without a delivery.
    """
    of = DELIVERIES.c
    is_waiting = of.state == DeliveryState.WAITING
    is_failing = is_waiting & (of.attempts > 0)
    statement = select(
        of.destination,
        _count(is_waiting),
        _count(is_failing),
        _count(of.state == DeliveryState.DEAD),
        func.max(of.delivered_at),
    ).group_by(of.destination)
    newest_reason = select(of.reason).where(is_failing).order_by(of.created_at.desc()).limit(1)
    with database.transaction() as connection:
        rows = {name: values for name, *values in connection.execute(statement)}
        found = []
        for name in sorted({*names, *rows}):
            waiting, failing, dead, last_delivered_at = rows.get(name, (0, 0, 0, None))
            reason = newest_reason.where(of.destination == name)
            found.append(
                DestinationHealth(
                    destination=name,
                    waiting=waiting,
                    failing=failing,
                    dead=dead,
                    last_delivered_at=last_delivered_at,
                    last_reason=connection.execute(reason).scalar() if failing else None,
                )
            )
    return found


def _count(condition: Any) -> Any:
    return func.sum(case((condition, 1), else_=0))


def oldest_waiting_at(database: Database) -> float | None:
    """Returns when the oldest job was created that waits; seconds since 1970, UTC."""
    statement = select(func.min(JOBS.c.created_at)).where(JOBS.c.state == JobState.QUEUED)
    with database.transaction() as connection:
        oldest: float | None = connection.execute(statement).scalar()
    return oldest


def count_instances(database: Database) -> int:
    """Returns how many instances have come, with those that were deleted since."""
    deleted = deleted_totals(database).get(INSTANCES_DELETED, 0)
    with database.transaction() as connection:
        here = connection.execute(select(func.sum(STUDIES.c.n_instances))).scalar() or 0
    return here + round(deleted)


def segmentation_seconds(database: Database) -> Durations:
    """Returns how long the jobs took that succeeded, with those that were deleted since."""
    took = JOBS.c.ended_at - JOBS.c.started_at
    within = [_count(took <= limit) for limit in SEGMENTATION_LIMITS_SECONDS]
    statement = select(func.count(), func.sum(took), *within).where(
        JOBS.c.state == JobState.SEGMENTED
    )
    with database.transaction() as connection:
        n_jobs, total, *counts = connection.execute(statement).one()
    deleted = deleted_totals(database)
    return Durations(
        n_jobs=n_jobs + round(deleted.get(SEGMENTED_JOBS_DELETED, 0)),
        total_seconds=(total or 0.0) + deleted.get(SEGMENTATION_SECONDS_DELETED, 0.0),
        n_within=[
            (count or 0) + round(deleted.get(within_name(limit), 0))
            for limit, count in zip(SEGMENTATION_LIMITS_SECONDS, counts, strict=True)
        ],
    )


def count_overdue_studies(database: Database, before: float) -> int:
    """Returns how many studies have instances that were not passed on, none newer than a moment.

    Args:
        database: With the studies.
        before: Seconds since 1970, UTC.
    """
    statement = select(func.count()).where(
        STUDIES.c.n_instances - STUDIES.c.n_passed_on > 0, STUDIES.c.last_received_at < before
    )
    with database.transaction() as connection:
        return connection.execute(statement).scalar_one()


def count_unqueued(database: Database, before: float) -> int:
    """Returns how many jobs and deliveries should be in the queue since a moment and are not.

    Args:
        database: With the jobs and deliveries.
        before: Seconds since 1970, UTC.
    """
    # What a decision delivers waits for the results, and no column says until when.
    of_results = DELIVERIES.c.decision_id == 0
    states = ((JOBS, JobState.QUEUED), (DELIVERIES, DeliveryState.WAITING, of_results))
    with database.transaction() as connection:
        return sum(
            connection.execute(_unqueued(table, state, before, *of_results)).scalar_one()
            for table, state, *of_results in states
        )


def _unqueued(table: Table, state: str, before: float, *conditions: Any) -> "Select[int]":
    jobs = JOBS.alias()
    is_free = exists().where(jobs.c.job_id == table.c.job_id, ~is_held(jobs.c.study_instance_uid))
    # Later runs are left out: no column says since when they should be in the queue.
    return select(func.count()).where(
        ~table.c.is_enqueued,
        table.c.state == state,
        table.c.run == 1,
        table.c.created_at < before,
        is_free,
        *conditions,
    )


def count_segmented_studies(database: Database, since: float) -> int:
    """Returns how many studies were segmented since a moment, each counted once.

    Args:
        database: With the jobs.
        since: Seconds since 1970, UTC.
    """
    statement = select(func.count(JOBS.c.study_instance_uid.distinct())).where(
        JOBS.c.ended_at >= since, JOBS.c.state == JobState.SEGMENTED
    )
    with database.transaction() as connection:
        return connection.execute(statement).scalar_one()
