"""Runs a receiver process, which serves connections that the listening process hands over."""

import json
import socket
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import closing
from threading import Lock
from typing import Any

from gateway.commitment.commitment_scp import commitment_handlers
from gateway.config import GatewaySettings
from gateway.deliver.deliverer import Deliverer
from gateway.receive.association_limits import Refusal, Sender
from gateway.receive.dicom_receiver import serving_handed_over
from gateway.receive.intake import Intake
from gateway.receive.receiver_processes import MAX_MESSAGE_BYTES, MAX_SETTINGS_BYTES
from gateway.receive.serve_accepted_connections import AssociationServer
from gateway.recent_log import keep_recent_log
from gateway.store.database import open_database
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger

LOOK_SECONDS = 0.2


def serve_handed_over(descriptor: int, number: int) -> None:
    """Serves connections until the listening process closes the channel.

    Args:
        descriptor: The descriptor of the channel.
        number: Of this process among the receivers.

    Raises:
        ConfigError, ResourceError: As `receiving`.
    """
    with socket.socket(fileno=descriptor) as channel:
        settings = GatewaySettings.model_validate_json(channel.recv(MAX_SETTINGS_BYTES))
        keep_recent_log(settings.storage_folder, f"receiver-{number}")
        storage = Storage(settings.storage_folder)
        ways = settings.receive
        parent = _Parent(channel)
        with (
            open_database(settings) as database,
            closing(Intake(storage, Ledger(database), ways.keep_free_gb)) as intake,
        ):
            take_report = Deliverer.open(settings, storage, database).take_report
            commitment = commitment_handlers(settings, storage, database, take_report)
            with serving_handed_over(ways, intake, storage, parent, commitment) as server:
                _serve(channel, server, parent)


class _Parent:
    """The channel to the listening process."""

    def __init__(self, channel: socket.socket) -> None:
        self.n_taken = 0
        self._channel = channel
        self._lock = Lock()
        self._asked: dict[int, Future[Refusal | None]] = {}

    def ask(self, number: int, sender: Sender) -> "Future[Refusal | None]":
        """Asks for a place; `answer` sets the result."""
        future: Future[Refusal | None] = Future()
        self._asked[number] = future
        self._send({"ask": number, "title": sender.title, "address": sender.address})
        return future

    def answer(self, number: int, refusal: str | None) -> None:
        """Passes an answer to the association that waits for it."""
        future = self._asked.pop(number, None)
        if future is not None:
            future.set_result(None if refusal is None else Refusal[refusal])

    def report(self, busy: int, stalled: Mapping[int, float]) -> None:
        """Reports what this process serves."""
        self._send({"taken": self.n_taken, "busy": busy, "stalled": stalled})

    def _send(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            try:
                self._channel.sendall(json.dumps(message).encode())
            except OSError:  # the listening process was killed; the main loop reads the end
                return


def _serve(channel: socket.socket, server: AssociationServer, parent: _Parent) -> None:
    channel.settimeout(LOOK_SECONDS)
    looked_at = time.monotonic() - LOOK_SECONDS
    while True:
        if time.monotonic() - looked_at >= LOOK_SECONDS:
            looked_at = time.monotonic()
            server.look()
        try:
            received, descriptors, _, _ = socket.recv_fds(channel, MAX_MESSAGE_BYTES, 1)
        except TimeoutError:
            continue
        except ConnectionError:  # the listening process was killed
            return
        if not received:
            return
        if descriptors:
            parent.n_taken += 1
            _admit(descriptors[0], server)
            server.look()
            continue
        message = json.loads(received)
        if "answer" in message:
            parent.answer(message["answer"], message["refusal"])
        else:
            server.cut_off(message["end"])


def _admit(descriptor: int, server: AssociationServer) -> None:
    connection = socket.socket(fileno=descriptor)
    try:
        address = connection.getpeername()
    except OSError:  # the sender has closed it again
        connection.close()
    else:
        server.process_request(connection, address)
