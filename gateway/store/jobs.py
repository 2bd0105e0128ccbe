"""Stores jobs: a rule applied to the content of a study. The jobs table is authoritative.

The queue (gateway/job_queue.py) only decides when a job begins. A worker that begins a job looks
here whether there is still something to do, so that nothing depends on what the queue remembers.
"""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from gateway.store.conflict import is_held
from gateway.store.database import Database
from gateway.store.events import EventKind, ObjectKind, record
from gateway.store.job import (
    NO_DOUBT,
    RETRYABLE_STATES,
    UNFINISHED,
    Job,
    JobState,
    Judgement,
    KeptResult,
    NewJob,
)
from gateway.store.job_statements import (
    COLUMNS,
    delivery_row,
    has_open_delivery,
    is_begun_by_nobody_else,
    is_outdated,
    job_of,
    requeuing,
    result_row,
    row_of,
    superseding,
    updating,
)
from gateway.store.ledger import GrowingStudy
from gateway.store.schema import DELIVERIES, JOBS, RESULTS, STUDIES
from totalmap.texts.catalogue import Message


class JobList:
    """The jobs on record; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._add = database.insert_or(JOBS).on_conflict_do_nothing().returning(JOBS.c.job_id)
        self._add_delivery = database.insert_or(DELIVERIES).on_conflict_do_nothing()

    def open(self, study: GrowingStudy, jobs: Sequence[NewJob], detail: str) -> list[str]:
        """Stores the jobs of a complete study, and returns the ids of those that are new.

        Jobs that wait or run on older content of the study are superseded.
        """
        with self._database.transaction() as connection:
            record(
                connection,
                EventKind.COMPLETE,
                study.study_instance_uid,
                object_kind=ObjectKind.STUDY,
                detail=detail,
            )
            new = [job.job_id for job in jobs if self._open(connection, job)]
            if not jobs:
                record(
                    connection,
                    EventKind.NOT_WANTED,
                    study.study_instance_uid,
                    object_kind=ObjectKind.STUDY,
                )
            _pass_on(connection, study)
        return new

    def leave_held(self, study: GrowingStudy) -> None:
        """Marks a held study as looked at, without jobs; a decision makes it be looked at again."""
        with self._database.transaction() as connection:
            _pass_on(connection, study)

    def begin(self, job_id: str, run: int, worker: str) -> Job | None:
        """Stores that a worker begins a job, and returns the job; None if there is nothing to do.

        Args:
            job_id: Of the job.
            run: Of the queue entry; the job may have been queued again since.
            worker: The worker.
        """
        with self._database.transaction() as connection:
            row = connection.execute(
                updating(job_id, *UNFINISHED)
                .where(JOBS.c.run == run, ~is_held(JOBS.c.study_instance_uid))
                .values(
                    state=JobState.RUNNING,
                    reason=None,
                    attempts=JOBS.c.attempts + 1,
                    started_at=time.time(),
                    ended_at=None,
                    worker=worker,
                )
                .returning(*COLUMNS)
            ).one_or_none()
            if row is None:
                return None
            job = job_of(row)
            _record(
                connection, EventKind.STARTED, job, who=worker, detail=f"attempt {job.attempts}"
            )
            return job

    def progress(
        self, job_id: str, stage: str, done: int | None = None, tiles: int | None = None
    ) -> None:
        """Stores the stage of a job, and how many of its tiles are done."""
        with self._database.transaction() as connection:
            connection.execute(
                updating(job_id, JobState.RUNNING).values(stage=stage, tiles_done=done, tiles=tiles)
            )

    def succeed(
        self,
        job_id: str,
        results: Sequence[KeptResult],
        *,
        judgement: Judgement = NO_DOUBT,
        begun: Job | None = None,
    ) -> bool:
        """Ends a running job with success and opens its deliveries; returns whether it still ran.

        Args:
            job_id: Of the job.
            results: All results.
            judgement: The verdict on them, which decides where they go.
            begun: The job as its worker began it. A job that another worker has begun since goes
                on.
        """
        with self._database.transaction() as connection:
            state = JobState.HELD if judgement.is_held else JobState.SEGMENTED
            job = self._end(connection, job_id, state, judgement.summary, begun)
            if job is None:
                return False
            connection.execute(
                update(JOBS).where(JOBS.c.job_id == job_id).values(verdict=judgement.verdict)
            )
            connection.execute(RESULTS.delete().where(RESULTS.c.job_id == job_id))
            for result in results:
                connection.execute(RESULTS.insert().values(result_row(job_id, result)))
            wanted = () if judgement.is_held else job.destinations.of(judgement.verdict)
            for destination in wanted:
                connection.execute(self._add_delivery.values(delivery_row(job_id, destination)))
            said = f"{len(results)} results, verdict {judgement.verdict}"
            _record(connection, EventKind.SEGMENTED, job, detail=said)
            if judgement.is_held:
                _record(connection, EventKind.HELD, job, detail=judgement.summary)
        return True

    def die(self, job_id: str, reason: str, *, begun: Job | None = None) -> bool:
        """Ends a job that can't succeed; returns whether it was unfinished.

        Args:
            job_id: Of the job.
            reason: Why.
            begun: As in `succeed`.
        """
        return self._stop(job_id, JobState.DEAD, EventKind.DEAD, reason, begun=begun)

    def cancel(self, job_id: str, who: str) -> bool:
        """Ends a job that a user does not want any more; returns whether it was unfinished."""
        reason = str(Message("reason.cancelled", who=who))
        return self._stop(job_id, JobState.CANCELLED, EventKind.CANCELLED, reason, who=who)

    def postpone(
        self,
        job_id: str,
        reason: str,
        not_before: float,
        *,
        is_attempt: bool = True,
        begun: Job | None = None,
    ) -> bool:
        """Puts a running job back into the queue.

        Args:
            job_id: Of the job.
            reason: Why.
            not_before: When it may begin; seconds since 1970, UTC.
            is_attempt: Whether the run counts as an attempt.
            begun: As in `succeed`.
        """
        with self._database.transaction() as connection:
            row = connection.execute(
                requeuing(job_id, [JobState.RUNNING])
                .where(is_begun_by_nobody_else(begun))
                .values(
                    not_before=not_before,
                    reason=reason,
                    attempts=JOBS.c.attempts - (not is_attempt),
                )
            ).one_or_none()
            if row is not None:
                _record(connection, EventKind.POSTPONED, job_of(row), detail=reason)
        return row is not None

    def retry(self, job_id: str, who: str) -> bool:
        """Queues a job again that is dead, held back or cancelled; returns whether it did.

        A job whose study has grown since is not queued: a newer job has replaced it. Nor is one
        whose results a person has taken back, before all destinations know it.
        """
        ended = requeuing(job_id, RETRYABLE_STATES).where(~is_outdated(), ~has_open_delivery())
        return self._requeue(ended.values(attempts=0, not_before=0.0), EventKind.RETRIED, who)

    def reopen(self, job_id: str) -> bool:
        """Queues a job again that succeeded and whose results are deleted; returns if it did."""
        with self._database.transaction() as connection:
            row = connection.execute(
                requeuing(job_id, [JobState.SEGMENTED]).values(attempts=0, not_before=0.0)
            ).one_or_none()
            if row is not None:
                for table in (DELIVERIES, RESULTS):
                    connection.execute(table.delete().where(table.c.job_id == job_id))
                _record(
                    connection, EventKind.QUEUED, job_of(row), detail="its results were deleted"
                )
        return row is not None

    def make_urgent(self, job_id: str, who: str) -> bool:
        """Makes a waiting job urgent; returns whether it did."""
        waiting = requeuing(job_id, [JobState.QUEUED])
        return self._requeue(
            waiting.values(is_urgent=True, not_before=0.0), EventKind.MADE_URGENT, who
        )

    def unqueued(self) -> Sequence[Job]:
        """Returns the jobs to be queued, the oldest first; none of held studies."""
        return self._select(~JOBS.c.is_enqueued, *_MAY_BE_DONE)

    def unfinished(self) -> Sequence[Job]:
        """Returns the jobs that are queued or running, the oldest first; none of held studies."""
        return self._select(JOBS.c.is_enqueued, *_MAY_BE_DONE)

    def enqueued(self, job: Job) -> None:
        """Stores that a job is in the queue."""
        with self._database.transaction() as connection:
            connection.execute(
                update(JOBS)
                .where(JOBS.c.job_id == job.job_id, JOBS.c.run == job.run)
                .values(is_enqueued=True)
            )

    def forgotten(self, job: Job) -> None:
        """Makes the dispatcher queue a job again that the queue has lost."""
        with self._database.transaction() as connection:
            connection.execute(requeuing(job.job_id, UNFINISHED).where(JOBS.c.run == job.run))

    def starting_with(self, start: str) -> Sequence[str]:
        """Returns the ids of jobs that begin with some characters, at most two."""
        statement = select(JOBS.c.job_id).where(JOBS.c.job_id.startswith(start, autoescape=True))
        with self._database.transaction() as connection:
            return connection.execute(statement.limit(2)).scalars().all()

    def job(self, job_id: str) -> Job | None:
        """Returns a job."""
        return next(iter(self._select(JOBS.c.job_id == job_id)), None)

    def jobs(
        self, states: Sequence[JobState] = tuple(JobState), *, limit: int = 100, offset: int = 0
    ) -> Sequence[Job]:
        """Returns jobs in some states, the newest first."""
        statement = (
            select(*COLUMNS)
            .where(JOBS.c.state.in_(states))
            .order_by(JOBS.c.created_at.desc(), JOBS.c.job_id)
            .limit(limit)
            .offset(offset)
        )
        with self._database.transaction() as connection:
            return [job_of(row) for row in connection.execute(statement)]

    def of_study(self, study_instance_uid: str) -> Sequence[Job]:
        """Returns the jobs of a study, the oldest first."""
        return self._select(JOBS.c.study_instance_uid == study_instance_uid)

    def results(self, job_id: str) -> Sequence[KeptResult]:
        """Returns the results of a job, in the order of their paths."""
        statement = select(RESULTS.c.path, RESULTS.c.kind, RESULTS.c.sop_instance_uid).where(
            RESULTS.c.job_id == job_id
        )
        with self._database.transaction() as connection:
            rows = connection.execute(statement.order_by(RESULTS.c.path)).all()
        return [KeptResult(**row._mapping) for row in rows]

    def ended_ids(self) -> Sequence[str]:
        """Returns the ids of the jobs that have ended."""
        statement = select(JOBS.c.job_id).where(JOBS.c.ended_at.is_not(None))
        with self._database.transaction() as connection:
            return connection.execute(statement).scalars().all()

    def all_results(self) -> Sequence[tuple[str, str]]:
        """Returns the job and the path of each result on record."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(RESULTS.c.job_id, RESULTS.c.path)).all()
        return [(row.job_id, row.path) for row in rows]

    def _open(self, connection: Connection, job: NewJob) -> bool:
        if connection.execute(self._add.values(row_of(job))).one_or_none() is None:
            return False
        reason = str(Message("reason.grown"))
        for row in connection.execute(superseding(job, reason)).all():
            _record(connection, EventKind.SUPERSEDED, job_of(row), detail=reason)
        record(
            connection,
            EventKind.QUEUED,
            job.study_instance_uid,
            object_kind=ObjectKind.JOB,
            job_id=job.job_id,
            detail=f"rule {job.rule}, {job.n_images} images, "
            f"{'urgent' if job.is_urgent else 'routine'}",
        )
        return True

    def _requeue(self, statement: Any, kind: EventKind, who: str) -> bool:
        with self._database.transaction() as connection:
            row = connection.execute(statement.values(reason=None)).one_or_none()
            if row is not None:
                job = job_of(row)
                for table in (DELIVERIES, RESULTS):  # of results that were released, and held again
                    connection.execute(table.delete().where(table.c.job_id == job.job_id))
                _record(connection, kind, job, who=who)
        return row is not None

    def _stop(
        self,
        job_id: str,
        state: JobState,
        kind: EventKind,
        reason: str,
        *,
        who: str | None = None,
        begun: Job | None = None,
    ) -> bool:
        with self._database.transaction() as connection:
            job = self._end(connection, job_id, state, reason, begun)
            if job is not None:
                _record(connection, kind, job, who=who, detail=reason)
        return job is not None

    def _end(
        self,
        connection: Connection,
        job_id: str,
        state: JobState,
        reason: str | None,
        begun: Job | None,
    ) -> Job | None:
        row = connection.execute(
            updating(job_id, *UNFINISHED)
            .where(is_begun_by_nobody_else(begun))
            .values(state=state, reason=reason, ended_at=time.time())
            .returning(*COLUMNS)
        ).one_or_none()
        return None if row is None else job_of(row)

    def _select(self, *conditions: Any) -> Sequence[Job]:
        statement = select(*COLUMNS).where(*conditions).order_by(JOBS.c.created_at, JOBS.c.job_id)
        with self._database.transaction() as connection:
            return [job_of(row) for row in connection.execute(statement)]


_MAY_BE_DONE = (JOBS.c.state.in_(UNFINISHED), ~is_held(JOBS.c.study_instance_uid))


def _pass_on(connection: Connection, study: GrowingStudy) -> None:
    connection.execute(
        update(STUDIES)
        .where(STUDIES.c.study_instance_uid == study.study_instance_uid)
        .values(n_passed_on=study.n_instances)
    )


def _record(
    connection: Connection,
    kind: EventKind,
    job: Job,
    *,
    who: str | None = None,
    detail: str | None = None,
) -> None:
    record(
        connection,
        kind,
        job.study_instance_uid,
        object_kind=ObjectKind.JOB,
        job_id=job.job_id,
        who=who,
        detail=detail,
    )
