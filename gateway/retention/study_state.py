"""What is on record of a study, as the rules of retention want to know it."""

from sqlalchemy import Connection, Label, Row, Select, exists, func, select, update

from gateway.config import GatewaySettings
from gateway.retention.rules import KnownDelivery, KnownJob, KnownStudy
from gateway.store.conflict import ConflictState
from gateway.store.deliveries import DeliveryState
from gateway.store.events import EventKind
from gateway.store.job import JobState
from gateway.store.schema import (
    CONFLICTS,
    DELIVERIES,
    EVENTS,
    JOBS,
    REPLACED_RESULTS,
    STUDIES,
)


def known_study(connection: Connection, study: str, settings: GatewaySettings) -> KnownStudy:
    """Returns what is on record of a study; without jobs where there is nothing.

    Args:
        connection: In whose transaction it is looked up.
        study: Its Study Instance UID.
        settings: With the destinations that have to commit themselves.
    """
    deliveries: dict[str, list[KnownDelivery]] = {}
    for row in connection.execute(_deliveries(study)):
        deliveries.setdefault(row.job_id, []).append(_known_delivery(row, settings))
    jobs = connection.execute(
        select(JOBS.c.job_id, JOBS.c.state, JOBS.c.ended_at, _is_note_due()).where(
            JOBS.c.study_instance_uid == study
        )
    ).all()
    conflicts = select(CONFLICTS.c.state).where(CONFLICTS.c.study_instance_uid == study)
    states = {ConflictState(state) for state in connection.execute(conflicts).scalars()}
    return KnownStudy(
        last_at=_last_at(connection, study),
        is_held=ConflictState.OPEN in states,
        is_rejected=ConflictState.REJECTED in states,
        jobs=tuple(
            KnownJob(
                job_id=row.job_id,
                state=JobState(row.state),
                ended_at=row.ended_at,
                deliveries=tuple(deliveries.get(row.job_id, ())),
                is_note_due=bool(row.is_note_due),
            )
            for row in jobs
        ),
    )


def hold(connection: Connection, study: str) -> None:
    """Keeps everybody else from changing a study, its jobs and deliveries in this transaction.

    An update that changes nothing does so in every database.
    """
    jobs = select(JOBS.c.job_id).where(JOBS.c.study_instance_uid == study)
    of_study = STUDIES.c.study_instance_uid == study
    connection.execute(update(STUDIES).where(of_study).values(n_passed_on=STUDIES.c.n_passed_on))
    of_study = JOBS.c.study_instance_uid == study
    connection.execute(update(JOBS).where(of_study).values(run=JOBS.c.run))
    of_study = DELIVERIES.c.job_id.in_(jobs)
    connection.execute(update(DELIVERIES).where(of_study).values(run=DELIVERIES.c.run))


def _known_delivery(
    row: Row[str, str, str, float, float, str], settings: GatewaySettings
) -> KnownDelivery:
    section = settings.destination(row.destination)
    dicom = section.dicom if section else None
    is_asked = row.transaction_uid is not None
    return KnownDelivery(
        state=DeliveryState(row.state),
        needs_commitment=is_asked or (dicom is not None and dicom.storage_commitment),
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


def _is_note_due() -> "Label[bool]":
    """Returns whether a note about a job's results has not arrived where these have."""
    has_arrived = exists().where(
        DELIVERIES.c.job_id == REPLACED_RESULTS.c.new_job_id,
        DELIVERIES.c.destination == REPLACED_RESULTS.c.destination,
        DELIVERIES.c.state.in_((DeliveryState.DELIVERED, DeliveryState.COMMITTED)),
    )
    due = exists().where(REPLACED_RESULTS.c.job_id == JOBS.c.job_id, ~has_arrived)
    return due.label("is_note_due")


def _last_at(connection: Connection, study: str) -> float:
    received = select(STUDIES.c.last_received_at).where(STUDIES.c.study_instance_uid == study)
    given_up = select(func.max(EVENTS.c.at)).where(
        EVENTS.c.study_instance_uid == study, EVENTS.c.what == EventKind.DEAD
    )
    moments = (connection.execute(one).scalar() for one in (received, given_up))
    return max(one or 0.0 for one in moments)
