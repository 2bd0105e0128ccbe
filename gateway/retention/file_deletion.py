"""Deletes the files of studies whose rows were deleted, while the receiver goes on.

The receiver, which is another process, may be sent a deleted study again at any time. An instance
whose file is there already is not stored twice; so a file must not be deleted when its instance has
just come again and has no row yet. Therefore files are deleted in steps:

1. The rows are deleted, and the study is added to the table `leaving`, in one transaction.
2. A minute later its files that are not on record are moved to STORAGE/leaving. Until then the
   audit trail can read the Patient ID from them.
3. Another minute later they are removed. In the meantime a file is moved back that is on record
   again.

A crash between two steps does no harm: the next call goes on.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.store.database import Connection, Database
from gateway.store.file_storage import Storage, sync
from gateway.store.ledger import Ledger
from gateway.store.row_deletion import LeavingStudies
from totalmap.log import get_logger

# Longer than an instance takes from its file to its row, even with a busy database.
STEP_SECONDS = 60.0
# The number of studies whose files are moved in one call.
AT_ONCE = 25

log = get_logger()


class FileDeletion:
    """Deletes files in steps; each method raises ResourceError if the database fails."""

    def __init__(
        self, folder: Path, storage: Storage, database: Database, clock: Callable[[], float]
    ) -> None:
        """Deletes nothing yet.

        Args:
            folder: A folder for files to be deleted, in the file system of the storage.
            storage: With the files.
            database: With the rows.
            clock: Returns seconds since 1970, UTC.
        """
        self._folder = folder
        self._folder.mkdir(exist_ok=True)
        self._storage = storage
        self._clock = clock
        self._leaving = LeavingStudies(database)
        self._ledger = Ledger(database)

    def begin(self, connection: Connection, study: str) -> None:
        """Marks the files of a study for deletion, in the transaction that deletes its rows."""
        self._leaving.add(connection, study, self._clock())

    def remove(self, folder: Path, name: str) -> None:
        """Moves a folder away and deletes it; the next call deletes what is left.

        Args:
            folder: A folder that is not used any more; it may be gone already.
            name: A unique name, which is not that of a study.
        """
        with _failure_logged(folder), suppress(FileNotFoundError):
            folder.rename(self._folder / name)
            _remove_tree(self._folder / name)

    def go_on(self) -> None:
        """Does the next step for each study whose files are being deleted."""
        before = self._clock() - STEP_SECONDS
        self._move_out(before)
        self._remove_for_good(before)

    def _move_out(self, before: float) -> None:
        for study in self._leaving.to_be_moved(before, AT_ONCE):
            folder = self._storage.study_folder(study)
            with _failure_logged(folder):
                kept = self._ledger.hashes(study)
                _move(folder, self._folder / folder.name, kept, before)
                self._leaving.set_moved(study, self._clock())

    def _remove_for_good(self, before: float) -> None:
        studies = self._leaving.all()
        for study in studies:
            folder = self._storage.study_folder(study.study_instance_uid)
            leaving = self._folder / folder.name
            with _failure_logged(folder):
                _move_back(leaving, folder, self._ledger.hashes(study.study_instance_uid))
                if study.moved_at is not None and study.moved_at <= before:
                    _remove_tree(leaving)
                    self._leaving.remove(study)
        known = {self._storage.study_folder(study.study_instance_uid).name for study in studies}
        for path in self._folder.iterdir():
            if path.name not in known:
                with _failure_logged(path):
                    _remove_tree(path)


def _move(source: Path, target: Path, but: set[str], before: float) -> None:
    """Moves the files that were written before some time, except those with some names."""
    target.mkdir(exist_ok=True)
    if not source.exists():
        return
    for path in source.iterdir():
        if path.name not in but and path.stat().st_mtime <= before:
            path.rename(target / path.name)
    with suppress(OSError):  # it is not empty
        source.rmdir()


def _move_back(source: Path, target: Path, names: set[str]) -> None:
    if not source.exists():
        return
    for path in source.iterdir():
        if path.name in names:
            target.mkdir(exist_ok=True)
            with suppress(FileExistsError):
                (target / path.name).hardlink_to(path)
            sync(target)
            path.unlink()


def _remove_tree(path: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(path)


@contextmanager
def _failure_logged(path: Path) -> Iterator[None]:
    """Logs that something can't be deleted, so that the next sweep tries again."""
    try:
        yield
    except OSError as error:
        log.warning("not_deleted", folder=str(path), reason=error.strerror)
