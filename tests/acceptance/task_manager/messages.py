"""Sends and receives messages by RabbitMQ as MONAI's messaging does."""

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError

from tests.acceptance.task_manager.events import Event

LOOPBACK = "127.0.0.1"
VHOST = "monaideploy"
EXCHANGE = "monaideploy"
DEAD_LETTER_EXCHANGE = "monaideploy-dead-letter"
USER = "guest"
DELIVERY_LIMIT = 3
PERSISTENT = 2
# An exception reports a missing broker; pika also logs a page about it.
logging.getLogger("pika").setLevel(logging.CRITICAL)
CONTENT_TYPE = "application/json"


class Topic(StrEnum):
    """The topic of a message; its queue has the same name."""

    DISPATCH = "md.tasks.dispatch"
    CALLBACK = "md.tasks.callback"
    UPDATE = "md.tasks.update"
    REVIEW_REQUEST = "aide.clinical_review.request"
    EXPORT_REQUEST = "md.export.request.monaiscu"
    EXPORT_COMPLETE = "md.export.complete"

    @property
    def dead_letters(self) -> str:
        """The queue of messages that no consumer could handle."""
        return f"{self}-dead-letter"


@contextmanager
def open_channel(port: int) -> Iterator[BlockingChannel]:
    """Yields a channel on which publishing is confirmed.

    Raises:
        AMQPError: The broker is not there, or not ready yet.
    """
    # No heartbeat: a task takes longer, and the loopback reports a dead peer at once.
    parameters = pika.ConnectionParameters(
        host=LOOPBACK,
        port=port,
        virtual_host=VHOST,
        credentials=pika.PlainCredentials(USER, USER),
        heartbeat=0,
    )
    try:
        connection = pika.BlockingConnection(parameters)
    except ValueError as cut:  # pika: the peer left in the handshake
        raise AMQPConnectionError(f"the broker at port {port} went away") from cut
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel
    finally:
        if connection.is_open:
            connection.close()


def declare(channel: BlockingChannel) -> None:
    """Declares exchanges, quorum queues and dead-letter queues, as every service does."""
    for exchange in (EXCHANGE, DEAD_LETTER_EXCHANGE):
        channel.exchange_declare(exchange, exchange_type="topic", durable=True)
    for topic in Topic:
        channel.queue_declare(
            topic,
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
            },
        )
        channel.queue_bind(topic, EXCHANGE, topic)
        channel.queue_declare(topic.dead_letters, durable=True)
        channel.queue_bind(topic.dead_letters, DEAD_LETTER_EXCHANGE, topic)


def properties_of(event: Event, correlation_id: str, application: str) -> pika.BasicProperties:
    """Returns the properties that the contract asks for, with a message ID of its own."""
    return pika.BasicProperties(
        message_id=str(uuid.uuid4()),
        app_id=application,
        content_type=CONTENT_TYPE,
        correlation_id=correlation_id,
        timestamp=int(time.time()),
        type=type(event).__name__,
        delivery_mode=PERSISTENT,
    )


def missing_property(properties: pika.BasicProperties) -> str | None:
    """Returns the name of a property without which the receiver refuses a message, or None."""
    required = ("message_id", "app_id", "content_type", "correlation_id")
    return next((name for name in required if getattr(properties, name) is None), None)


def publish(
    channel: BlockingChannel, topic: Topic, properties: pika.BasicProperties, body: bytes
) -> None:
    """Returns when the broker has confirmed the message.

    Raises:
        AMQPError: It has not; whether it holds the message is not known.
    """
    channel.basic_publish(EXCHANGE, topic, body, properties, mandatory=True)
