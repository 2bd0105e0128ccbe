"""Names the ways by which messages about alarms are sent, and tests them."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from gateway.alarm.message_text import MessageWriter, OutgoingMessage
from gateway.alarm.send_email import EmailSender
from gateway.alarm.send_webhook import WebhookSender
from gateway.config import AlarmKind, AlarmsSection, GatewaySettings
from totalmap.errors import ConfigError, ResourceError


class Way(Protocol):
    """A way by which messages about alarms are sent.

    Attributes:
        name: Its name, in the database, the log and the metrics.
        kinds: The kinds of alarms that it sends; empty: all.
    """

    name: str
    kinds: tuple[AlarmKind, ...]

    @property
    def goal(self) -> str:
        """Where messages go, for people."""

    def send(self, message: OutgoingMessage) -> None:
        """Returns when a message was taken.

        Raises:
            ResourceError: It was not taken; with the reason.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmTest:
    """The outcome of a test message.

    Attributes:
        way: The name of the way.
        goal: Where the message went.
        fault: Why it was not taken; None: it was taken.
    """

    way: str
    goal: str
    fault: str | None


def ways_of(section: AlarmsSection, host: str) -> Sequence[Way]:
    """Returns the ways that the settings name.

    Args:
        section: The `alarms` section.
        host: The name of this machine.

    Raises:
        ConfigError: A file of authorities, of a password or of a secret can't be used.
    """
    email: list[Way] = [] if section.email is None else [EmailSender(section.email, host)]
    return [*email, *(WebhookSender(webhook) for webhook in section.webhooks)]


def sent_kinds(way: Way) -> tuple[AlarmKind, ...]:
    """Returns the kinds of alarms that a way sends."""
    return way.kinds or tuple(AlarmKind)


def send_tests(settings: GatewaySettings, host: str) -> Iterator[AlarmTest]:
    """Sends a test message by each way, and yields what happened.

    Args:
        settings: Of the gateway.
        host: The name of this machine.

    Raises:
        ConfigError: No way is set, or a file of a way can't be used.
    """
    ways = ways_of(settings.alarms, host)
    if not ways:
        raise ConfigError("alarms are sent nowhere: set alarms.email or alarms.webhooks")
    writer = MessageWriter(settings, host)
    for way in ways:
        fault = None
        try:
            way.send(writer.write_test(uuid4().hex, time.time()))
        except ResourceError as error:
            fault = str(error)
        yield AlarmTest(way=way.name, goal=way.goal, fault=fault)
