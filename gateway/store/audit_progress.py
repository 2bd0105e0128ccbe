"""Stores how far the audit trail was written, for each place to which it goes."""

from sqlalchemy import select

from gateway.store.database import Database
from gateway.store.schema import AUDITED


class AuditProgress:
    """Each method raises ResourceError where the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        advance = database.insert_or(AUDITED)
        self._advance = advance.on_conflict_do_update(
            index_elements=[AUDITED.c.place], set_={"event_id": advance.excluded.event_id}
        )

    def last(self, place: str) -> int:
        """Returns the id of the last event that was written to a place; 0: there is none."""
        statement = select(AUDITED.c.event_id).where(AUDITED.c.place == place)
        with self._database.transaction() as connection:
            return connection.execute(statement).scalar() or 0

    def advance(self, place: str, event_id: int) -> None:
        """Stores that all events up to an id were written to a place."""
        with self._database.transaction() as connection:
            connection.execute(self._advance, {"place": place, "event_id": event_id})
