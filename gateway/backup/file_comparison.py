"""Compares the files of a backup, or of a storage folder, with the ledger."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.backup.manifest import BrokenBackup, read_manifest
from gateway.config import GatewaySettings
from gateway.store.database import LEDGER_FILE, Database, open_database, save_sqlite
from gateway.store.files import Storage, sha256_of
from gateway.store.jobs import JobList
from gateway.store.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A file that is missing or changed.

    Attributes:
        file: The path, relative to the folder; names are hashes, or names of results.
        reason: `missing` or `changed`.
    """

    file: str
    reason: str


def verify_store(settings: GatewaySettings) -> Iterator[Difference]:
    """Reads all files that the ledger names, and yields those that are missing or changed.

    Raises:
        ResourceError: The database fails.
        DamagedLedger: It is damaged.
    """
    with open_database(settings) as database:
        database.check()
        yield from _differences(Storage(settings.storage_folder), database)


def verify_backup(folder: Path) -> Iterator[Difference]:
    """Reads all files of a backup, and yields those that are missing or changed.

    Raises:
        BrokenBackup: It is not a backup, or was interrupted.
        DamagedLedger: Its ledger is damaged.
    """
    listed = set()
    for entry in read_manifest(folder):
        listed.add(entry.path)
        reason = _compare(folder / entry.path, entry.sha256)
        if reason:
            yield Difference(file=entry.path, reason=reason)
    if not (folder / LEDGER_FILE).exists():
        raise BrokenBackup(f"{folder} has no ledger: it is no backup of a gateway")
    # A copy, because opening a ledger may migrate its layout.
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / LEDGER_FILE
        save_sqlite(folder / LEDGER_FILE, copy)
        with closing(Database(f"sqlite:///{copy}")) as database:
            database.check()
            storage = Storage(folder)
            for instance in Ledger(database).instances():
                path = str(storage.path(instance).relative_to(storage.folder))
                if path not in listed:
                    yield Difference(file=path, reason="missing")


def _differences(storage: Storage, database: Database) -> Iterator[Difference]:
    for instance in Ledger(database).instances():
        path = storage.path(instance)
        reason = _compare(path, instance.sha256)
        if reason:
            yield Difference(file=str(path.relative_to(storage.folder)), reason=reason)
    for job_id, result in JobList(database).all_results():
        path = storage.output_folder(job_id) / result
        # Results that retention has deleted keep their rows.
        if storage.job_folder(job_id).exists() and not path.exists():
            yield Difference(file=str(path.relative_to(storage.folder)), reason="missing")


def _compare(path: Path, sha256: str) -> str | None:
    try:
        return None if sha256_of(path) == sha256 else "changed"
    except OSError:
        return "missing"
