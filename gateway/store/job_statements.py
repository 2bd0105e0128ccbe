"""Builds SQL statements for jobs, and converts rows; gateway/store/jobs.py executes them."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Row, Update, and_, exists, or_, true, update

from gateway.store.job import UNFINISHED, Destinations, Job, JobState, KeptResult, NewJob
from gateway.store.schema import DELIVERIES, JOBS

COLUMNS = [column for column in JOBS.c if column.name not in ("is_enqueued", "verdict")]


def job_of(row: Row[Any]) -> Job:
    """Returns the job of a row of `COLUMNS`."""
    values = dict(row._mapping)
    return Job(
        **{
            **values,
            "state": JobState(values["state"]),
            "application": json.loads(values["application"]),
            "destinations": _destinations(json.loads(values["destinations"])),
        }
    )


def _destinations(names: dict[str, list[str]] | list[str]) -> Destinations:
    if isinstance(names, list):  # how jobs were stored before destinations depended on the verdict
        return Destinations.for_every_verdict(*names)
    return Destinations(**{verdict: tuple(found) for verdict, found in names.items()})


def row_of(job: NewJob) -> dict[str, Any]:
    """Returns the row of a new job."""
    return {
        **asdict(job),
        "application": json.dumps(job.application),
        "destinations": json.dumps(asdict(job.destinations)),
        "state": JobState.QUEUED,
        "attempts": 0,
        "run": 1,
        "not_before": 0.0,
        "is_enqueued": False,
        "created_at": time.time(),
    }


def delivery_row(job_id: str, destination: str, decision_id: int = 0) -> dict[str, Any]:
    """Returns the row of a new delivery: of results, or of a decision about them."""
    return {
        "job_id": job_id,
        "destination": destination,
        "decision_id": decision_id,
        "state": "waiting",
        "attempts": 0,
        "run": 1,
        "not_before": 0.0,
        "is_enqueued": False,
        "created_at": time.time(),
    }


def result_row(job_id: str, result: KeptResult) -> dict[str, Any]:
    """Returns the row of a result."""
    return {"job_id": job_id, **asdict(result)}


def updating(job_id: str, *states: JobState) -> Update:
    """Returns an update of a job, on the condition that it is in one of some states."""
    return update(JOBS).where(JOBS.c.job_id == job_id, JOBS.c.state.in_(states))


def requeuing(job_id: str, states: Sequence[JobState]) -> Any:
    """Returns an update that puts a job into the queue again, and returns its `COLUMNS`."""
    return (
        updating(job_id, *states)
        .values(state=JobState.QUEUED, run=JOBS.c.run + 1, is_enqueued=False, ended_at=None)
        .returning(*COLUMNS)
    )


def superseding(job: NewJob, reason: str) -> Any:
    """Returns an update that ends unfinished jobs on older content and returns their `COLUMNS`."""
    return (
        update(JOBS)
        .where(
            JOBS.c.study_instance_uid == job.study_instance_uid,
            JOBS.c.rule == job.rule,
            JOBS.c.job_id != job.job_id,
            JOBS.c.state.in_(UNFINISHED),
        )
        .values(state=JobState.SUPERSEDED, reason=reason, ended_at=time.time())
        .returning(*COLUMNS)
    )


def is_outdated() -> ColumnElement[bool]:
    """Returns the condition that a newer job has replaced a job, since its study has grown."""
    newer = JOBS.alias()
    return exists().where(
        newer.c.study_instance_uid == JOBS.c.study_instance_uid,
        newer.c.rule == JOBS.c.rule,
        newer.c.created_at > JOBS.c.created_at,
    )


def has_open_delivery() -> ColumnElement[bool]:
    """Returns the condition that a job has a delivery to be made, which needs its results.

    What a decision delivers is still to be made after it was given up: a destination may show
    results that a person has taken back. A user can have it delivered again.
    """
    is_given_up = and_(DELIVERIES.c.state == "dead", DELIVERIES.c.decision_id > 0)
    is_open = or_(DELIVERIES.c.state == "waiting", is_given_up)
    return exists().where(DELIVERIES.c.job_id == JOBS.c.job_id, is_open)


def is_begun_by_nobody_else(begun: Job | None) -> ColumnElement[bool]:
    """Returns the condition that no other worker has begun a job since."""
    if begun is None:
        return true()
    is_same = and_(
        JOBS.c.worker == begun.worker, JOBS.c.run == begun.run, JOBS.c.attempts == begun.attempts
    )
    return or_(JOBS.c.state != JobState.RUNNING, is_same)
