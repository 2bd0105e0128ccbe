"""Carries messages between services, one after the other, until none is left."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pika.adapters.blocking_connection import BlockingChannel
from pydantic import ValidationError

from tests.acceptance.task_manager.events import Event
from tests.acceptance.task_manager.messages import (
    Topic,
    missing_property,
    properties_of,
    publish,
)

Handler = Callable[[bytes], None]


class CannotHandleError(Exception):
    """A service refuses a message."""


class Service(Protocol):
    """Handles the messages of its topics."""

    @property
    def handlers(self) -> Mapping[Topic, Handler]:
        """The function for each topic, which takes the body of a message."""


class MessageBus:
    """Sends and delivers the messages of one channel.

    Attributes:
        sent: Every event that was sent, with its topic.
    """

    def __init__(self, channel: BlockingChannel) -> None:
        self._channel = channel
        self.sent: list[tuple[Topic, Event]] = []

    def send(self, topic: Topic, event: Event, correlation_id: str, application: str) -> None:
        """Returns when the broker holds the message."""
        self.sent.append((topic, event))
        publish(
            self._channel, topic, properties_of(event, correlation_id, application), event.body()
        )

    def deliver_all(self, services: Sequence[Service]) -> None:
        """Delivers messages, and those that they lead to, until all queues are empty."""
        pairs = [pair for service in services for pair in service.handlers.items()]
        delivered = 1
        while delivered:
            delivered = sum(self._deliver(topic, handler) for topic, handler in pairs)

    def _deliver(self, topic: Topic, handler: Handler) -> bool:
        method, properties, body = self._channel.basic_get(topic)
        if method is None:
            return False
        try:
            if missing_property(properties):
                raise CannotHandleError("a property is missing")
            handler(body)
        except (CannotHandleError, ValidationError):
            self._channel.basic_nack(method.delivery_tag, requeue=False)
        else:
            self._channel.basic_ack(method.delivery_tag)
        return True
