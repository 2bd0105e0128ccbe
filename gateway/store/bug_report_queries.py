"""Reads what a bug report needs from the ledger: counts, failures, layout and integrity."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from gateway.store.counts_for_page_and_metrics import (
    arriving_studies,
    count_deliveries,
    count_instances,
    count_jobs,
    oldest_waiting_at,
)
from gateway.store.database import Database
from gateway.store.events import EventKind, Outcome
from gateway.store.migrate_schema import layout_of
from gateway.store.schema import CONFLICTS, EVENTS
from gateway.store.workers import WorkerList

FAILURES_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A kind of failure with the same reason.

    Attributes:
        detail: The reason, as it was stored; it may quote names.
        last_at: Seconds since 1970, UTC.
    """

    kind: EventKind
    detail: str
    n_times: int
    last_at: float


def queue_counts(database: Database, now: float) -> Mapping[str, Any]:
    """Returns the numbers of studies, jobs, deliveries and workers, by state.

    Args:
        database: Of the ledger.
        now: The time, in seconds since 1970, UTC.

    Raises:
        ResourceError: The database fails.
    """
    worker_list = WorkerList(database)
    deliveries: dict[str, int] = {}
    for (_, state), n in count_deliveries(database).items():
        deliveries[str(state)] = deliveries.get(str(state), 0) + n
    oldest = oldest_waiting_at(database)
    return {
        "instances": count_instances(database),
        "studies_arriving": len(arriving_studies(database)),
        "conflicts": _count_conflicts(database),
        "jobs": {str(state): n for state, n in count_jobs(database).items()},
        "deliveries": deliveries,
        "oldest_waiting_seconds": None if oldest is None else round(now - oldest),
        "workers": [
            {"device": worker.device, "silent_seconds": round(now - worker.seen_at)}
            for worker in worker_list.workers()
        ],
        "is_paused": worker_list.is_paused(),
        "is_drained": worker_list.is_draining(),
    }


def recent_failures(database: Database, since: float) -> Sequence[Failure]:
    """Returns the failures since some time, the most frequent first.

    Raises:
        ResourceError: The database fails.
    """
    number, last = func.count().label("n"), func.max(EVENTS.c.at).label("last_at")
    statement = (
        select(EVENTS.c.kind, EVENTS.c.detail, number, last)
        .where(EVENTS.c.outcome != Outcome.SUCCESS, EVENTS.c.at >= since)
        .group_by(EVENTS.c.kind, EVENTS.c.detail)
        .order_by(number.desc())
        .limit(FAILURES_SHOWN)
    )
    with database.transaction() as connection:
        rows = connection.execute(statement).all()
    return [
        Failure(
            kind=EventKind(row.kind), detail=row.detail or "", n_times=row.n, last_at=row.last_at
        )
        for row in rows
    ]


def present_layout(database: Database) -> str | None:
    """Returns the layout of the tables; None: there are none yet.

    Raises:
        ResourceError: The database fails.
    """
    with database.transaction() as connection:
        return layout_of(connection)


def check_file(file: Path) -> str:
    """Returns the result of SQLite's integrity check of a ledger, which it leaves as it is.

    It holds no value of a row.
    """
    if not file.exists():
        return "there is no ledger"
    try:
        address = f"{file.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return f"damaged, or can't be read: {error.sqlite_errorname}"
    return "ok" if found == ("ok",) else "damaged: its pages do not fit together"


def _count_conflicts(database: Database) -> int:
    with database.transaction() as connection:
        return connection.execute(select(func.count()).select_from(CONFLICTS)).scalar() or 0
