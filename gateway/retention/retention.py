"""What is deleted: by rule, after delivery and commitment, never before.

Sources go with their rows (gateway/retention/file_deletion.py): since then nothing of the study
counts as received. Jobs, results, deliveries and events stay on record as the study's history, for
years (gateway/retention/history_deletion.py). What is sent again after its results were deleted is
segmented again (gateway/dispatch/dispatcher.py).
"""

import time
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection, delete, exists, func, select

from gateway.config import GatewaySettings
from gateway.retention.batching import Batches
from gateway.retention.file_deletion import STEP_SECONDS, FileDeletion
from gateway.retention.history_deletion import HistoryDeletion
from gateway.retention.rules import (
    SECONDS_PER_DAY,
    results_may_go,
    sources_may_go,
)
from gateway.retention.study_state import hold, known_study
from gateway.store.database import Database
from gateway.store.events import EventKind, record
from gateway.store.files import INPUT_NAME, Storage
from gateway.store.job import UNFINISHED
from gateway.store.schema import (
    EVENTS,
    INSTANCES,
    JOBS,
    RESULTS,
    SET_ASIDE,
    STUDIES,
    TRANSFERS,
    WORKERS,
)


class Retention:
    """Deletes what may go, a little of it whenever it is told to.

    To be used in the process that puts jobs into the queue, and in the same thread: then none is
    begun while its folder is deleted.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        storage: Storage,
        database: Database,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Deletes nothing yet.

        Args:
            settings: With the rules, and the folder that the storage has.
            storage: With the files.
            database: With what is on record.
            clock: Returns seconds since 1970, UTC.
        """
        self._settings = settings
        self._rules = settings.retention
        self._storage = storage
        self._database = database
        self._clock = clock
        self._file_deletion = FileDeletion(
            settings.storage_folder / "leaving", storage, database, clock
        )
        self._history_deletion = HistoryDeletion(settings, storage, database, clock)
        self._studies = Batches(self._old_studies)
        self._jobs = Batches(self._job_folders)

    def apply(self) -> None:
        """Looks at the next studies, jobs and histories, and goes on with what is leaving.

        Raises:
            ResourceError: The database fails.
        """
        for job_id, study in self._finished(self._jobs.next_batch()):
            folder = self._storage.job_folder(job_id)
            self._file_deletion.remove(folder / INPUT_NAME, f"{job_id}.{INPUT_NAME}")
            self._delete_results(job_id, study)
        for study in self._studies.next_batch():
            self._delete_sources(study)
        self._file_deletion.go_on()
        self._history_deletion.apply()

    def _old_studies(self) -> Iterable[str]:
        """Returns the studies that came so long ago that they may have to go."""
        days = [
            one for one in (self._rules.sources_days, self._rules.failed_days) if one is not None
        ]
        if not days:
            return []
        before = self._clock() - min(days) * SECONDS_PER_DAY
        statement = select(STUDIES.c.study_instance_uid).where(STUDIES.c.last_received_at <= before)
        with self._database.transaction() as connection:
            ordered = statement.order_by(STUDIES.c.last_received_at)
            return connection.execute(ordered).scalars().all()

    def _job_folders(self) -> Iterable[str]:
        folder = self._settings.storage_folder / "jobs"
        return sorted(path.name for path in folder.iterdir())

    def _finished(self, job_ids: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Returns those of some jobs on which no worker works any more, each with its study."""
        statement = select(JOBS.c.job_id, JOBS.c.study_instance_uid).where(
            JOBS.c.job_id.in_(job_ids),
            JOBS.c.state.not_in(UNFINISHED),
            JOBS.c.ended_at <= self._clock() - STEP_SECONDS,
            ~exists().where(WORKERS.c.job_id == JOBS.c.job_id),
        )
        with self._database.transaction() as connection:
            return [(job_id, study) for job_id, study in connection.execute(statement)]

    def _delete_results(self, job_id: str, study: str) -> None:
        with self._database.transaction() as connection:
            if not self._results_may_go(connection, job_id, study):
                return
        with self._database.transaction() as connection:
            hold(connection, study)
            if not self._results_may_go(connection, job_id, study):
                return
            if not _is_deletion_on_record(connection, job_id, study):
                number = connection.execute(
                    select(func.count()).where(RESULTS.c.job_id == job_id)
                ).scalar_one()
                detail = f"results: {number} files"
                now = self._clock()
                record(connection, EventKind.DELETED, study, job_id=job_id, detail=detail, at=now)
        self._file_deletion.remove(self._storage.job_folder(job_id), job_id)

    def _results_may_go(self, connection: Connection, job_id: str, study: str) -> bool:
        known = known_study(connection, study, self._settings)
        (job,) = (one for one in known.jobs if one.job_id == job_id)
        return results_may_go(job, known, self._rules, self._clock())

    def _delete_sources(self, study: str) -> None:
        with self._database.transaction() as connection:
            if not self._sources_may_go(connection, study):
                return
        with self._database.transaction() as connection:
            hold(connection, study)
            if self._sources_may_go(connection, study):
                instances = _delete_rows(connection, study)
                self._file_deletion.begin(connection, study)
                detail = f"sources: {instances} instances"
                record(connection, EventKind.DELETED, study, detail=detail, at=self._clock())

    def _sources_may_go(self, connection: Connection, study: str) -> bool:
        is_growing = STUDIES.c.n_instances != STUDIES.c.n_passed_on
        statement = select(is_growing).where(STUDIES.c.study_instance_uid == study)
        if connection.execute(statement).scalar() is not False:
            return False
        known = known_study(connection, study, self._settings)
        return sources_may_go(known, self._rules, self._clock())


def _delete_rows(connection: Connection, study: str) -> int:
    """Deletes what is on record of the sources of a study; returns how many instances."""
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
    return instances


def _is_deletion_on_record(connection: Connection, job_id: str, study: str) -> bool:
    """Returns whether a deletion of the results that a job has now was cut off before."""
    statement = select(func.count()).where(
        EVENTS.c.study_instance_uid == study,
        EVENTS.c.job_id == job_id,
        EVENTS.c.what == EventKind.DELETED,
        EVENTS.c.at >= select(JOBS.c.ended_at).where(JOBS.c.job_id == job_id).scalar_subquery(),
    )
    return bool(connection.execute(statement).scalar_one())
