"""Saves the ledger, the queue and all files of a gateway while it runs, and verifies files.

```
BACKUP/ledger.sqlite   one state of the ledger, also where that is in Postgres
BACKUP/queue.sqlite    the queue, unless it is in Postgres; it can be made again from the ledger
BACKUP/studies, jobs   as in the storage folder
BACKUP/SHA256SUMS      written last
```
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.backup.sha256sums import (
    BrokenBackup,
    Entry,
    copy_with_sha256,
    read_manifest,
    write_manifest,
)
from gateway.config import GatewaySettings
from gateway.job_queue import QUEUE_FILE
from gateway.store.database import (
    LEDGER_FILE,
    Database,
    look_at_database,
    open_existing_database,
    save_sqlite,
)
from gateway.store.file_storage import INPUT_NAME, VIEW_NAME, Storage, sha256_of
from gateway.store.jobs import JobList
from gateway.store.ledger import Ledger
from totalmap.errors import ConfigError, ResourceError

# Files that are deleted while they are saved make another round necessary.
ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """The numbers of instances and files in a backup."""

    instances: int
    files: int


def back_up(settings: GatewaySettings, folder: Path) -> Saved:
    """Saves everything into an empty or new folder.

    Files of instances become hard links if the folder is on the same file system, since they are
    never changed. A backup against the loss of the disk has to be on another one.

    Raises:
        ConfigError: The folder is not empty, or there is no ledger of this version.
        ResourceError: The database fails, the disk is full, or files on record are missing.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty: name a new folder for each backup")
        # A SQLite file is saved in its own layout; Postgres is read by the tables of this version.
        open_ledger = open_existing_database if settings.ledger_url else look_at_database
        with open_ledger(settings) as database:
            folder.mkdir(parents=True, exist_ok=True)
            return _back_up(settings, database, folder.absolute())
    except OSError as error:
        raise ResourceError(f"the backup can't be written: {error.strerror}") from error


def _back_up(settings: GatewaySettings, database: Database, folder: Path) -> Saved:
    storage, ledger_file = Storage(settings.storage_folder), folder / LEDGER_FILE
    database.check()
    for _ in range(ROUNDS):
        ledger_file.unlink(missing_ok=True)
        database.save_to(ledger_file)
        with _readable(ledger_file, folder) as snapshot:
            instances = [*_save_instances(storage, Ledger(snapshot), folder)]
            jobs = [*_save_jobs(storage, snapshot, folder)]
        if None not in instances:
            break
    else:
        missing = instances.count(None)
        raise ResourceError(
            f"{missing} files of instances on record are missing or changed: "
            "`totalmap gateway verify` says more"
        )
    entries = [Entry(LEDGER_FILE, sha256_of(ledger_file)), *filter(None, instances), *jobs]
    queue = storage.folder / QUEUE_FILE
    if queue.exists() and not settings.ledger_url:
        save_sqlite(queue, folder / QUEUE_FILE)
        entries.append(Entry(QUEUE_FILE, sha256_of(folder / QUEUE_FILE)))
    write_manifest(folder, entries)
    return Saved(instances=len(instances), files=len(entries))


def _save_instances(storage: Storage, ledger: Ledger, folder: Path) -> Iterator[Entry | None]:
    """Yields the entry of each saved instance; None: its file is missing or changed."""
    for instance in ledger.instances():
        source = storage.path(instance)
        path = source.relative_to(storage.folder)
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            is_saved = target.exists() or _link_or_copy(source, target) == instance.sha256
        except FileNotFoundError:
            is_saved = False
        yield Entry(str(path), instance.sha256) if is_saved else None


def _link_or_copy(source: Path, target: Path) -> str:
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:  # another file system
        return copy_with_sha256(source, target)
    return source.name  # the name is the hash of the content


def _save_jobs(storage: Storage, snapshot: Database, folder: Path) -> Iterator[Entry]:
    """Saves the settings and output of jobs that have ended, and yields their entries."""
    for job_id in JobList(snapshot).ended_ids():
        for source in sorted(storage.job_folder(job_id).rglob("*")):
            path = source.relative_to(storage.folder)
            is_temporary = path.parts[2] in (INPUT_NAME, VIEW_NAME)
            if not source.is_file() or is_temporary:
                continue
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            with suppress(FileNotFoundError):  # the job was begun again meanwhile
                yield Entry(str(path), copy_with_sha256(source, target))


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
    with open_existing_database(settings) as database:
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
    with _readable(folder / LEDGER_FILE) as database:
        database.check()
        storage = Storage(folder)
        for instance in Ledger(database).instances():
            path = str(storage.path(instance).relative_to(storage.folder))
            if path not in listed:
                yield Difference(file=path, reason="missing")


@contextmanager
def _readable(ledger_file: Path, folder: Path | None = None) -> Iterator[Database]:
    """Yields a saved ledger, from a copy, because opening it may migrate its layout.

    Args:
        ledger_file: The file, which stays as it is.
        folder: Where the copy is until the end; None: the folder of temporary files.
    """
    with tempfile.TemporaryDirectory(dir=folder) as name:
        copy = Path(name) / LEDGER_FILE
        save_sqlite(ledger_file, copy)
        with Database(f"sqlite:///{copy}") as database:
            yield database


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
