"""Stores readings of the machine's clocks, and whether the wall clock has jumped."""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from gateway.store.database import Database
from gateway.store.events import EventKind, ObjectKind, record
from gateway.store.schema import CLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """A reading of the clocks (gateway/clock.py).

    Attributes:
        jump_seconds: How far the wall clock has jumped since a user confirmed it; None: it has not.
    """

    boot_id: str
    boot_seconds: float
    wall_seconds: float
    jump_seconds: float | None = None


class ClockRecord:
    """The last clock reading; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self) -> ClockReading | None:
        """Returns the last reading; None: there is none yet."""
        with self._database.transaction() as connection:
            row = connection.execute(select(CLOCK)).first()
        return None if row is None else ClockReading(**row._mapping)

    def save(self, reading: ClockReading, moved_seconds: float = 0.0) -> None:
        """Stores a reading.

        Args:
            reading: With the whole jump that no user has confirmed.
            moved_seconds: How far the wall clock has jumped since the last reading; 0: it has not.
        """
        values = {name: getattr(reading, name) for name in ClockReading.__slots__}
        with self._database.transaction() as connection:
            connection.execute(delete(CLOCK))
            connection.execute(insert(CLOCK).values(values))
            if moved_seconds:
                detail = f"by {moved_seconds:+.0f} s"
                record(
                    connection,
                    EventKind.CLOCK_JUMPED,
                    "",
                    object_kind=ObjectKind.CLOCK,
                    detail=detail,
                )

    def confirm(self, who: str) -> bool:
        """Stores that a user says that the clock is right; returns whether it had jumped."""
        with self._database.transaction() as connection:
            jumped = CLOCK.c.jump_seconds.is_not(None)
            changed = connection.execute(update(CLOCK).where(jumped).values(jump_seconds=None))
            if changed.rowcount:
                record(
                    connection,
                    EventKind.CLOCK_CONFIRMED,
                    "",
                    object_kind=ObjectKind.CLOCK,
                    who=who,
                )
        return bool(changed.rowcount)
