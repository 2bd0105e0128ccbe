"""Stores what deleted rows add to the counters of /metrics, so that no deletion makes them fall.

Prometheus takes a counter that falls for one that begins again at 0.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, insert, select, update

from gateway.store.database import Database
from gateway.store.schema import DELETED_TOTALS

# The times in which jobs are counted by /metrics.
SEGMENTATION_LIMITS_SECONDS = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
INSTANCES_DELETED = "instances"
SEGMENTED_JOBS_DELETED = "segmented_jobs"
SEGMENTATION_SECONDS_DELETED = "segmentation_seconds"


def within_name(limit_seconds: float) -> str:
    """Returns the name of the number of deleted jobs that took no longer than a limit."""
    return f"segmented_within_{limit_seconds:g}"


def add_deleted(connection: Connection, totals: Mapping[str, float]) -> None:
    """Adds to the totals of deleted rows, in the transaction that deletes them.

    Args:
        connection: In a transaction.
        totals: Names, with the values to add.
    """
    for name, value in totals.items():
        if not value:
            continue
        of_name = DELETED_TOTALS.c.name == name
        new = {"value": DELETED_TOTALS.c.value + value}
        if connection.execute(update(DELETED_TOTALS).where(of_name).values(new)).rowcount == 0:
            connection.execute(insert(DELETED_TOTALS).values(name=name, value=value))


def deleted_totals(database: Database) -> Mapping[str, float]:
    """Returns the totals of deleted rows; one that is missing is 0.

    Raises:
        ResourceError: The database fails.
    """
    with database.transaction() as connection:
        rows = connection.execute(select(DELETED_TOTALS.c.name, DELETED_TOTALS.c.value))
        return {row.name: row.value for row in rows}
