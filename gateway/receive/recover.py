"""What the storage has and the ledger does not: it comes back on record, and is not deleted.

After a receiver was killed that is a file at most for each sender. After somebody has lost the
ledger it is everything.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from gateway.receive.intake import ReceivedFile, describe
from gateway.record.ledger import KeptInstance, Ledger
from gateway.record.storage import Storage, sha256_of
from totalmap.errors import UnreadableInstance
from totalmap.log import get_logger

SENDER = "storage"
BATCH = 500

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """How many files were removed, as halves, and how many are on record again."""

    removed: int
    recorded: int


def recover(storage: Storage, ledger: Ledger) -> Recovered:
    """Makes storage and ledger agree; only at the start, before anything is received.

    What was being received is removed. A file among the studies whose content is what its name
    says is put on record, as it was received when it was written; only another one is removed.
    Nothing says that its study is whole, so that this counts as a transfer that was cut off.

    Raises:
        ResourceError: The database fails.
    """
    removed = storage.empty_incoming()
    transfer, found = uuid4().hex, []
    for path in storage.not_on_record(ledger):
        if sha256_of(path) != path.name:
            path.unlink()
            removed += 1
        elif instance := _instance(storage, path, transfer):
            found.append(instance)
    for start in range(0, len(found), BATCH):
        ledger.add(found[start : start + BATCH])
    return Recovered(removed=removed, recorded=len(found))


def _instance(storage: Storage, path: Path, transfer: str) -> KeptInstance | None:
    """Returns what is to be on record; None: the file was not put there by a gateway."""
    try:
        instance = describe(ReceivedFile(path=path, sender=SENDER, transfer=transfer))
    except UnreadableInstance:
        instance = None
    if instance is None or storage.path(instance) != path:
        log.warning("unknown_file_left", file=f"{path.parent.name}/{path.name}")
        return None
    return replace(instance, received_at=path.stat().st_mtime)
