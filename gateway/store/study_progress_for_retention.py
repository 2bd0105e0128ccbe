"""Reads how far a study, its jobs and its deliveries have come, for the rules of retention."""

from dataclasses import dataclass

from sqlalchemy import Connection, Row, Select, func, select, update

from gateway.config import GatewaySettings
from gateway.store.conflict import ConflictState
from gateway.store.deliveries import DeliveryState
from gateway.store.events import EventKind
from gateway.store.job import RETRYABLE_STATES, UNFINISHED, JobState
from gateway.store.schema import (
    CONFLICTS,
    DELIVERIES,
    EVENTS,
    JOBS,
    STUDIES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOfJob:
    """The state of a delivery, for the rules of retention.

    Attributes:
        needs_commitment: Whether its destination has to commit itself to keep the results.
        done_at: When it was delivered or committed; seconds since 1970, UTC. None: not yet.
    """

    state: DeliveryState
    needs_commitment: bool
    done_at: float | None

    @property
    def is_done(self) -> bool:
        """Whether the destination has the results, and has committed itself if it has to."""
        return self.state is not DeliveryState.DEAD and not self.is_open

    @property
    def is_open(self) -> bool:
        """Whether the destination may still need the results."""
        return self.state is DeliveryState.WAITING or (
            self.state is DeliveryState.DELIVERED and self.needs_commitment
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOfStudy:
    """The state of a job, for the rules of retention."""

    job_id: str
    state: JobState
    ended_at: float | None
    deliveries: tuple[DeliveryOfJob, ...]

    @property
    def is_open(self) -> bool:
        """Whether the job or one of its deliveries is unfinished."""
        return self.state in UNFINISHED or any(delivery.is_open for delivery in self.deliveries)

    @property
    def is_failed(self) -> bool:
        """Whether a user may want to retry it, or one of its deliveries."""
        return self.state in RETRYABLE_STATES or any(
            delivery.state is DeliveryState.DEAD for delivery in self.deliveries
        )

    @property
    def done_at(self) -> float:
        """When the last part of it was done; seconds since 1970, UTC."""
        moments = (self.ended_at, *(delivery.done_at for delivery in self.deliveries))
        return max((moment for moment in moments if moment is not None), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyState:
    """The state of a study, for the rules of retention.

    Attributes:
        last_at: When its newest instance came, or a job or delivery of it was last given up,
            whichever is later; seconds since 1970, UTC.
        is_held: Whether a user has to decide about it.
        is_rejected: Whether a user has decided that nothing is made of it.
    """

    jobs: tuple[JobOfStudy, ...]
    last_at: float
    is_held: bool = False
    is_rejected: bool = False

    @property
    def is_open(self) -> bool:
        """Whether one of its jobs is open, or a user has to decide about it."""
        return self.is_held or any(job.is_open for job in self.jobs)

    @property
    def is_failed(self) -> bool:
        """Whether one of its jobs has failed, or the study was rejected."""
        return self.is_rejected or any(job.is_failed for job in self.jobs)

    @property
    def done_at(self) -> float:
        """When the last part of it was done; seconds since 1970, UTC."""
        return max(self.last_at, *(job.done_at for job in self.jobs), 0.0)


def read_study_state(connection: Connection, study: str, settings: GatewaySettings) -> StudyState:
    """Returns the state of a study; without jobs if there is nothing on record.

    Args:
        connection: In a transaction.
        study: Its Study Instance UID.
        settings: Of the gateway, with the destinations that have to commit themselves.
    """
    deliveries: dict[str, list[DeliveryOfJob]] = {}
    for row in connection.execute(_deliveries(study)):
        deliveries.setdefault(row.job_id, []).append(_delivery_of_job(row, settings))
    jobs = connection.execute(
        select(JOBS.c.job_id, JOBS.c.state, JOBS.c.ended_at).where(
            JOBS.c.study_instance_uid == study
        )
    ).all()
    conflicts = select(CONFLICTS.c.state).where(CONFLICTS.c.study_instance_uid == study)
    states = {ConflictState(state) for state in connection.execute(conflicts).scalars()}
    return StudyState(
        last_at=_last_at(connection, study),
        is_held=ConflictState.OPEN in states,
        is_rejected=ConflictState.REJECTED in states,
        jobs=tuple(
            JobOfStudy(
                job_id=row.job_id,
                state=JobState(row.state),
                ended_at=row.ended_at,
                deliveries=tuple(deliveries.get(row.job_id, ())),
            )
            for row in jobs
        ),
    )


def lock_study(connection: Connection, study: str) -> None:
    """Locks a study, its jobs and deliveries until the transaction ends.

    An update that changes nothing is a lock in every database.
    """
    jobs = select(JOBS.c.job_id).where(JOBS.c.study_instance_uid == study)
    of_study = STUDIES.c.study_instance_uid == study
    connection.execute(update(STUDIES).where(of_study).values(n_passed_on=STUDIES.c.n_passed_on))
    of_study = JOBS.c.study_instance_uid == study
    connection.execute(update(JOBS).where(of_study).values(run=JOBS.c.run))
    of_study = DELIVERIES.c.job_id.in_(jobs)
    connection.execute(update(DELIVERIES).where(of_study).values(run=DELIVERIES.c.run))


def _delivery_of_job(
    row: Row[str, str, str, float, float, str], settings: GatewaySettings
) -> DeliveryOfJob:
    section = settings.destination(row.destination)
    is_asked = row.transaction_uid is not None
    return DeliveryOfJob(
        state=DeliveryState(row.state),
        needs_commitment=is_asked or (section is not None and section.asks_for_commitment),
        done_at=row.committed_at or row.delivered_at,
    )


def _deliveries(study: str) -> Select[str, str, str, float, float, str]:
    return (
        select(
            DELIVERIES.c.job_id,
            DELIVERIES.c.destination,
            DELIVERIES.c.state,
            DELIVERIES.c.delivered_at,
            DELIVERIES.c.committed_at,
            DELIVERIES.c.transaction_uid,
        )
        .join(JOBS, JOBS.c.job_id == DELIVERIES.c.job_id)
        .where(JOBS.c.study_instance_uid == study)
    )


def _last_at(connection: Connection, study: str) -> float:
    received = select(STUDIES.c.last_received_at).where(STUDIES.c.study_instance_uid == study)
    given_up = select(func.max(EVENTS.c.at)).where(
        EVENTS.c.study_instance_uid == study, EVENTS.c.kind == EventKind.DEAD
    )
    moments = (connection.execute(statement).scalar() for statement in (received, given_up))
    return max(moment or 0.0 for moment in moments)
