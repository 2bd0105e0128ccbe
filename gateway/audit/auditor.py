"""Writes the audit trail: events become DICOM audit messages, in a file and at a collector.

The events on record are the source (gateway/store/events.py). The progress of each place is stored
after its messages are written: each message is written at least once.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from pydicom.tag import Tag

from gateway.audit.audit_message import (
    UNKNOWN,
    AuditedStudy,
    AuditSource,
    audit_message,
    is_failure,
)
from gateway.audit.syslog import Collector, SyslogMessage
from gateway.config import GatewaySettings
from gateway.store.database import Database
from gateway.store.events import AuditProgress, Event, events_after
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from totalmap.dicom.file_reader import read_header
from totalmap.errors import ResourceError
from totalmap.log import get_logger

# More events wait for the next call, so that nothing else waits for long.
EVENTS_AT_ONCE = 500
FILE_MODE = 0o640

log = get_logger()


class Place(Protocol):
    """A place to which audit messages are written."""

    def is_waiting_to_retry(self) -> bool:
        """Returns whether nothing is sent for now, after a failure."""

    def send(self, messages: Sequence[SyslogMessage]) -> None:
        """Returns when the messages are written.

        Raises:
            ResourceError: Not all of them were written.
        """


class AuditFile:
    """A file with one message a line; logrotate may rename it at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_waiting_to_retry(self) -> bool:
        """Returns False: a file is always tried."""
        return False

    def send(self, messages: Sequence[SyslogMessage]) -> None:
        """Returns when the messages are on the disk.

        Raises:
            ResourceError: They can't be written.
        """
        text = b"".join(message.text + b"\n" for message in messages)
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, FILE_MODE)
            with os.fdopen(descriptor, "ab") as file:
                if os.fstat(descriptor).st_size == 0:  # the umask may be stricter
                    os.fchmod(descriptor, FILE_MODE)
                file.write(_end_of_torn_line(descriptor) + text)
                file.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise ResourceError(
                f"audit.file {self._path} can't be written: {error.strerror}"
            ) from error


def _end_of_torn_line(descriptor: int) -> bytes:
    """Returns the end of a line that a crash has cut off."""
    size = os.fstat(descriptor).st_size
    return b"\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else b""


class Auditor:
    """Writes the events that were not written yet, whenever it is called."""

    def __init__(self, settings: GatewaySettings, storage: Storage, database: Database) -> None:
        """Writes nothing yet.

        Args:
            settings: Of the gateway, with the places.
            storage: With the files from which Patient IDs are read.
            database: With the events.

        Raises:
            ConfigError: A certificate or key for a collector can't be used.
        """
        host = socket.gethostname()
        self._source = AuditSource(settings=settings, host=host)
        self._storage = storage
        self._database = database
        self._places: dict[str, Place] = {}
        if settings.audit.file is not None:
            self._places["file"] = AuditFile(settings.audit.file)
        if settings.audit.syslog is not None:
            self._places["syslog"] = Collector(settings.audit.syslog, host)
        self._progress = AuditProgress(database)
        self._ledger = Ledger(database)

    def write(self) -> None:
        """Writes the next events to each place; a place that fails does not hold up the others.

        Raises:
            ResourceError: The database fails.
        """
        for name, place in self._places.items():
            if place.is_waiting_to_retry():
                continue
            events = events_after(self._database, self._progress.last(name), EVENTS_AT_ONCE)
            if not events:
                continue
            messages = self._messages([event for _, event in events])
            try:
                if messages:
                    place.send(messages)
            except ResourceError as error:
                log.warning("audit_not_written", place=name, reason=str(error))
            else:
                self._progress.advance(name, events[-1][0])

    def _messages(self, events: Sequence[Event]) -> Sequence[SyslogMessage]:
        patients: dict[str, str] = {}
        messages = []
        for event in events:
            text = audit_message(event, self._study(event, patients), self._source)
            if text is not None:
                failed = is_failure(event)
                messages.append(SyslogMessage(at=event.at, is_failure=failed, text=text))
        return messages

    def _study(self, event: Event, patients: dict[str, str]) -> AuditedStudy | None:
        study = event.study_instance_uid
        if not study:
            return None
        if patients.get(study, UNKNOWN) == UNKNOWN:
            patients[study] = self._patient_id(event)
        return AuditedStudy(patient_id=patients[study], instances=self._instances(event))

    def _patient_id(self, event: Event) -> str:
        """Returns the Patient ID from a file of the study, or from one of its results."""
        folders = [self._storage.study_folder(event.study_instance_uid)]
        if event.job_id is not None:
            folders.append(self._storage.output_folder(event.job_id))
        for folder in folders:
            for path in folder.rglob("*"):
                # pydicom raises many kinds of errors on other files
                with suppress(Exception), path.open("rb") as file:
                    header = read_header(file, [Tag("PatientID")], needs_prefix=True)
                    return str(header.get("PatientID") or UNKNOWN)
        return UNKNOWN

    def _instances(self, event: Event) -> Mapping[str, int]:
        """Returns the number of instances of each SOP class in the transfer of an event."""
        if event.transfer is None:
            return {}
        return self._ledger.count_by_class(event.transfer, event.study_instance_uid)
