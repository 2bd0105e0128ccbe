"""Takes files that others put into a watched folder, once they have stopped writing them.

Other programs may write there at any moment. So folders are held open, no file is reached by its
whole path, no link is followed, and a file is copied: a program that still has it open can not
change the copy. The file is removed only when the copy is safe.
"""

import os
import stat
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path, PurePath
from shutil import copyfileobj
from threading import Event
from typing import BinaryIO
from uuid import uuid4

from pydicom.uid import DeflatedExplicitVRLittleEndian

from gateway.config import WatchedFolderSection
from gateway.receive.intake import Intake, ReceivedFile
from gateway.receive.periodic_callback import polling
from gateway.store.file_storage import Storage
from totalmap.dicom.bounded_reader import MAX_HEADER_BYTES, BoundedReader, Budget, SequenceSkipper
from totalmap.dicom.file_reader import read_file_meta
from totalmap.errors import InputError, ResourceError
from totalmap.log import get_logger

# PS3.10 7.1
PREAMBLE_BYTES = 128
PREFIX = b"DICM"
# The largest deflated data set. It is unpacked to find its end, and nothing of it is kept.
MAX_UNPACKED_BYTES = 1 << 30
CHUNK_BYTES = 1 << 16
REJECTED = "rejected"
# An incomplete file may be a copy over a slow network: wait for so many quiet times.
PATIENCE = 12
POLLS_IN_QUIET = 2
# The depth of subfolders; each costs a file descriptor.
MAX_DEPTH = 32
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK

log = get_logger()


class Wholeness(Enum):
    """Whether a DICOM file is complete."""

    WHOLE = auto()
    CUT_OFF = auto()
    NOT_DICOM = auto()
    TOO_LARGE = auto()


_REJECTION_REASONS = {
    Wholeness.NOT_DICOM: "it is not DICOM",
    Wholeness.CUT_OFF: "it is cut off",
    Wholeness.TOO_LARGE: "it unpacks to more than 1 GB",
}


def wholeness(file: BinaryIO) -> Wholeness:
    """Returns whether a file is complete, by the lengths of its elements; no value is read.

    A file that is cut off exactly between two elements counts as complete.
    """
    size = os.fstat(file.fileno()).st_size
    if size < PREAMBLE_BYTES + len(PREFIX):
        return Wholeness.CUT_OFF
    file.seek(PREAMBLE_BYTES)
    if file.read(len(PREFIX)) != PREFIX:
        return Wholeness.NOT_DICOM
    file.seek(0)
    try:
        reader = BoundedReader(file, MAX_HEADER_BYTES)
        _, meta, encoding = read_file_meta(reader, size, needs_prefix=True)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            return _wholeness_of_deflated(file)
        end = SequenceSkipper(reader, encoding, Budget(), is_parsed=False).skip_to_end(size)
    except Exception:  # pydicom raises many kinds where a file breaks off
        return Wholeness.CUT_OFF
    file.seek(min(end, size))
    is_whole = end <= size and not file.read().strip(b"\0")
    return Wholeness.WHOLE if is_whole else Wholeness.CUT_OFF


def _wholeness_of_deflated(file: BinaryIO) -> Wholeness:
    """Unpacks a deflated data set (PS3.5 A.5), at whose beginning the file stands."""
    unpacker, n_bytes = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not unpacker.eof:
        packed = unpacker.unconsumed_tail or file.read(CHUNK_BYTES)
        if not packed:
            return Wholeness.CUT_OFF
        n_bytes += len(unpacker.decompress(packed, CHUNK_BYTES))
        if n_bytes > MAX_UNPACKED_BYTES:
            return Wholeness.TOO_LARGE
    rest = unpacker.unused_data + file.read(CHUNK_BYTES)
    return Wholeness.CUT_OFF if rest.strip(b"\0") else Wholeness.WHOLE


def watching(
    settings: WatchedFolderSection, intake: Intake, storage: Storage
) -> AbstractContextManager[None]:
    """Takes files from a folder while the block runs.

    Args:
        settings: The folder.
        intake: Stores what is received.
        storage: Where files are written while they are received.
    """
    watch = Watch(settings, intake, storage)
    return polling(str(settings.folder), watch.look, settings.quiet_seconds / POLLS_IN_QUIET)


@dataclass(frozen=True, slots=True)
class _Sight:
    """The status of a file or folder, and since when it has been so (monotonic seconds)."""

    status: tuple[int, ...]
    since: float


class Watch:
    """Takes the files of a watched folder, and remembers their status between two looks.

    Args:
        settings: The folder.
        intake: Stores what is received.
        storage: Where files are written while they are received.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        settings: WatchedFolderSection,
        intake: Intake,
        storage: Storage,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._storage = storage
        self._clock = clock
        self._transfer: str | None = None
        self._before: dict[PurePath, _Sight] = {}
        self._seen: dict[PurePath, _Sight] = {}
        self._taken: set[tuple[int, ...]] = set()
        self._is_waiting = False
        self._trouble: OSError | None = None

    def look(self, stop: Event) -> None:
        """Takes files that are not written to any more; if none is left, a transfer has ended.

        Raises:
            ResourceError: The folder can't be read, or the disk or database fails; the files stay.
        """
        self._before, self._seen = self._seen, {}
        self._is_waiting, self._trouble = False, None
        try:
            with _opened(str(self._settings.folder), os.O_RDONLY | os.O_DIRECTORY) as root:
                self._look_into(_Place(root, PurePath(), root), stop)
        except OSError as error:
            self._trouble = error
        self._taken &= {item.status for item in self._seen.values()}
        if self._trouble:  # there may be more files
            raise ResourceError(
                f"receive.folders: in {self._settings.folder} something can't be read, or not be "
                f"removed: {self._trouble.strerror}"
            ) from self._trouble
        if self._transfer and not self._is_waiting and not stop.is_set():
            self._intake.end(self._transfer, is_whole=True)
            self._transfer = None

    def _look_into(self, place: "_Place", stop: Event) -> None:
        with os.scandir(place.descriptor) as entries:
            names = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
        for name, is_folder in names:
            if stop.is_set():
                return
            if place.is_root and name == REJECTED:
                continue
            try:
                if not is_folder:
                    self._look_at(place, name)
                elif place.depth < MAX_DEPTH:
                    self._look_at_folder(place, name, stop)
            except FileNotFoundError:
                pass  # it was removed
            except OSError as error:  # the other files must not wait for it
                self._trouble = error

    def _look_at_folder(self, place: "_Place", name: str, stop: Event) -> None:
        with _opened(name, _FOLDER, place.descriptor) as descriptor:
            inside = _Place(descriptor, place.path / name, place.root)
            self._look_into(inside, stop)
            is_quiet = self._is_quiet(inside.path, os.fstat(descriptor), 1)
        if is_quiet:
            with suppress(OSError):  # it is not empty
                os.rmdir(name, dir_fd=place.descriptor)

    def _look_at(self, place: "_Place", name: str) -> None:
        status = os.stat(name, dir_fd=place.descriptor, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            return
        path = place.path / name
        if not self._is_quiet(path, status, 1):
            self._is_waiting = True
            return
        with _opened_file(name, place.descriptor) as file:
            what = wholeness(file)
            if what is Wholeness.CUT_OFF and not self._is_quiet(path, status, PATIENCE):
                self._is_waiting = True
                return
            reason = (
                self._take(file, status) if what is Wholeness.WHOLE else _REJECTION_REASONS[what]
            )
        self._put_away(place, name, status, reason)

    def _take(self, file: BinaryIO, status: os.stat_result) -> str | None:
        """Stores a copy of a file; returns why it is rejected, or None."""
        if _status_key(status) in self._taken:  # it could not be removed
            return None
        self._transfer = self._transfer or uuid4().hex
        copy = self._storage.new_file()
        try:
            self._intake.free_space.require(status.st_size)
            file.seek(0)
            with copy.open("xb") as target:
                copyfileobj(file, target)
            if _status_key(os.fstat(file.fileno())) != _status_key(status):
                return None
            self._intake.take(
                ReceivedFile(path=copy, sender=self._settings.sender, transfer=self._transfer)
            )
            self._taken.add(_status_key(status))
        except InputError as error:
            return str(error)
        except OSError as error:
            raise ResourceError(f"a file can't be taken: {error.strerror}") from error
        finally:
            copy.unlink(missing_ok=True)
        return None

    def _put_away(
        self, place: "_Place", name: str, status: os.stat_result, reason: str | None
    ) -> None:
        """Removes or rejects a file; one that has changed meanwhile stays."""
        now = os.stat(name, dir_fd=place.descriptor, follow_symlinks=False)
        if _status_key(now) != _status_key(status):
            self._is_waiting = True
        elif reason is None:
            os.unlink(name, dir_fd=place.descriptor)
        else:
            # Its path may hold a patient's name; `find -inum` finds the file by this number.
            log.warning("file_rejected", inode=now.st_ino, reason=reason)
            _reject(place, name)

    def _is_quiet(self, path: PurePath, status: os.stat_result, times: int) -> bool:
        """Returns whether a status has not changed for some times `quiet_seconds`.

        The time is that of our own clock: the clock of a file server may be wrong.
        """
        now, before = self._clock(), self._before.get(path)
        is_same = before is not None and before.status == _status_key(status)
        sight = before if before and is_same else _Sight(_status_key(status), now)
        self._seen[path] = sight
        return now - sight.since >= times * self._settings.quiet_seconds


@dataclass(frozen=True, slots=True)
class _Place:
    """An open folder, its path in the watched folder, and the watched folder itself."""

    descriptor: int
    path: PurePath
    root: int

    @property
    def is_root(self) -> bool:
        return not self.path.parts

    @property
    def depth(self) -> int:
        return len(self.path.parts)


def _reject(place: _Place, name: str) -> None:
    """Moves a file into the folder of rejected files, without replacing another one."""
    with suppress(FileExistsError):
        os.mkdir(REJECTED, dir_fd=place.root)
    with _opened(REJECTED, _FOLDER, place.root) as rejected:
        try:
            os.stat(name, dir_fd=rejected, follow_symlinks=False)
            kept = uuid4().hex + Path(name).suffix[:16]
        except FileNotFoundError:
            kept = name
        os.rename(name, kept, src_dir_fd=place.descriptor, dst_dir_fd=rejected)


def _status_key(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


@contextmanager
def _opened(name: str, flags: int, folder: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _opened_file(name: str, folder: int) -> BinaryIO:
    return os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb")
