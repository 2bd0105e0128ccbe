"""Stores the files of received instances and of jobs; a file is never written twice.

```
STORAGE/incoming/     being received, or not yet in the ledger; emptied at each start
STORAGE/studies/S/I   S: hash of the Study Instance UID; I: SHA-256 of the file
STORAGE/jobs/J        a job's input, settings and output, and what the viewer shows of it
STORAGE/viewing/      links to images while a view is prepared; emptied at each start of the page
```

Names are hashes because UIDs come from outside, and because a file that is named after its content
never has to be replaced.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from gateway.store.ledger import KeptInstance, Ledger
from totalmap.errors import ResourceError

STUDY_CHARACTERS = 32
# On these, processes of several machines would not see each other's changes of a SQLite file.
NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs")
BYTES_PER_GB = 1_000_000_000
# Names in the folder of a job.
INPUT_NAME = "input"
SETTINGS_NAME = "settings.yaml"
OUTPUT_NAME = "output"
VIEW_NAME = "view"
# The name of a file in its output, which the application always writes (docs/results.md).
STATUS_NAME = "status.json"


class Storage:
    """A folder on a local file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder = folder.absolute()
        self.incoming = folder / "incoming"
        self._studies = folder / "studies"
        self._jobs = folder / "jobs"
        self._viewing = folder / "viewing"
        self._lock = folder / "lock"
        self.incoming.mkdir(parents=True, exist_ok=True)
        self._studies.mkdir(exist_ok=True)
        self._jobs.mkdir(exist_ok=True)
        _make_private(folder)

    @contextmanager
    def only_here(self) -> Iterator[None]:
        """Locks the folder against other processes that receive into it, while the block runs.

        Raises:
            ResourceError: Another process receives into it.
        """
        with self._lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ResourceError(
                    f"{self._lock.parent}: another gateway receives into this folder"
                ) from error
            yield

    def free_bytes(self) -> int:
        """Returns the number of free bytes on the disk."""
        return free_bytes(self._studies)

    def new_file(self) -> Path:
        """Returns the path of a new file to write while it is received."""
        return self.incoming / uuid4().hex

    def study_folder(self, study_instance_uid: str) -> Path:
        """Returns the folder of the instances of a study; it may not exist yet."""
        digest = hashlib.sha256(study_instance_uid.encode()).hexdigest()
        return self._studies / digest[:STUDY_CHARACTERS]

    def path(self, instance: KeptInstance) -> Path:
        """Returns the path of the file of an instance."""
        return self.study_folder(instance.study_instance_uid) / instance.sha256

    def job_folder(self, job_id: str) -> Path:
        """Returns the folder of the input, settings and output of a job; it may not exist yet."""
        return self._jobs / job_id

    def output_folder(self, job_id: str) -> Path:
        """Returns the folder of the output of a job."""
        return self.job_folder(job_id) / OUTPUT_NAME

    def new_viewing_folder(self) -> Path:
        """Returns a new folder for the source of a view."""
        self._viewing.mkdir(exist_ok=True)
        folder = self._viewing / uuid4().hex
        folder.mkdir()
        return folder

    def remove_viewing_folders(self) -> None:
        """Removes the sources of views whose preparation was killed with the page.

        Their links would keep deleted images on the disk.
        """
        shutil.rmtree(self._viewing, ignore_errors=True)

    def views(self) -> Sequence[Path]:
        """Returns the folders of all views of the viewer."""
        return sorted(self._jobs.glob(f"*/{VIEW_NAME}/*"))

    def link(self, instances: Sequence[KeptInstance], folder: Path) -> None:
        """Links the files of instances into a folder.

        Raises:
            ResourceError: A file is not on the disk.
        """
        for instance in instances:
            try:
                os.link(self.path(instance), folder / f"{instance.sha256}.dcm")
            except FileNotFoundError as error:
                raise ResourceError("images of the study are not on the disk") from error

    def keep(self, file: Path, study_instance_uid: str, sha256: str) -> Path:
        """Links a received file into the folder of its study, and returns that folder.

        The content is on the disk then; the link is after `sync` of the folder. A file that is
        there already stays, for it may have been acknowledged. The name in `incoming` is to be
        removed when the file is in the ledger: until then it tells the next start to record the
        file.
        """
        folder = self.study_folder(study_instance_uid)
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            sync(self._studies)
        kept = folder / sha256
        if not kept.exists():
            sync(file)
            with suppress(FileExistsError):  # another sender has just sent the same content
                kept.hardlink_to(file)
        return folder

    def remove_partial_files(self, untouched_seconds: float) -> None:
        """Removes files in `incoming` that were not written to for some time."""
        for path in self.incoming.iterdir():
            with suppress(FileNotFoundError):  # it has just moved on
                is_old = time.time() - path.stat().st_mtime > untouched_seconds
                if is_old and not self.is_kept(path):  # the next start records that one
                    path.unlink()

    def is_kept(self, file: Path) -> bool:
        """Returns whether a file in `incoming` is linked into the folder of a study."""
        return file.stat().st_nlink > 1

    def has_studies(self) -> bool:
        """Returns whether there is any folder of a study."""
        with os.scandir(self._studies) as entries:  # without a list of all
            return next(entries, None) is not None

    def not_on_record(self, ledger: Ledger) -> Sequence[Path]:
        """Returns the files of studies that are not in the ledger."""
        on_record = {self.path(instance) for instance in ledger.instances()}
        return sorted({*self._studies.glob("*/*")} - on_record)


def free_bytes(folder: Path) -> int:
    """Returns the number of free bytes on the disk of a folder, which may not exist yet."""
    while not folder.exists():
        folder = folder.absolute().parent
    return shutil.disk_usage(folder).free


def file_system(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Returns the type of the file system of a folder, such as ext4 or nfs4.

    Args:
        folder: It may not exist yet.
        mounts: What is mounted where, as in proc(5).
    """
    best, found = "", "unknown"
    with suppress(OSError):
        for line in mounts.read_text().splitlines():
            _, place, kind, *_ = line.split()
            if folder.absolute().is_relative_to(place) and len(place) >= len(best):
                best, found = place, kind
    return found


def _make_private(folder: Path) -> None:
    """Makes a folder, and what it directly contains, accessible to its user alone."""
    folder.chmod(0o700)
    for path in folder.iterdir():
        if path.is_symlink():
            continue
        with suppress(FileNotFoundError):  # SQLite may just have removed it
            path.chmod(0o700 if path.is_dir() else 0o600)


def sync(path: Path) -> None:
    """Writes a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Returns the hash of a file's content, as hexadecimal digits."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
