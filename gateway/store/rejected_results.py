"""Finds out whether results of a study were rejected where they were delivered.

Archives hide rejected objects for good (IHE IOCM). Results that are made again have the same UIDs,
so they need a key that gives them others.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from itertools import groupby

from sqlalchemy import Connection, RowMapping, select

from gateway.store.database import Database
from gateway.store.decision import (
    DELIVERED,
    HELD,
    Decision,
    DecisionKind,
    are_results_rejected,
)
from gateway.store.job import Job
from gateway.store.schema import DECISIONS, JOBS, REPLACED_RESULTS
from totalmap.finding import Verdict

_COLUMNS = [DECISIONS.c[name] for name in Decision.__slots__]


class RejectedResults:
    """The rejections on record; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def uid_key(self, job: Job) -> str:
        """Returns a key for the UIDs of the results that a job makes now.

        It follows from the rejections of results of the same study and rule, of this job and of
        others: these may have made the same objects of other images of the study.

        Returns:
            Hexadecimal digits; empty: no earlier results were rejected at a destination.
        """
        if not any(job.destinations.of(verdict) for verdict in Verdict):
            return ""
        with self._database.transaction() as connection:
            found = [*_by_people(connection, job), *_by_other_content(connection, job)]
        if not found:
            return ""
        return hashlib.sha256(json.dumps(sorted(found)).encode()).hexdigest()


def _by_people(connection: Connection, job: Job) -> Iterable[str]:
    """Yields the job, run and decisions of results that people have rejected."""
    statement = (
        select(*_COLUMNS, DECISIONS.c.verdict)
        .join(JOBS, JOBS.c.job_id == DECISIONS.c.job_id)
        .where(JOBS.c.study_instance_uid == job.study_instance_uid, JOBS.c.rule == job.rule)
        .order_by(DECISIONS.c.job_id, DECISIONS.c.run, DECISIONS.c.decision_id)
    )
    rows = connection.execute(statement).all()
    for (job_id, run), group in groupby(rows, key=lambda row: (row.job_id, row.run)):
        of_results = list(group)
        # Rejected ones may have been delivered with a note of quality control. The same run writes
        # the same note, so only what people have delivered counts.
        start = HELD if of_results[0].verdict == Verdict.REJECT else DELIVERED
        if are_results_rejected([_decision(row._mapping) for row in of_results], start):
            yield f"{job_id} {run}"


def _decision(row: RowMapping) -> Decision:
    values = {column.name: row[column] for column in _COLUMNS}
    return Decision(**{**values, "kind": DecisionKind(row["kind"])})


def _by_other_content(connection: Connection, job: Job) -> Sequence[str]:
    """Returns the jobs whose results were rejected, because other images were taken."""
    statement = (
        select(REPLACED_RESULTS.c.job_id)
        .join(JOBS, JOBS.c.job_id == REPLACED_RESULTS.c.job_id)
        .where(JOBS.c.study_instance_uid == job.study_instance_uid, JOBS.c.rule == job.rule)
        .distinct()
    )
    return connection.execute(statement).scalars().all()
