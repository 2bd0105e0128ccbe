"""Stores which workers live, and on which job each works; pauses and drains the gateway."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select, update

from gateway.store.database import Database
from gateway.store.events import EventKind, ObjectKind, record
from gateway.store.schema import CLOCK, CONTROLS, EVENTS, WORKERS

SEEN_SECONDS = 5.0
LOST_SECONDS = 30.0
_RUNNING = {"is_paused": False, "is_draining": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker, as it last reported.

    Attributes:
        worker: Its name, the same at each start.
        seen_at: Seconds since 1970, UTC.
        job_id: The job on which it works; None: it is idle.
    """

    worker: str
    device: str
    seen_at: float
    job_id: str | None


class WorkerList:
    """The workers on record; each method raises ResourceError if the database fails."""

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
        """Stores that a worker lives."""
        row = {"worker": worker, "device": device, "seen_at": time.time(), "job_id": job_id}
        with self._database.transaction() as connection:
            connection.execute(self._see, row)

    def leave(self, worker: str) -> None:
        """Removes a worker that ends as it was told to."""
        with self._database.transaction() as connection:
            connection.execute(delete(WORKERS).where(WORKERS.c.worker == worker))

    def workers(self) -> Sequence[Worker]:
        """Returns all workers that have not ended as they were told to."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(WORKERS).order_by(WORKERS.c.worker)).all()
        return [Worker(**row._mapping) for row in rows]

    def lost(self, silent_seconds: float) -> set[str]:
        """Returns the names of the workers that have not reported for some seconds."""
        now = time.time()
        return {worker.worker for worker in self.workers() if now - worker.seen_at > silent_seconds}

    def last_sign_of_life(self) -> float | None:
        """Returns when a process of the gateway last left a trace; None: none ever has.

        Seconds since 1970, UTC: the latest report of a worker, reading of the clock, or start or
        end of a process.
        """
        is_process = EVENTS.c.object_kind == ObjectKind.PROCESS
        found = [
            select(func.max(WORKERS.c.seen_at)),
            select(func.max(CLOCK.c.wall_seconds)),
            select(func.max(EVENTS.c.at)).where(is_process),
        ]
        with self._database.transaction() as connection:
            moments = [connection.execute(statement).scalar() for statement in found]
        return max((moment for moment in moments if moment is not None), default=None)

    def is_paused(self) -> bool:
        """Returns whether no more jobs are to be begun."""
        with self._database.transaction() as connection:
            return bool(connection.execute(select(CONTROLS.c.is_paused)).scalar())

    def pause(self, who: str, *, is_paused: bool) -> None:
        """Stops the start of jobs; or resumes it, and the reception of a drained gateway."""
        self._control(**{"is_paused": True} if is_paused else _RUNNING)
        with self._database.transaction() as connection:
            kind = EventKind.PAUSED if is_paused else EventKind.RESUMED
            record(connection, kind, "", object_kind=ObjectKind.QUEUE, who=who)

    def is_draining(self) -> bool:
        """Returns whether the gateway receives nothing, and ends when all its work is done."""
        with self._database.transaction() as connection:
            return bool(connection.execute(select(CONTROLS.c.is_draining)).scalar())

    def drain(self, who: str) -> None:
        """Makes the gateway receive nothing until it is resumed, and end when its work is done."""
        self._control(is_draining=True)
        with self._database.transaction() as connection:
            record(connection, EventKind.DRAINING, "", object_kind=ObjectKind.QUEUE, who=who)

    def _control(self, **values: bool) -> None:
        with self._database.transaction() as connection:
            if connection.execute(update(CONTROLS).values(**values)).rowcount == 0:
                connection.execute(insert(CONTROLS).values({**_RUNNING, **values}))
