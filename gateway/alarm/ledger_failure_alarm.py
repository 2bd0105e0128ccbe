"""Tells operators that the ledger fails: without the ledger, where all other alarms are stored.

A small file beside the ledger keeps what was told, so that a restart does not tell it again.
"""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from uuid import uuid4

from gateway.alarm.message_channels import Way, sent_kinds
from gateway.alarm.message_text import MessageWriter
from gateway.config import AlarmKind, AlarmsSection, retry_seconds
from gateway.store.alarm_messages import AlarmMessage
from gateway.store.alarms import Alarm
from totalmap.errors import ResourceError
from totalmap.log import get_logger

FILE_NAME = "ledger-alarm.json"
_LOOK_SECONDS = 0.2

log = get_logger()


@dataclass
class _Episode:
    """A time in which the ledger fails.

    Attributes:
        uid: Of its messages.
        reason: How it fails.
        begun_at: Seconds since 1970, UTC.
        told: The names of the ways that have told the begin.
        ways: The ways that tell it.
        done: The names of the ways that have nothing more to tell.
        is_over: Set when the ledger works again.
    """

    uid: str
    reason: str
    begun_at: float
    ways: Sequence[Way]
    told: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    is_over: Event = field(default_factory=Event)


class LedgerAlarm:
    """Tells by each way once that the ledger fails, and once that it works again."""

    def __init__(
        self,
        ways: Sequence[Way],
        writer: MessageWriter,
        section: AlarmsSection,
        folder: Path,
        stop: Event,
    ) -> None:
        """Goes on with what an earlier run has told.

        Args:
            ways: The ways of sending.
            writer: Writes the text.
            section: With the waits between attempts.
            folder: Of the file.
            stop: Set from elsewhere, to end all attempts.
        """
        self._file = folder / FILE_NAME
        self._stop = stop
        self._lock = Lock()
        self.use(ways, writer, section)
        self._episode = self._read() if self._ways else None
        if self._episode is not None:
            self._start(self._episode)

    def use(self, ways: Sequence[Way], writer: MessageWriter, section: AlarmsSection) -> None:
        """Tells the next failures by other ways; the arguments are those of `__init__`."""
        with self._lock:
            self._ways = [way for way in ways if AlarmKind.LEDGER_FAILS in sent_kinds(way)]
            self._writer = writer
            self._section = section

    def fails(self, reason: str) -> None:
        """Tells that the ledger fails, unless it was told already; does not wait.

        Args:
            reason: How it fails, for people; without patient data.
        """
        with self._lock:
            if self._episode is None and self._ways:
                self._episode = _Episode(
                    uid=uuid4().hex, reason=reason, begun_at=time.time(), ways=self._ways
                )
                self._write(self._episode)
                self._start(self._episode)

    def works(self) -> None:
        """Tells that the ledger works again, if it was told that it fails; does not wait."""
        with self._lock:
            if self._episode is not None:
                self._episode.is_over.set()
                self._remove_file_if_done(self._episode)
                self._episode = None

    def wait_until_told(self, seconds: float) -> None:
        """Waits until all ways have told that the ledger fails, for some seconds at most."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            episode = self._episode
            if episode is None or len(episode.told) >= len(episode.ways):
                return
            time.sleep(_LOOK_SECONDS)

    def _start(self, episode: _Episode) -> None:
        for way in episode.ways:
            thread = Thread(
                target=self._tell, args=[way, episode], name=f"ledger alarm {way.name}", daemon=True
            )
            thread.start()

    def _tell(self, way: Way, episode: _Episode) -> None:
        """Tells the begin and the end of an episode by one way."""
        if way.name not in episode.told:
            if self._send(way, self._message(way, episode), episode):
                with self._lock:
                    episode.told.append(way.name)
                    self._write(episode)
            elif not self._stop.is_set():  # it was over before it could be told
                self._done(way, episode)
                return
        while not episode.is_over.wait(_LOOK_SECONDS):
            if self._stop.is_set():
                return
        if self._send(way, self._message(way, episode, is_end=True), None):
            self._done(way, episode)

    def _done(self, way: Way, episode: _Episode) -> None:
        with self._lock:
            episode.done.append(way.name)
            self._remove_file_if_done(episode)

    def _remove_file_if_done(self, episode: _Episode) -> None:
        is_newest = self._episode in (None, episode)
        if is_newest and len(episode.done) == len(episode.ways):
            with suppress(OSError):  # the disk may be read-only; then a restart tells the end again
                self._file.unlink(missing_ok=True)

    def _send(self, way: Way, message: AlarmMessage, episode: _Episode | None) -> bool:
        """Returns whether a message was taken; not, if it is no longer wanted."""
        failures, not_before = 0, 0.0
        while not (self._stop.is_set() or (episode is not None and episode.is_over.is_set())):
            if time.monotonic() < not_before:
                self._stop.wait(_LOOK_SECONDS)
                continue
            try:
                way.send(self._writer.write(message))
            except ResourceError as error:
                log.warning("alarm_not_sent", way=way.name, kind=message.kind, reason=str(error))
            else:
                return True
            section = self._section
            wait = retry_seconds(
                failures, section.first_retry_seconds, section.longest_retry_seconds
            )
            failures, not_before = failures + 1, time.monotonic() + wait
        return False

    def _message(self, way: Way, episode: _Episode, *, is_end: bool = False) -> AlarmMessage:
        alarm = Alarm(
            alarm_id=0,
            kind=AlarmKind.LEDGER_FAILS,
            subject="ledger",
            detail=episode.reason,
            begun_at=episode.begun_at,
            ended_at=None,
        )
        return AlarmMessage(
            message_id=0,
            uid=f"{episode.uid}-end" if is_end else episode.uid,
            way=way.name,
            kind=AlarmKind.LEDGER_FAILS,
            created_at=episode.begun_at,
            attempts=0,
            begun=() if is_end else (alarm,),
            ended=(alarm,) if is_end else (),
        )

    def _read(self) -> _Episode | None:
        with suppress(OSError, ValueError, KeyError, TypeError):  # there is none, or it is torn
            found: dict[str, Any] = json.loads(self._file.read_text("utf-8"))
            return _Episode(
                uid=str(found["uid"]),
                reason=str(found["reason"]),
                begun_at=float(found["begun_at"]),
                ways=self._ways,
                told=[str(way) for way in found["told"]],
            )
        return None

    def _write(self, episode: _Episode) -> None:
        names = ("uid", "reason", "begun_at", "told")
        text = json.dumps({name: getattr(episode, name) for name in names})
        aside = self._file.with_suffix(".part")
        with suppress(OSError):  # the disk may be full; then a restart tells it again
            aside.write_text(text, "utf-8")
            aside.replace(self._file)
