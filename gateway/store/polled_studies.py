"""What was taken from servers that are polled, so that a restart takes nothing again.

The instances themselves say less: retention may have deleted them since.
"""

import time
from collections.abc import Mapping

from sqlalchemy import delete, select

from gateway.store.database import Database
from gateway.store.schema import POLLED, POLLED_STUDIES


class PolledStudies:
    """A server as it was found; each method raises ResourceError where the database fails."""

    def __init__(self, database: Database, source: str) -> None:
        """Puts nothing on record yet.

        Args:
            database: Where it is on record.
            source: Names the server; the same after each start, and no other one's.
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
        """Returns the studies of which nothing is missing, and in which version of each."""
        statement = select(POLLED_STUDIES.c.study, POLLED_STUDIES.c.version)
        with self._database.transaction() as connection:
            of_source = POLLED_STUDIES.c.source == self._source
            return dict(connection.execute(statement.where(of_source)).all())

    def settle(self, study: str, version: str) -> None:
        """Puts on record that nothing of a study is missing.

        Args:
            study: As the server calls it.
            version: Is another one when the study has changed there.
        """
        with self._database.transaction() as connection:
            connection.execute(
                self._settle, {"source": self._source, "study": study, "version": version}
            )

    def forget(self, study: str) -> None:
        """Deletes what is on record of a study that the server does not have any more."""
        with self._database.transaction() as connection:
            connection.execute(
                delete(POLLED_STUDIES).where(
                    POLLED_STUDIES.c.source == self._source, POLLED_STUDIES.c.study == study
                )
            )
