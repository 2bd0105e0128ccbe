"""Deletes what is on record of studies whose files were deleted years ago.

Until then the history says what was made of a study and where the results went. Its events are
deleted only when they are in the audit trail.
"""

from collections.abc import Callable, Sequence

from gateway.config import GatewaySettings
from gateway.retention.batching import Batches
from gateway.retention.rules import SECONDS_PER_DAY, history_may_go
from gateway.store.database import Connection, Database
from gateway.store.deletion import (
    delete_history,
    delete_other_events,
    has_sources,
    last_deletable_event,
    last_event,
    studies_without_sources,
)
from gateway.store.files import Storage
from gateway.store.study_state import StudyState, lock_study, read_study_state
from totalmap.log import get_logger

# Events about no study that are deleted in one sweep.
EVENTS_AT_ONCE = 1000

log = get_logger()


class HistoryDeletion:
    """Deletes histories; `Retention` uses it, in its own thread."""

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
