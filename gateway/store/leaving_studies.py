"""Stores which studies are deleted on record while their files are still being removed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, exists, select, update

from gateway.store.database import Database
from gateway.store.schema import LEAVING, STUDIES


@dataclass(frozen=True, slots=True, kw_only=True)
class LeavingStudy:
    """A study whose files are being removed.

    Attributes:
        since: When its rows were deleted; seconds since 1970, UTC.
        moved_at: When its files were moved out of the way; None: they were not.
    """

    study_instance_uid: str
    since: float
    moved_at: float | None


class LeavingStudies:
    """Each method raises ResourceError where the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        add = database.insert_or(LEAVING)
        self._add = add.on_conflict_do_update(
            index_elements=[LEAVING.c.study_instance_uid],
            set_={"since": add.excluded.since, "moved_at": None},
        )

    def add(self, connection: Connection, study: str, now: float) -> None:
        """Adds a study, in the transaction that deletes its rows."""
        connection.execute(self._add, {"study_instance_uid": study, "since": now})

    def to_be_moved(self, before: float, limit: int) -> Sequence[str]:
        """Returns studies whose files were not moved yet and that are not being received again.

        Args:
            before: Studies that were added, or received, after it are left out.
            limit: The largest number of studies.
        """
        is_coming = exists().where(
            STUDIES.c.study_instance_uid == LEAVING.c.study_instance_uid,
            STUDIES.c.last_received_at > before,
        )
        due = select(LEAVING.c.study_instance_uid).where(
            LEAVING.c.moved_at.is_(None), LEAVING.c.since <= before, ~is_coming
        )
        with self._database.transaction() as connection:
            return connection.execute(due.limit(limit)).scalars().all()

    def all(self) -> Sequence[LeavingStudy]:
        """Returns all studies whose files are being removed."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(LEAVING)).all()
        return [LeavingStudy(**row._mapping) for row in rows]

    def set_moved(self, study: str, now: float) -> None:
        """Stores that the files of a study were moved out of the way."""
        of_study = LEAVING.c.study_instance_uid == study
        with self._database.transaction() as connection:
            connection.execute(update(LEAVING).where(of_study).values(moved_at=now))

    def remove(self, leaving: LeavingStudy) -> None:
        """Removes a study whose files are gone, unless it was deleted again meanwhile."""
        with self._database.transaction() as connection:
            connection.execute(
                delete(LEAVING).where(
                    LEAVING.c.study_instance_uid == leaving.study_instance_uid,
                    LEAVING.c.moved_at == leaving.moved_at,
                )
            )
