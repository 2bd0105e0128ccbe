"""Stores received files as instances, or refuses them with a reason; all receivers use it."""

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from queue import SimpleQueue

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag

from gateway.receive.free_space import FreeSpace
from gateway.store.file_storage import Storage, sync
from gateway.store.ledger import EndedTransfer, KeptInstance, Ledger
from gateway.store.schema import UID_CHARACTERS
from totalmap.dicom.file_reader import read_header
from totalmap.errors import InputError, ResourceError, UnreadableInstance
from totalmap.log import get_logger

READ_WHOLE_BYTES = 16_000_000
_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_TAGS = [Tag(keyword) for keyword in _IDENTIFIERS]

log = get_logger()


class MismatchedInstance(InputError):
    """An instance differs from the one that the sender announced, or belongs to another study.

    Attributes:
        sop_class_uid: The SOP Class UID of the received instance.
        sop_instance_uid: Its SOP Instance UID.
    """

    def __init__(self, message: str, sop_class_uid: str, sop_instance_uid: str) -> None:
        super().__init__(message)
        self.sop_class_uid = sop_class_uid
        self.sop_instance_uid = sop_instance_uid


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedFile:
    """A complete DICOM file as it was received.

    Attributes:
        path: Its path in `Storage.incoming`; it is moved or removed.
        sender: The AE title, or what else names who sent it.
        transfer: Names the association, or the request, in which it came.
        sop_instance_uid: The UID that the sender announced; None: it announced none.
        study_instance_uid: The same for the study.
    """

    path: Path
    sender: str
    transfer: str
    sop_instance_uid: str | None = None
    study_instance_uid: str | None = None


class Intake:
    """Stores files; may be called by many threads, whose instances share one commit.

    Attributes:
        free_space: To be asked before received data is written.
    """

    def __init__(self, storage: Storage, ledger: Ledger, keep_free_gb: float) -> None:
        self._storage = storage
        self._ledger = ledger
        self.free_space = FreeSpace(storage, keep_free_gb)
        self._waiting: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._committer = threading.Thread(target=self._commit_until_closed, name="intake")
        self._committer.start()

    def take(self, received: ReceivedFile) -> KeptInstance:
        """Stores a file; returns when the file and its row in the ledger are on the disk.

        An instance that is there already, with the same content, is not stored again.

        Raises:
            UnreadableInstance: The file is not DICOM, or has no identifier that a study needs.
            MismatchedInstance: It is another instance than announced, or of another study.
            ResourceError: There is too little space, or the disk or database fails.
        """
        try:
            return self._take(received)
        except OSError as error:
            raise ResourceError(f"an instance can't be stored: {error.strerror}") from error
        finally:
            received.path.unlink(missing_ok=True)

    def end(self, transfer: str, *, is_whole: bool, address: str | None = None) -> None:
        """Stores the end of a transfer in which instances came.

        Args:
            transfer: As in `ReceivedFile`.
            is_whole: Whether the sender said that this is all, and was not cut off.
            address: From which it came, where that is known.

        Raises:
            ResourceError: The database fails.
        """
        self._ledger.end_transfer(
            EndedTransfer(transfer=transfer, ended_at=time.time(), is_whole=is_whole), address
        )

    def reject(self, who: str, why: str, address: str) -> None:
        """Records and logs that a sender was rejected, once a minute for the same reason.

        Args:
            who: The AE title, or the address where there is no title.
            why: One of a few constant texts.
            address: From where.
        """
        if _is_new(self._ledger.reject, who, why, address):
            log.warning("sender_rejected", who=who, address=address, reason=why)

    def refuse(self, who: str, why: str, address: str) -> None:
        """Records and logs that an accepted sender did what is not allowed; see `reject`."""
        if _is_new(self._ledger.refuse, who, why, address):
            log.warning("sender_refused", who=who, address=address, reason=why)

    def close(self) -> None:
        """Waits until everything is on the disk; nothing may be stored afterwards."""
        self._waiting.put(None)
        self._committer.join()

    def _take(self, received: ReceivedFile) -> KeptInstance:
        self.free_space.require(0)
        instance = describe(received)
        folder = self._storage.keep(received.path, instance.study_instance_uid, instance.sha256)
        waiting = _Waiting(instance, folder, Future())
        self._waiting.put(waiting)
        waiting.done.result()
        return instance

    def _commit_until_closed(self) -> None:
        is_open = True
        while is_open:
            batch = [self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            is_open = None not in batch
            self._commit([waiting for waiting in batch if waiting])

    def _commit(self, batch: "list[_Waiting]") -> None:
        try:
            for folder in {waiting.folder for waiting in batch}:
                sync(folder)
            if batch:
                self._ledger.add([waiting.instance for waiting in batch])
        except Exception as error:  # the waiting threads have to get it
            for waiting in batch:
                waiting.done.set_exception(error)
        else:
            for waiting in batch:
                waiting.done.set_result(None)


def _is_new(record: Callable[[str, str, str], bool], who: str, why: str, address: str) -> bool:
    """Records an event, and returns whether it is new; also if the database fails."""
    try:
        return record(who, why, address)
    except ResourceError as error:  # the sender is rejected in any case
        log.warning("not_recorded", reason=str(error))
        return True


@dataclass(frozen=True, slots=True)
class _Waiting:
    instance: KeptInstance
    folder: Path
    done: "Future[None]"


def describe(received: ReceivedFile) -> KeptInstance:
    """Returns the instance of a received file, read from its header.

    Raises:
        UnreadableInstance, MismatchedInstance: As `Intake.take`.
    """
    with _open(received.path) as content:
        header = _read_header(content)
        content.seek(0)
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    uids = {keyword: str(header.get(keyword) or "") for keyword in _IDENTIFIERS}
    for keyword, uid in uids.items():
        if not 0 < len(uid) <= UID_CHARACTERS:
            raise UnreadableInstance(
                f"an instance from {received.sender} has a {keyword} of {len(uid)} characters, "
                f"1 to {UID_CHARACTERS} are allowed"
            )
    _require_announced(received, uids)
    return KeptInstance(
        sop_instance_uid=uids["SOPInstanceUID"],
        sha256=sha256,
        sop_class_uid=uids["SOPClassUID"],
        study_instance_uid=uids["StudyInstanceUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        size_bytes=received.path.stat().st_size,
        sender=received.sender,
        transfer=received.transfer,
        received_at=time.time(),
    )


def _require_announced(received: ReceivedFile, uids: Mapping[str, str]) -> None:
    announced = {
        "SOPInstanceUID": received.sop_instance_uid,
        "StudyInstanceUID": received.study_instance_uid,
    }
    for keyword, uid in announced.items():
        if uid is not None and uid != uids[keyword]:
            what = keyword.removesuffix("InstanceUID").replace("SOP", "instance").lower()
            raise MismatchedInstance(
                f"{received.sender} announced {what} {uid} and sent {uids[keyword]}",
                uids["SOPClassUID"],
                uids["SOPInstanceUID"],
            )


def _open(path: Path) -> BytesIO | BufferedReader:
    """Opens a file; a small one is read into memory.

    pydicom asks for the position before each element: in a file, each time a system call, after
    which Python's lock has to be taken again.
    """
    is_small = path.stat().st_size <= READ_WHOLE_BYTES
    return BytesIO(path.read_bytes()) if is_small else path.open("rb")


def _read_header(content: BytesIO | BufferedReader) -> Dataset:
    try:
        return read_header(content, _TAGS, needs_prefix=True)
    except InvalidDicomError as error:
        raise UnreadableInstance("what was sent is not a DICOM file") from error
    except Exception as error:  # pydicom raises many kinds on broken input
        raise UnreadableInstance(
            f"the header of an instance can't be read: {type(error).__name__}"
        ) from error
