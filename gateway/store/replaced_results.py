"""Stores which results are to be rejected at their destinations, and which job delivers the note.

This happens when a user takes another content of a study. The job on the new content, of the same
rule, delivers the note together with its own results.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from gateway.store.database import Database
from gateway.store.events import EventKind, ObjectKind, record
from gateway.store.job import Job
from gateway.store.schema import JOBS, REPLACED_RESULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacedResults:
    """The results of a replaced job that a destination has.

    Attributes:
        job_id: Of the job that made them.
        is_note_alone: Whether the destination gets the note and none of the new results.
    """

    job_id: str
    is_note_alone: bool


def assign_notes(connection: Connection, job: Job, destinations: Sequence[str]) -> Sequence[str]:
    """Makes a segmented job deliver the notes that no job delivers yet.

    Args:
        connection: In the transaction in which the job ends.
        job: The job.
        destinations: The destinations of its results.

    Returns:
        The destinations that get a note.
    """
    due = connection.execute(
        select(REPLACED_RESULTS.c.job_id, REPLACED_RESULTS.c.destination)
        .join(JOBS, JOBS.c.job_id == REPLACED_RESULTS.c.job_id)
        .where(
            JOBS.c.study_instance_uid == job.study_instance_uid,
            JOBS.c.rule == job.rule,
            REPLACED_RESULTS.c.new_job_id.is_(None),
        )
    ).all()
    for job_id, destination in due:
        connection.execute(
            update(REPLACED_RESULTS)
            .where(
                REPLACED_RESULTS.c.job_id == job_id,
                REPLACED_RESULTS.c.destination == destination,
            )
            .values(new_job_id=job.job_id, is_note_alone=destination not in destinations)
        )
    return [destination for _, destination in due]


def replaced_results(
    database: Database, job_id: str, destination: str
) -> Sequence[ReplacedResults]:
    """Returns the results that a delivery of a job has to reject.

    Raises:
        ResourceError: The database fails.
    """
    statement = (
        select(REPLACED_RESULTS.c.job_id, REPLACED_RESULTS.c.is_note_alone)
        .where(
            REPLACED_RESULTS.c.new_job_id == job_id,
            REPLACED_RESULTS.c.destination == destination,
        )
        .order_by(REPLACED_RESULTS.c.job_id)
    )
    with database.transaction() as connection:
        rows = connection.execute(statement).all()
    return [ReplacedResults(job_id=row.job_id, is_note_alone=row.is_note_alone) for row in rows]


def record_note_missing(database: Database, study: str, job_id: str, destination: str) -> None:
    """Records that results can't be rejected, since they are not on the disk any more.

    Raises:
        ResourceError: The database fails.
    """
    detail = (
        "no note of rejection, since the replaced results are deleted here; reject them there by "
        "hand"
    )
    with database.transaction() as connection:
        record(
            connection,
            EventKind.NOT_DELIVERED,
            study,
            object_kind=ObjectKind.DELIVERY,
            object_name=destination,
            job_id=job_id,
            detail=detail,
        )
