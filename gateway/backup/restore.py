"""Restores a backup into a storage folder, and moves a SQLite ledger to Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.backup.sha256sums import BrokenBackup, Entry, copy_with_sha256, read_manifest
from gateway.config import GatewaySettings
from gateway.folder_locks import only_gateway
from gateway.job_queue import QUEUE_FILE
from gateway.receive.recover_unrecorded_files import repair
from gateway.store.database import LEDGER_FILE, Database, open_database, save_sqlite
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from gateway.store.sessions import close_all_sessions
from totalmap.errors import ConfigError, ResourceError

_SQLITE_SUFFIXES = ("", "-wal", "-shm", ".damaged")
_DATABASES = (LEDGER_FILE, QUEUE_FILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """The result of a restore.

    Attributes:
        files: The number of files of the backup that were missing in the storage folder.
        recorded: The number of instances that were stored after the backup and are on record again.
    """

    files: int
    recorded: int


def restore(settings: GatewaySettings, backup: Path) -> Restored:
    """Restores the ledger and the files of a backup into the storage folder of the settings.

    Existing files stay. The existing ledger and queue are renamed. Instances that came after the
    backup are put on record again. With Postgres, the database has to be empty.

    Raises:
        BrokenBackup: The backup is not complete, or was changed.
        ConfigError: The database is not empty.
        ResourceError: A gateway runs on the storage folder, or the disk or database fails.
    """
    folder = settings.storage_folder
    with only_gateway(folder):
        entries = [*read_manifest(backup)]
        storage = Storage(folder)
        try:
            n_files = _bring_files(backup, storage, entries)
            if settings.ledger_url:
                _fill(settings, backup / LEDGER_FILE)
            else:
                _put_ledger(storage, entries)
        except OSError as error:
            raise ResourceError(f"the backup can't be restored: {error.strerror}") from error
        with open_database(settings) as database:
            recovered = repair(storage, Ledger(database))
            # A session may have ended since the backup, or a password may have been changed.
            close_all_sessions(database)
    return Restored(files=n_files, recorded=recovered.recorded)


def migrate(settings: GatewaySettings) -> int:
    """Copies the ledger of SQLite in the storage folder to the Postgres of the settings.

    A new queue is made from it, and the SQLite files are renamed. Returns the number of rows.

    Raises:
        ConfigError: The settings name no Postgres, it is not empty, or there is no file to copy.
        ResourceError: A gateway runs on the storage folder, or a database fails.
    """
    folder = settings.storage_folder
    if not settings.ledger_url or not settings.ledger_url.startswith("postgresql"):
        raise ConfigError("ledger_url names no Postgres: set it to the database to migrate to")
    if not (folder / LEDGER_FILE).exists():
        raise ConfigError(f"{folder} has no {LEDGER_FILE}: there is nothing to migrate")
    with only_gateway(folder):
        n_rows = _fill(settings, folder / LEDGER_FILE)
        for name in _DATABASES:
            _rename(folder, name, "migrated")
    return n_rows


def _bring_files(backup: Path, storage: Storage, entries: Sequence[Entry]) -> int:
    """Copies missing files, and the databases under new names; returns the number of files.

    Raises:
        BrokenBackup: A file is missing or changed.
    """
    n_files = 0
    for entry in entries:
        is_database = entry.path in _DATABASES
        target = storage.folder / (f"{entry.path}.new" if is_database else entry.path)
        if target.exists() and not is_database:
            continue
        aside = storage.new_file()
        try:
            sha256 = copy_with_sha256(backup / entry.path, aside)
        except FileNotFoundError as error:
            raise BrokenBackup(f"the backup's file {entry.path} is missing") from error
        if sha256 != entry.sha256:
            aside.unlink()
            raise BrokenBackup(f"the backup's file {entry.path} is changed")
        target.parent.mkdir(parents=True, exist_ok=True)
        aside.replace(target)
        n_files += not is_database
    return n_files


def _put_ledger(storage: Storage, entries: Sequence[Entry]) -> None:
    saved = {entry.path for entry in entries}
    for name in _DATABASES:
        _rename(storage.folder, name, "before-restore")
        if name in saved:
            (storage.folder / f"{name}.new").rename(storage.folder / name)


def _fill(settings: GatewaySettings, ledger_file: Path) -> int:
    """Copies the file of a ledger into the empty database of the settings; returns the rows."""
    copy = settings.storage_folder / f"{LEDGER_FILE}.copy"
    copy.unlink(missing_ok=True)
    save_sqlite(ledger_file, copy)
    try:
        with Database(f"sqlite:///{copy}") as source, open_database(settings) as target:
            return source.copy_to(target)
    finally:
        for suffix in _SQLITE_SUFFIXES:
            copy.with_name(f"{copy.name}{suffix}").unlink(missing_ok=True)


def _rename(folder: Path, name: str, why: str) -> None:
    """Renames a SQLite database that nobody uses to a free name."""
    number = 1
    while (folder / f"{name}.{why}-{number}").exists():
        number += 1
    for suffix in _SQLITE_SUFFIXES:
        file = folder / f"{name}{suffix}"
        if file.exists():
            file.rename(folder / f"{name}.{why}-{number}{suffix}")
