"""Stores whether each destination answers, as the dispatcher last found."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, case, delete, select

from gateway.store.database import Database
from gateway.store.schema import DESTINATION_STATES

# The outcome of a test counts for so many times the wait between two tests, plus the time that a
# test may take.
_TESTS_MISSED = 2
_TEST_SECONDS = 60.0


class Reachability(StrEnum):
    """Whether a destination answers, in words."""

    ANSWERS = "answers"
    AWAY = "away"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationState:
    """The last test of a destination; times are seconds since 1970, UTC.

    Attributes:
        tested_at: When it was tested.
        fault: Why it does not answer as it should, without patient data; None: it answers.
        since: Since when it answers, or since when it does not.
        answered_at: When it last answered; None: it never did.
    """

    destination: str
    tested_at: float
    fault: str | None
    since: float
    answered_at: float | None

    @property
    def is_away(self) -> bool:
        """Whether the destination did not answer as it should."""
        return self.fault is not None


def reachability(state: DestinationState | None, test_seconds: float) -> Reachability:
    """Returns whether a destination answers; not known if its last test is too old.

    Args:
        state: The last test; None: it was never tested.
        test_seconds: The setting `deliver.test_seconds`.
    """
    longest = _TESTS_MISSED * test_seconds + _TEST_SECONDS
    if state is None or time.time() - state.tested_at > longest:
        return Reachability.UNKNOWN
    return Reachability.AWAY if state.is_away else Reachability.ANSWERS


class DestinationStates:
    """The states of destinations; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        of = DESTINATION_STATES.c
        add = database.insert_or(DESTINATION_STATES)
        new = add.excluded
        has_changed = of.fault.is_(None) != new.fault.is_(None)
        self._save = add.on_conflict_do_update(
            index_elements=[of.destination],
            set_={
                "tested_at": new.tested_at,
                "fault": new.fault,
                "since": case((has_changed, new.since), else_=of.since),
                "answered_at": _first_known(new.answered_at, of.answered_at),
            },
        )

    def save(self, destination: str, fault: str | None, now: float) -> None:
        """Stores the outcome of a test.

        Args:
            destination: Its name in the settings.
            fault: Why it does not answer as it should; None: it answers.
            now: Seconds since 1970, UTC.
        """
        row = {
            "destination": destination,
            "tested_at": now,
            "fault": fault,
            "since": now,
            "answered_at": now if fault is None else None,
        }
        with self._database.transaction() as connection:
            connection.execute(self._save, row)

    def all(self) -> Mapping[str, DestinationState]:
        """Returns the state of each destination that was tested, by its name."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(DESTINATION_STATES)).all()
        return {row.destination: DestinationState(**row._mapping) for row in rows}

    def forget_all_but(self, destinations: "tuple[str, ...]") -> None:
        """Deletes the states of destinations that the settings no longer name."""
        others = DESTINATION_STATES.c.destination.not_in(destinations)
        with self._database.transaction() as connection:
            connection.execute(delete(DESTINATION_STATES).where(others))


def _first_known(
    first: "ColumnElement[float | None]", second: "ColumnElement[float | None]"
) -> "ColumnElement[float | None]":
    return case((first.is_not(None), first), else_=second)
