"""Who works: each worker says every few seconds that it lives, and on what it works."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from gateway.store.database import Database
from gateway.store.events import EventKind, ObjectKind, record
from gateway.store.schema import CONTROLS, WORKERS

SEEN_SECONDS = 5.0
LOST_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker when it was seen last.

    Attributes:
        worker: Its name, the same after each start.
        seen_at: Seconds since 1970, UTC.
        job_id: What it works on; None: nothing.
    """

    worker: str
    device: str
    seen_at: float
    job_id: str | None


class WorkerList:
    """Each method raises ResourceError where the database fails or is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database
        see = database.insert_or(WORKERS)
        self._see = see.on_conflict_do_update(
            index_elements=[WORKERS.c.worker],
            set_={
                "device": see.excluded.device,
                "seen_at": see.excluded.seen_at,
                "job_id": see.excluded.job_id,
            },
        )

    def see(self, worker: str, device: str, job_id: str | None) -> None:
        """Puts on record that a worker lives."""
        row = {"worker": worker, "device": device, "seen_at": time.time(), "job_id": job_id}
        with self._database.transaction() as connection:
            connection.execute(self._see, row)

    def leave(self, worker: str) -> None:
        """Takes a worker off the roster that ends as it should."""
        with self._database.transaction() as connection:
            connection.execute(delete(WORKERS).where(WORKERS.c.worker == worker))

    def workers(self) -> Sequence[Worker]:
        """Returns all that did not leave."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(WORKERS).order_by(WORKERS.c.worker)).all()
        return [Worker(**row._mapping) for row in rows]

    def lost(self, silent_seconds: float) -> set[str]:
        """Returns the workers that have not been seen for so long."""
        now = time.time()
        return {one.worker for one in self.workers() if now - one.seen_at > silent_seconds}

    def is_paused(self) -> bool:
        """Returns whether no further job is to be begun."""
        with self._database.transaction() as connection:
            return bool(connection.execute(select(CONTROLS.c.is_paused)).scalar())

    def pause(self, who: str, *, is_paused: bool) -> None:
        """Has no further job begun, or has them begun again."""
        self._control(is_paused=is_paused)
        with self._database.transaction() as connection:
            kind = EventKind.PAUSED if is_paused else EventKind.RESUMED
            record(connection, kind, "", object_kind=ObjectKind.QUEUE, who=who)

    def is_draining(self) -> bool:
        """Returns whether the gateway is to end when all that it has is done."""
        with self._database.transaction() as connection:
            return bool(connection.execute(select(CONTROLS.c.is_draining)).scalar())

    def drain(self, *, is_draining: bool) -> None:
        """Has the gateway take nothing more and end when all that it has is done, or not."""
        self._control(is_draining=is_draining)

    def _control(self, **values: bool) -> None:
        with self._database.transaction() as connection:
            if connection.execute(update(CONTROLS).values(**values)).rowcount == 0:
                connection.execute(
                    insert(CONTROLS).values({"is_paused": False, "is_draining": False, **values})
                )
