"""Deletes sources and results by rule, after delivery and commitment, with a trusted clock.

Sources are deleted with their rows (gateway/retention/file_deletion.py): from then on nothing of
the study counts as received. Jobs, results, deliveries and events stay on record as the study's
history, for years (`HistoryDeletion`). A study that is sent again after its results were deleted is
segmented again (gateway/dispatch/dispatcher.py).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from gateway.clock import Clock
from gateway.config import GatewaySettings
from gateway.retention.deletion_rules import (
    SECONDS_PER_DAY,
    history_may_go,
    results_may_go,
    sources_may_go,
)
from gateway.retention.file_deletion import STEP_SECONDS, FileDeletion
from gateway.store.clock_record import ClockReading, ClockRecord
from gateway.store.database import Connection, Database
from gateway.store.events import EventKind, ObjectKind, record
from gateway.store.file_storage import INPUT_NAME, Storage
from gateway.store.row_deletion import (
    count_results,
    delete_history,
    delete_other_events,
    delete_sources,
    has_sources,
    is_deletion_recorded,
    is_passed_on,
    jobs_ended_before,
    last_deletable_event,
    last_event,
    studies_received_before,
    studies_without_sources,
)
from gateway.store.study_index import delete_study_attributes
from gateway.store.study_progress_for_retention import StudyState, lock_study, read_study_state
from totalmap.log import get_logger

# NTP moves a clock by less, unless the clock was wrong for long.
TOLERANCE_SECONDS = 60.0
# A share of the time between two readings: a bad quartz is wrong by 0.01 %.
TOLERANCE_SHARE = 0.001
LONGEST_OFF_SECONDS = 86_400.0
# The number of studies or jobs in one batch, so that nothing else waits for long.
AT_ONCE = 25
# The number of events without a study that are deleted in one sweep.
EVENTS_AT_ONCE = 1000

log = get_logger()


class ClockGuard:
    """Compares the wall clock with the time since the boot: after a jump, nothing is deleted.

    How long ago something was delivered is known by the wall clock alone. After a reboot it
    is not known how long the machine was off: then the clock must not go back, nor forward by more
    than a day. A user has to confirm a clock that has jumped.
    """

    def __init__(self, clock: Clock, records: ClockRecord) -> None:
        self._clock = clock
        self._records = records

    def is_trusted(self) -> bool:
        """Returns whether the wall clock has not jumped since a user confirmed it.

        Raises:
            ResourceError: The database fails.
        """
        last = self._records.last()
        now = ClockReading(
            boot_id=self._clock.boot_id(),
            boot_seconds=self._clock.boot_seconds(),
            wall_seconds=self._clock.wall_seconds(),
        )
        moved = 0.0 if last is None else _jump_seconds(last, now)
        jump = last.jump_seconds if last is not None else None
        if moved:
            jump = (jump or 0.0) + moved
            log.error("clock_jumped", seconds=round(moved))
        self._records.save(
            ClockReading(
                boot_id=now.boot_id,
                boot_seconds=now.boot_seconds,
                wall_seconds=now.wall_seconds,
                jump_seconds=jump,
            ),
            moved,
        )
        return jump is None


def _jump_seconds(last: ClockReading, now: ClockReading) -> float:
    """Returns how many seconds the wall clock has jumped between two readings; 0: it has not."""
    wall = now.wall_seconds - last.wall_seconds
    is_same_boot = bool(now.boot_id) and now.boot_id == last.boot_id
    if is_same_boot:
        elapsed = now.boot_seconds - last.boot_seconds
        jump = wall - elapsed
        return jump if abs(jump) > TOLERANCE_SECONDS + TOLERANCE_SHARE * elapsed else 0.0
    return wall if not -TOLERANCE_SECONDS <= wall <= LONGEST_OFF_SECONDS else 0.0


class Batches:
    """Goes through items again and again, a batch at a time."""

    def __init__(self, everything: Callable[[], Iterable[str]]) -> None:
        self._everything = everything
        self._left: Iterator[str] = iter(())

    def next_batch(self) -> Sequence[str]:
        """Returns the next items; after the last ones, the first again."""
        found = list(islice(self._left, AT_ONCE))
        if not found:
            self._left = iter(self._everything())
            found = list(islice(self._left, AT_ONCE))
        return found


class HistoryDeletion:
    """Deletes jobs and events of studies whose files were deleted years ago.

    Until then the history says what was made of a study and where the results went. Its events are
    deleted only when they are in the audit trail. `Retention` uses it, in its own thread.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        storage: Storage,
        database: Database,
        clock: Callable[[], float],
    ) -> None:
        """Deletes nothing yet; the arguments are those of `Retention`."""
        self._settings = settings
        self._storage = storage
        self._database = database
        self._clock = clock
        self._studies = Batches(self._old_studies)

    def apply(self) -> None:
        """Deletes the histories of the next studies, and events that are about no study.

        Raises:
            ResourceError: The database fails.
        """
        if self._settings.retention.history_days is None:
            return
        for study in self._studies.next_batch():
            self._delete_history(study)
        with self._database.transaction() as connection:
            until = self._last_deletable(connection)
            delete_other_events(connection, self._before(), until, EVENTS_AT_ONCE)

    def _before(self) -> float:
        return self._clock() - (self._settings.retention.history_days or 0.0) * SECONDS_PER_DAY

    def _old_studies(self) -> Sequence[str]:
        return studies_without_sources(self._database, self._before())

    def _delete_history(self, study: str) -> None:
        with self._database.transaction() as connection:
            if not self._may_be_deleted(connection, study):
                return
        with self._database.transaction() as connection:
            lock_study(connection, study)
            if not self._may_be_deleted(connection, study):
                return
            jobs, events = delete_history(connection, study, self._before())
        log.info("history_deleted", jobs=jobs, events=events)

    def _may_be_deleted(self, connection: Connection, study: str) -> bool:
        state = read_study_state(connection, study, self._settings)
        if has_sources(connection, study) or self._has_results(state):
            return False
        last_id, last_at = last_event(connection, study)
        if last_id is None or last_at is None or last_id > self._last_deletable(connection):
            return False
        return history_may_go(state, last_at, self._settings.retention, self._clock())

    def _has_results(self, state: StudyState) -> bool:
        return any(self._storage.job_folder(job.job_id).exists() for job in state.jobs)

    def _last_deletable(self, connection: Connection) -> int:
        return last_deletable_event(connection, self._settings.audit.places)


class Retention:
    """Deletes what the rules allow, a batch at each call.

    To be used in the process that queues jobs, and in the same thread: then no job is begun while
    its folder is deleted.
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
            settings: Of the gateway, with the rules and the storage folder.
            storage: With the files.
            database: With the rows.
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
        """Deletes from the next batch of studies, jobs and histories.

        Raises:
            ResourceError: The database fails.
        """
        before = self._clock() - STEP_SECONDS
        for job_id, study in jobs_ended_before(self._database, self._jobs.next_batch(), before):
            folder = self._storage.job_folder(job_id)
            self._file_deletion.remove(folder / INPUT_NAME, f"{job_id}.{INPUT_NAME}")
            self._delete_results(job_id, study)
        for study in self._studies.next_batch():
            self._delete_sources(study)
        self._file_deletion.go_on()
        self._history_deletion.apply()

    def _old_studies(self) -> Iterable[str]:
        """Returns the studies that are so old that they may have to be deleted."""
        rules = self._rules
        days = [days for days in (rules.sources_days, rules.failed_days) if days is not None]
        if not days:
            return []
        before = self._clock() - min(days) * SECONDS_PER_DAY
        return studies_received_before(self._database, before)

    def _job_folders(self) -> Iterable[str]:
        folder = self._settings.storage_folder / "jobs"
        return sorted(path.name for path in folder.iterdir())

    def _delete_results(self, job_id: str, study: str) -> None:
        with self._database.transaction() as connection:
            if not self._results_may_go(connection, job_id, study):
                return
        with self._database.transaction() as connection:
            lock_study(connection, study)
            if not self._results_may_go(connection, job_id, study):
                return
            if not is_deletion_recorded(connection, job_id, study):
                detail = f"results: {count_results(connection, job_id)} files"
                record(
                    connection,
                    EventKind.DELETED,
                    study,
                    object_kind=ObjectKind.RESULTS,
                    job_id=job_id,
                    detail=detail,
                    at=self._clock(),
                )
            if not has_sources(connection, study):
                self._forget_patient(connection, study, but=job_id)
        self._file_deletion.remove(self._storage.job_folder(job_id), job_id)

    def _results_may_go(self, connection: Connection, job_id: str, study: str) -> bool:
        state = read_study_state(connection, study, self._settings)
        (job,) = (job for job in state.jobs if job.job_id == job_id)
        return results_may_go(job, state, self._rules, self._clock())

    def _delete_sources(self, study: str) -> None:
        with self._database.transaction() as connection:
            if not self._sources_may_go(connection, study):
                return
        with self._database.transaction() as connection:
            lock_study(connection, study)
            if self._sources_may_go(connection, study):
                instances = delete_sources(connection, study)
                self._file_deletion.begin(connection, study)
                self._forget_patient(connection, study)
                detail = f"sources: {instances} instances"
                record(
                    connection,
                    EventKind.DELETED,
                    study,
                    object_kind=ObjectKind.SOURCES,
                    detail=detail,
                    at=self._clock(),
                )

    def _forget_patient(self, connection: Connection, study: str, but: str = "") -> None:
        """Deletes the attributes of a study that has no sources, unless it has results.

        Args:
            connection: In a transaction.
            study: The Study Instance UID.
            but: A job whose results are being deleted.
        """
        jobs = read_study_state(connection, study, self._settings).jobs
        folders = (self._storage.job_folder(job.job_id) for job in jobs if job.job_id != but)
        if not any(folder.exists() for folder in folders):
            delete_study_attributes(connection, study)

    def _sources_may_go(self, connection: Connection, study: str) -> bool:
        if not is_passed_on(connection, study):
            return False
        state = read_study_state(connection, study, self._settings)
        return sources_may_go(state, self._rules, self._clock())
