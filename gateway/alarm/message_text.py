"""Writes the text of messages about alarms, without patient data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from gateway.config import AlarmKind, GatewaySettings
from gateway.store.alarm_messages import AlarmMessage
from gateway.store.alarms import Alarm

# Of more alarms a message says only how many there are.
LISTED = 20
# As users give a job ID to commands.
_JOB_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class _Words:
    """The words for a kind of alarms.

    Attributes:
        one: What has happened, if once.
        many: The same for {n} of them.
        one_ended: How it has ended, if one has.
        many_ended: The same for {n} of them.
        remedy: What a user can do.
    """

    one: str
    many: str
    one_ended: str
    many_ended: str
    remedy: str


_WORDS: Mapping[AlarmKind, _Words] = MappingProxyType(
    {
        AlarmKind.JOB_DEAD: _Words(
            "1 job has failed",
            "{n} jobs have failed",
            "1 failed job was retried, cancelled, replaced or deleted",
            "{n} failed jobs were retried, cancelled, replaced or deleted",
            "The page shows the reason. Remove the cause, and retry the job.",
        ),
        AlarmKind.RESULTS_HELD: _Words(
            "quality control has rejected the results of 1 job",
            "quality control has rejected the results of {n} jobs",
            "1 job with rejected results was retried, replaced or deleted",
            "{n} jobs with rejected results were retried, replaced or deleted",
            "The results are not delivered. The page shows the reason and the preview.",
        ),
        AlarmKind.STUDY_HELD: _Words(
            "1 study is held, because its instances contradict each other",
            "{n} studies are held, because their instances contradict each other",
            "a user has decided about 1 held study",
            "users have decided about {n} held studies",
            "Nothing is made of a held study. Look at both sides on its page, and decide.",
        ),
        AlarmKind.DELIVERY_DEAD: _Words(
            "1 delivery was given up",
            "{n} deliveries were given up",
            "1 delivery that was given up is retried, done or deleted",
            "{n} deliveries that were given up are retried, done or deleted",
            "The destination has not got the results. The page shows the reason; retry there.",
        ),
        AlarmKind.DESTINATION_AWAY: _Words(
            "1 destination does not answer",
            "{n} destinations do not answer",
            "1 destination answers again",
            "{n} destinations answer again",
            "Results wait, and are sent when the destination answers.",
        ),
        AlarmKind.DISK_SHORT: _Words(
            "the disk has little free space",
            "{n} disks have little free space",
            "the disk has enough free space again",
            "{n} disks have enough free space again",
            "Make space, or let `retention` delete more. With a full disk nothing is received.",
        ),
        AlarmKind.WORKER_LOST: _Words(
            "1 worker does not report",
            "{n} workers do not report",
            "1 lost worker reports again",
            "{n} lost workers report again",
            "Its job goes to another worker. Look at its machine and at the log.",
        ),
        AlarmKind.PROCESS_RESTARTS: _Words(
            "1 process is restarted again and again",
            "{n} processes are restarted again and again",
            "1 process is no longer restarted",
            "{n} processes are no longer restarted",
            "The log says why the process ends.",
        ),
        AlarmKind.CERTIFICATE_EXPIRES: _Words(
            "1 certificate expires soon, or has expired",
            "{n} certificates expire soon, or have expired",
            "1 certificate was replaced",
            "{n} certificates were replaced",
            "Replace the file, and run `totalmap gateway reload`.",
        ),
        AlarmKind.CLOCK_JUMPED: _Words(
            "the clock of the machine has jumped",
            "{n} clocks have jumped",
            "a user has confirmed the clock",
            "users have confirmed {n} clocks",
            "Nothing is deleted until a user confirms the clock on the page.",
        ),
        AlarmKind.LEDGER_FAILS: _Words(
            "the ledger fails",
            "{n} ledgers fail",
            "the ledger works again",
            "{n} ledgers work again",
            "Nothing is received. The log names the remedy.",
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """A message, ready to be sent.

    Attributes:
        uid: The same at each attempt.
        created_at: Seconds since 1970, UTC.
        summary: One line.
        body: The whole text.
        document: The same for programs, as JSON.
    """

    uid: str
    created_at: float
    summary: str
    body: str
    document: Mapping[str, Any]


class MessageWriter:
    """Writes messages with the name of a gateway and links to its page."""

    def __init__(self, settings: GatewaySettings, host: str) -> None:
        """Takes the names.

        Args:
            settings: With `web.public_url`.
            host: The name of this machine.
        """
        self._url = settings.web.public_url
        self._host = host

    def write(self, message: AlarmMessage) -> OutgoingMessage:
        """Returns the text of a message; it is the same at each call."""
        begun, ended = message.begun, message.ended
        words = _WORDS[message.kind]
        parts = [
            _counted(len(alarms), one, many)
            for alarms, one, many in (
                (begun, words.one, words.many),
                (ended, words.one_ended, words.many_ended),
            )
            if alarms
        ]
        summary = "; ".join(parts)
        lines = [f"The gateway on {self._host} reports: {summary}.", ""]
        lines += self._list("Since then:", begun) if begun else []
        lines += self._list("Over:", ended) if ended else []
        lines += [words.remedy, ""] if begun else []
        lines += [f"The page: {self._url}"] if self._url else []
        return OutgoingMessage(
            uid=message.uid,
            created_at=message.created_at,
            summary=f"TotalMAP on {self._host}: {summary}",
            body="\n".join(lines).rstrip() + "\n",
            document={
                "id": message.uid,
                "kind": message.kind,
                "created_at": _iso(message.created_at),
                "gateway": self._host,
                "text": f"TotalMAP on {self._host}: {summary}",
                "begun": {"count": len(begun), "alarms": self._documents(begun)},
                "ended": {"count": len(ended), "alarms": self._documents(ended)},
            },
        )

    def write_test(self, uid: str, created_at: float) -> OutgoingMessage:
        """Returns a message that only shows that messages arrive."""
        text = f"TotalMAP on {self._host}: this is a test of alarms"
        return OutgoingMessage(
            uid=uid,
            created_at=created_at,
            summary=text,
            body=f"{text}. Nothing has happened.\n",
            document={
                "id": uid,
                "kind": "test",
                "created_at": _iso(created_at),
                "gateway": self._host,
                "text": text,
                "begun": {"count": 0, "alarms": []},
                "ended": {"count": 0, "alarms": []},
            },
        )

    def _list(self, heading: str, alarms: Sequence[Alarm]) -> list[str]:
        lines = [heading]
        for alarm in alarms[:LISTED]:
            link = self._link(alarm)
            lines.append(
                f"- {_minute(alarm.begun_at)}  {_name(alarm)}{f'  {link}' if link else ''}"
            )
        more = len(alarms) - LISTED
        return [*lines, *([f"- and {more} more"] if more > 0 else []), ""]

    def _documents(self, alarms: Sequence[Alarm]) -> list[dict[str, Any]]:
        return [
            {
                "subject": alarm.subject,
                "detail": alarm.detail,
                "since": _iso(alarm.begun_at),
                "url": self._link(alarm),
            }
            for alarm in alarms[:LISTED]
        ]

    def _link(self, alarm: Alarm) -> str | None:
        """Returns the URL of the page about an alarm; None: it is on the first page."""
        if self._url is None:
            return None
        job_id = alarm.subject.partition(" ")[0]
        paths = {
            AlarmKind.JOB_DEAD: f"/jobs/{job_id}",
            AlarmKind.RESULTS_HELD: f"/jobs/{job_id}",
            AlarmKind.DELIVERY_DEAD: f"/jobs/{job_id}",
            AlarmKind.STUDY_HELD: f"/conflicts/{alarm.subject}",
        }
        path = paths.get(alarm.kind)
        return None if path is None else f"{self._url}{path}"


def _counted(n: int, one: str, many: str) -> str:
    return one if n == 1 else many.format(n=n)


def _name(alarm: Alarm) -> str:
    """Returns how a message names the subject of an alarm."""
    first, _, rest = alarm.subject.partition(" ")
    if alarm.kind in (AlarmKind.JOB_DEAD, AlarmKind.RESULTS_HELD):
        return f"job {first[:_JOB_CHARACTERS]}"
    if alarm.kind is AlarmKind.DELIVERY_DEAD:
        return f"job {first[:_JOB_CHARACTERS]} to {rest}"
    if alarm.kind is AlarmKind.STUDY_HELD:
        return f"conflict {alarm.subject}"
    return f"{alarm.subject}: {alarm.detail}" if alarm.detail else alarm.subject


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def _minute(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
