"""Puts stored files on record after a crash, or after the ledger was lost.

A file keeps its name in `incoming` until it is in the ledger. So a start reads only the files
there, which are few. `repair` reads all files.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from gateway.receive.intake import ReceivedFile, describe
from gateway.store.file_storage import Storage, sha256_of
from gateway.store.ledger import KeptInstance, Ledger
from totalmap.errors import UnreadableInstance
from totalmap.log import get_logger

SENDER = "storage"
BATCH = 500

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The result of a recovery.

    Attributes:
        removed: The number of files that were removed, because they were incomplete.
        recorded: The number of files that were put on record.
    """

    removed: int
    recorded: int


def recover(storage: Storage, ledger: Ledger) -> Recovered:
    """Records files that the last run has stored and not recorded, and empties `incoming`.

    To be called only at the start, before anything is received. If the ledger is empty and there
    are studies, the ledger was lost: then all files are read.

    Raises:
        ResourceError: The database fails.
    """
    files = [*storage.incoming.iterdir()]
    if storage.has_studies() and ledger.is_empty():
        return repair(storage, ledger)
    kept = [file for file in files if storage.is_kept(file)]
    described = (_instance(file) for file in kept)
    recorded = _record(
        ledger,
        (instance for instance in described if instance and storage.path(instance).exists()),
    )
    for file in files:
        file.unlink()
    return Recovered(removed=len(files) - len(kept), recorded=recorded)


def repair(storage: Storage, ledger: Ledger) -> Recovered:
    """Records each stored file that is not on record; only while nothing is received.

    A file whose content matches its name is recorded, as received when it was written. Other files,
    and incomplete ones in `incoming`, are removed.

    Raises:
        ResourceError: The database fails.
    """
    removed, found = 0, []
    for file in storage.incoming.iterdir():
        file.unlink()
        removed += 1
    for path in storage.not_on_record(ledger):
        if sha256_of(path) != path.name:
            path.unlink()
            removed += 1
        elif (instance := _instance(path)) is not None:
            if storage.path(instance) == path:
                found.append(instance)
            else:
                log.warning("unknown_file_left", file=f"{path.parent.name}/{path.name}")
    # Of two contents of an instance, the first one that was written stays.
    found.sort(key=lambda instance: instance.received_at)
    return Recovered(removed=removed, recorded=_record(ledger, found))


def _record(ledger: Ledger, instances: Iterable[KeptInstance]) -> int:
    """Records instances; returns how many are new.

    Their studies may be incomplete: they count as a transfer that was cut off.
    """
    transfer = uuid4().hex
    found = [replace(instance, transfer=transfer) for instance in instances]
    return sum(ledger.add(found[start : start + BATCH]) for start in range(0, len(found), BATCH))


def _instance(path: Path) -> KeptInstance | None:
    """Returns the instance of a file; None: it was not stored by a gateway."""
    try:
        instance = describe(ReceivedFile(path=path, sender=SENDER, transfer=""))
    except UnreadableInstance:
        log.warning("unknown_file_left", file=f"{path.parent.name}/{path.name}")
        return None
    return replace(instance, received_at=path.stat().st_mtime)
