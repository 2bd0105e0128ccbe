"""Makes storage and ledger agree after a crash, and after somebody has lost the ledger.

A file keeps its name in `incoming` until it is in the ledger. So a start looks at the files there,
which are as many as associations were cut off, however much is stored. `repair` looks at all files.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from gateway.receive.intake import ReceivedFile, describe
from gateway.store.files import Storage, sha256_of
from gateway.store.ledger import KeptInstance, Ledger
from totalmap.errors import UnreadableInstance
from totalmap.log import get_logger

SENDER = "storage"
BATCH = 500

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What was done.

    Attributes:
        removed: How many files were removed, which were not received whole.
        recorded: How many files were put on record.
    """

    removed: int
    recorded: int


def recover(storage: Storage, ledger: Ledger) -> Recovered:
    """Puts on record what the last run had stored and not yet recorded, and empties `incoming`.

    Only at the start, before anything is received. Where the ledger is empty and there are studies,
    somebody has lost the ledger: then all files are looked at.

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
    """Looks at each file that is stored and not on record; only while nothing is received.

    A file whose content is what its name says is put on record, as received when it was written.
    Another one is removed, and so is what was being received.

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
    # Of two contents of an instance, the one that was written first stays.
    found.sort(key=lambda instance: instance.received_at)
    return Recovered(removed=removed, recorded=_record(ledger, found))


def _record(ledger: Ledger, instances: Iterable[KeptInstance]) -> int:
    """Puts instances on record; returns how many were not there.

    Nothing says that their studies are whole: they count as a transfer that was cut off.
    """
    transfer = uuid4().hex
    found = [replace(instance, transfer=transfer) for instance in instances]
    return sum(ledger.add(found[start : start + BATCH]) for start in range(0, len(found), BATCH))


def _instance(path: Path) -> KeptInstance | None:
    """Returns what is to be on record of a file; None: a gateway has not put it there."""
    try:
        instance = describe(ReceivedFile(path=path, sender=SENDER, transfer=""))
    except UnreadableInstance:
        log.warning("unknown_file_left", file=f"{path.parent.name}/{path.name}")
        return None
    return replace(instance, received_at=path.stat().st_mtime)
