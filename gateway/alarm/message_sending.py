"""Sends the messages on record by one way, and tries again what was not taken."""

import time

from gateway.alarm.message_channels import Way
from gateway.alarm.message_text import MessageWriter
from gateway.config import AlarmsSection, retry_seconds
from gateway.store.alarm_messages import AlarmMessage, AlarmMessages
from totalmap.errors import ResourceError
from totalmap.log import get_logger

SECONDS_PER_DAY = 86_400.0

log = get_logger()


class MessageSender:
    """Sends the messages of one way; only for one thread."""

    def __init__(self, messages: AlarmMessages) -> None:
        """Sends nothing yet.

        Args:
            messages: The messages on record.
        """
        self._messages = messages
        # Taken by the server, but the database did not answer then.
        self._taken: AlarmMessage | None = None

    def send_due(self, way: Way, writer: MessageWriter, section: AlarmsSection) -> None:
        """Sends all messages that are due.

        Args:
            way: The way, always of the same name.
            writer: Writes the text of messages.
            section: With the waits between attempts.

        Raises:
            ResourceError: The database fails.
        """
        self._store_taken()
        while (message := self._messages.next(way.name)) is not None:
            try:
                way.send(writer.write(message))
            except ResourceError as error:
                self._try_later(message, str(error), section)
            else:
                self._taken = message
                self._store_taken()
                log.info("alarm_sent", way=way.name, kind=message.kind, alarm=message.uid)

    def _store_taken(self) -> None:
        if self._taken is not None:
            self._messages.sent(self._taken)
            self._taken = None

    def _try_later(self, message: AlarmMessage, reason: str, section: AlarmsSection) -> None:
        now, way = time.time(), message.way
        if now - message.created_at > section.give_up_days * SECONDS_PER_DAY:
            log.error("alarm_given_up", way=way, kind=message.kind, reason=reason)
            self._messages.give_up(message)
            return
        log.warning("alarm_not_sent", way=way, kind=message.kind, reason=reason)
        wait = retry_seconds(
            message.attempts, section.first_retry_seconds, section.longest_retry_seconds
        )
        self._messages.postpone(message, now + wait)
