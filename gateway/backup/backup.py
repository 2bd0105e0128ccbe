"""Saves the ledger, the queue and all files of a gateway, also while it runs.

```
BACKUP/ledger.sqlite   one state of the ledger, also where that is in Postgres
BACKUP/queue.sqlite    of the queue, unless it is in Postgres: it can be made anew from the ledger
BACKUP/studies, jobs   as in the storage folder
BACKUP/SHA256SUMS      written last
```
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.backup.manifest import Entry, copy_with_sha256, write_manifest
from gateway.config import GatewaySettings
from gateway.job_queue import QUEUE_FILE
from gateway.store.database import LEDGER_FILE, Database, open_database, save_sqlite
from gateway.store.files import INPUT_NAME, Storage, sha256_of
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
        ConfigError: The folder is not empty.
        ResourceError: The database fails, the disk is full, or files on record are missing.
    """
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty: name a new folder for each backup")
        folder.mkdir(parents=True, exist_ok=True)
        return _back_up(settings, folder.absolute())
    except OSError as error:
        raise ResourceError(f"the backup can't be written: {error.strerror}") from error


def _back_up(settings: GatewaySettings, folder: Path) -> Saved:
    storage, ledger_file = Storage(settings.storage_folder), folder / LEDGER_FILE
    with open_database(settings) as database:
        database.check()
        for _ in range(ROUNDS):
            ledger_file.unlink(missing_ok=True)
            database.save_to(ledger_file)
            with Database(f"sqlite:///{ledger_file}") as snapshot:
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
            if not source.is_file() or INPUT_NAME in path.parts[2:3]:
                continue
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            with suppress(FileNotFoundError):  # the job was begun again meanwhile
                yield Entry(str(path), copy_with_sha256(source, target))
