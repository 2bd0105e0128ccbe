"""Stores which studies of a polled server are complete here, so that a restart takes nothing again.

The ledger would not do: retention may have deleted the instances since.
"""

import time
from collections.abc import Mapping

from sqlalchemy import delete, select

from gateway.store.database import Database
from gateway.store.schema import POLLED, POLLED_STUDIES


class PolledStudies:
    """The studies of a polled server; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database, source: str) -> None:
        """Stores nothing yet.

        Args:
            database: With the rows.
            source: The name of the server: the same after each start, and unique.
        """
        self._database = database
        self._source = source
        self._begin = self._database.insert_or(POLLED).on_conflict_do_nothing()
        add = self._database.insert_or(POLLED_STUDIES)
        self._settle = add.on_conflict_do_update(
            index_elements=[POLLED_STUDIES.c.source, POLLED_STUDIES.c.study],
            set_={"version": add.excluded.version},
        )

    def begun_at(self) -> float:
        """Returns when it was polled for the first time: seconds since 1970, UTC."""
        with self._database.transaction() as connection:
            connection.execute(self._begin, {"source": self._source, "begun_at": time.time()})
            of_source = POLLED.c.source == self._source
            begun_at: float = connection.execute(
                select(POLLED.c.begun_at).where(of_source)
            ).scalar_one()
        return begun_at

    def studies(self) -> Mapping[str, str]:
        """Returns the studies of which nothing is missing, each with its version."""
        statement = select(POLLED_STUDIES.c.study, POLLED_STUDIES.c.version)
        with self._database.transaction() as connection:
            of_source = POLLED_STUDIES.c.source == self._source
            return dict(connection.execute(statement.where(of_source)).all())

    def settle(self, study: str, version: str) -> None:
        """Stores that nothing of a study is missing.

        Args:
            study: The identifier of the study at the server.
            version: Differs when the study has changed at the server.
        """
        with self._database.transaction() as connection:
            connection.execute(
                self._settle, {"source": self._source, "study": study, "version": version}
            )

    def forget(self, study: str) -> None:
        """Deletes a study that the server does not have any more."""
        with self._database.transaction() as connection:
            connection.execute(
                delete(POLLED_STUDIES).where(
                    POLLED_STUDIES.c.source == self._source, POLLED_STUDIES.c.study == study
                )
            )
