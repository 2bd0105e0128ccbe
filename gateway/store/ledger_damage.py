"""Detects damage to the files of ledger and queue, and keeps processes from using the ledger.

A mark beside the file tells the other processes, which may not have read a damaged page yet.
"""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from sqlite3 import SQLITE_CORRUPT, SQLITE_NOTADB

from totalmap.errors import ExitStatus, ResourceError
from totalmap.log import get_logger

# Postgres: data_corrupted and index_corrupted.
_POSTGRES_DAMAGE = ("XX001", "XX002")
# SQLite's extended codes carry more in the higher bits.
_PRIMARY_CODE = 0xFF

log = get_logger()


class DamagedLedger(ResourceError):
    """The ledger does not hold what was written to it; a restart would not help."""

    exit_status = ExitStatus.OWN_CHECK


class DamageMark:
    """Tells all processes of a storage folder that the ledger is damaged."""

    def __init__(self, ledger: str, file: Path | None) -> None:
        """Does not look at anything yet.

        Args:
            ledger: The name of the ledger in messages.
            file: The SQLite file; None: a database server, which refuses damaged pages by itself.
        """
        self._ledger = ledger
        self._mark = file.with_name(f"{file.name}.damaged") if file else None
        self._is_logged = False

    def is_set(self) -> bool:
        """Returns whether a process has found the ledger damaged."""
        return self._mark is not None and self._mark.exists()

    def set(self, reason: str) -> DamagedLedger:
        """Sets the mark; returns the error to raise."""
        if self._mark is not None:
            with suppress(OSError):  # the disk may be full; then each process finds out by itself
                self._mark.touch()
        return self.error(reason)

    def clear(self) -> None:
        """Removes the mark: the ledger was checked, or another one is in its place."""
        if self._mark is not None:
            self._mark.unlink(missing_ok=True)

    def error(self, reason: str = "another process has found it") -> DamagedLedger:
        """Returns the error to raise; it is logged once in each process."""
        error = DamagedLedger(
            f"the ledger {self._ledger} is damaged ({reason}): nothing is received; stop the "
            "gateway and run `totalmap gateway restore BACKUP`, or restore the database"
        )
        if not self._is_logged:
            log.error("ledger_damaged", message=str(error))
            self._is_logged = True
        return error


def is_sound_sqlite(file: Path) -> bool:
    """Returns whether the pages of a SQLite file fit together; only while no process uses it."""
    try:
        with closing(sqlite3.connect(file)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError:
        return False
    return bool(found == ("ok",))


def is_damage(error: BaseException | None) -> bool:
    """Returns whether the error of a database driver means that the database is damaged."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
    sqlstate = getattr(error, "sqlstate", None)
    return code in (SQLITE_CORRUPT, SQLITE_NOTADB) or sqlstate in _POSTGRES_DAMAGE
