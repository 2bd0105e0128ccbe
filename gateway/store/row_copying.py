"""Copies all rows of one ledger into another, which may be another kind of database."""

from sqlalchemy import BigInteger, Connection, Integer, Table, func, insert, select, text

from gateway.store.schema import METADATA, SCHEMA
from totalmap.errors import ConfigError

BATCH_ROWS = 1000
_TABLES = [table for table in METADATA.sorted_tables if table is not SCHEMA]


def copy_rows(source: Connection, target: Connection) -> int:
    """Copies all rows, and returns how many.

    Args:
        source: In a transaction that sees one state of its database.
        target: In a transaction; its tables have the layout of this version and are empty.

    Raises:
        ConfigError: The target is not empty.
    """
    for table in _TABLES:
        if target.execute(select(table).limit(1)).first() is not None:
            raise ConfigError(
                f"the database to copy to has rows in its table {table.name} already: name an "
                "empty database"
            )
    n_rows = 0
    for table in _TABLES:
        found = source.execution_options(yield_per=BATCH_ROWS).execute(select(table))
        for rows in found.mappings().partitions():
            target.execute(insert(table), [dict(row) for row in rows])
            n_rows += len(rows)
        if target.dialect.name == "postgresql":
            _continue_numbers(table, target)
    return n_rows


def _continue_numbers(table: Table, target: Connection) -> None:
    """Has Postgres number the next row after those that were copied with their numbers."""
    column = table.autoincrement_column
    if column is None or not isinstance(column.type, (Integer, BigInteger)):
        return
    if target.execute(select(func.max(column))).scalar() is not None:
        target.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'), "  # noqa: S608  names of ours
                f"(SELECT max({column.name}) FROM {table.name}))"
            )
        )
