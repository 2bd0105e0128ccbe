"""What is on record of studies whose files are gone: it goes after years, as a whole.

Until then it says what was made of a study and where that went. Its events go only when they are
in the audit trail, and those that are about no study by themselves.
"""

from collections.abc import Callable, Iterable

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, select

from gateway.config import GatewaySettings
from gateway.retention.batching import Batches
from gateway.retention.rules import SECONDS_PER_DAY, KnownStudy, history_may_go
from gateway.retention.study_state import hold, known_study
from gateway.store.database import Database
from gateway.store.files import Storage
from gateway.store.schema import (
    AUDITED,
    CONFLICTS,
    DELIVERIES,
    EVENTS,
    JOBS,
    LEAVING,
    REPLACED_RESULTS,
    RESULTS,
    STUDIES,
)
from totalmap.log import get_logger

# Events about no study that are deleted in one sweep.
EVENTS_AT_ONCE = 1000

log = get_logger()


class HistoryDeletion:
    """Deletes histories; to be used as gateway/retention/retention.py is, by which it is."""

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
        """Looks at the next studies, and at the events that are about none.

        Raises:
            ResourceError: The database fails.
        """
        if self._settings.retention.history_days is None:
            return
        for study in self._studies.next_batch():
            self._delete_history(study)
        self._delete_other_events()

    def _before(self) -> float:
        return self._clock() - (self._settings.retention.history_days or 0.0) * SECONDS_PER_DAY

    def _old_studies(self) -> Iterable[str]:
        statement = (
            select(EVENTS.c.study_instance_uid)
            .where(EVENTS.c.at <= self._before(), EVENTS.c.study_instance_uid != "")
            .where(~exists().where(STUDIES.c.study_instance_uid == EVENTS.c.study_instance_uid))
            .distinct()
        )
        with self._database.transaction() as connection:
            return connection.execute(statement).scalars().all()

    def _delete_history(self, study: str) -> None:
        with self._database.transaction() as connection:
            if not self._may_go(connection, study):
                return
        with self._database.transaction() as connection:
            hold(connection, study)
            if not self._may_go(connection, study):
                return
            jobs = _delete_jobs(connection, study)
            of_study = (EVENTS.c.study_instance_uid == study, EVENTS.c.at <= self._before())
            events = connection.execute(delete(EVENTS).where(*of_study)).rowcount
        log.info("history_deleted", jobs=jobs, events=events)

    def _may_go(self, connection: Connection, study: str) -> bool:
        known = known_study(connection, study, self._settings)
        if self._has_files(connection, study, known):
            return False
        events = select(func.max(EVENTS.c.event_id), func.max(EVENTS.c.at)).where(
            EVENTS.c.study_instance_uid == study
        )
        last_id, last_at = connection.execute(events).one()
        if last_id is None or last_id > self._deletable(connection):
            return False
        return history_may_go(known, last_at, self._settings.retention, self._clock())

    def _has_files(self, connection: Connection, study: str, known: KnownStudy) -> bool:
        if any(self._storage.job_folder(one.job_id).exists() for one in known.jobs):
            return True
        tables = (STUDIES, LEAVING)
        rows = (select(1).where(one.c.study_instance_uid == study) for one in tables)
        return any(connection.execute(one).first() for one in rows)

    def _deletable(self, connection: Connection) -> int:
        """Returns the last event that may go: it is not the newest, and is in the audit trail.

        With the newest, SQLite would give its number again, and the audit trail miss an event.
        """
        limits = [(connection.execute(select(func.max(EVENTS.c.event_id))).scalar() or 0) - 1]
        for place in self._settings.audit.places:
            statement = select(AUDITED.c.event_id).where(AUDITED.c.place == place)
            limits.append(connection.execute(statement).scalar() or 0)
        return min(limits)

    def _delete_other_events(self) -> None:
        with self._database.transaction() as connection:
            found = _other_events(EVENTS.c.at <= self._before(), self._deletable(connection))
            connection.execute(delete(EVENTS).where(EVENTS.c.event_id.in_(found)))


def _other_events(is_old: ColumnElement[bool], until: int) -> Select[int]:
    is_about_none = EVENTS.c.study_instance_uid == ""
    events = select(EVENTS.c.event_id).where(is_old, is_about_none, EVENTS.c.event_id <= until)
    return events.limit(EVENTS_AT_ONCE)


def _delete_jobs(connection: Connection, study: str) -> int:
    """Deletes the jobs of a study, their results and deliveries; returns how many jobs."""
    jobs = select(JOBS.c.job_id).where(JOBS.c.study_instance_uid == study)
    for table in (DELIVERIES, RESULTS, REPLACED_RESULTS):
        connection.execute(delete(table).where(table.c.job_id.in_(jobs)))
    connection.execute(delete(CONFLICTS).where(CONFLICTS.c.study_instance_uid == study))
    return connection.execute(delete(JOBS).where(JOBS.c.study_instance_uid == study)).rowcount
