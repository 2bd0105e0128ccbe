"""Accepts DICOM connections; each waits without a thread until it requests an association.

pynetdicom starts two threads for each connection, and a few hundred silent ones would take all its
time. Here a waiting connection costs a socket only, and one that sends anything else is closed.
"""

import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from threading import Event
from typing import Any, cast

from pynetdicom.transport import ThreadedAssociationServer

from gateway.receive.association_limits import AssociationLimits, Place, Refusal, Sender
from gateway.receive.receiver_processes import ReceiverProcess
from gateway.receive.serve_accepted_connections import AssociationServer
from gateway.tcp_keepalive import detect_dead_peer
from totalmap.log import get_logger

# PS3.8 9.3.2: the type of an A-ASSOCIATE-RQ PDU; bytes 2 to 5 are the length of the rest.
REQUEST_TYPE = 1
HANDSHAKE_TYPE = 22
HEADER_BYTES = 6
# 128 presentation contexts with 20 transfer syntaxes each have 80 kB.
MAX_REQUEST_BYTES = 120_000
# Each waiting connection costs a file descriptor; a process has 1024 by default.
MAX_WAITING = 500
LOOK_SECONDS = 0.2
# Responses have some 200 bytes. Linux would keep up to 4 MB for a sender that reads none.
SEND_BUFFER_BYTES = 65_536
# The number of this process, for `AssociationLimits`; receiver processes count from 1.
THIS_PROCESS = 0

# How long a server that is asked to leave goes on to accept, while it waits for a moment without
# connections.
LEAVE_SECONDS = 60.0

log = get_logger()


class Leave:
    """Asks a server to take no more associations, and tells when it has none any more."""

    def __init__(self, patience_seconds: float = LEAVE_SECONDS) -> None:
        self.patience_seconds = patience_seconds
        self._asked_at: float | None = None
        self._is_free = Event()

    def wait_until_free(self, stop: Event) -> None:
        """Asks, and waits until no connection is left, or until `stop` is set."""
        self._asked_at = time.monotonic()
        while not stop.is_set() and not self._is_free.wait(LOOK_SECONDS):
            pass

    def look(self, *, is_free: bool) -> bool:
        """Notes whether the server has no connection; returns whether it is to accept no more.

        It goes on to accept until it is free for a moment, or for `patience_seconds`.
        """
        if self._asked_at is None:
            return False
        if is_free:
            self._is_free.set()
        return is_free or time.monotonic() - self._asked_at > self.patience_seconds


class ListeningServer(AssociationServer):
    """A pynetdicom server that accepts connections.

    A connection may wait for `AE.acse_timeout` before it requests an association. Of more than
    `MAX_WAITING`, the oldest are closed.

    Attributes:
        processes: Receiver processes; a connection is handed over to the one with the fewest.
        limits: The limits of associations, for all processes together.
        turned: Called at each turn of the loop.
        leave: Asks it to accept no more.
    """

    request_queue_size = 128
    processes: Sequence[ReceiverProcess] = ()
    limits: AssociationLimits
    turned: Callable[[], None]
    leave: Leave

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: OrderedDict[socket.socket, float] = OrderedDict()
        self._selector = DefaultSelector()
        self._stop_sender, self._stop_receiver = socket.socketpair()
        self.turned = lambda: None
        self.leave = Leave()

    def use_limits(self, limits: AssociationLimits) -> None:
        """Sets the limits, before it serves."""
        self.limits = limits
        self.admission = _OwnAdmission(limits)
        limits.cut_off = self._cut_off_place

    def server_bind(self) -> None:
        """Binds the address."""
        ThreadedAssociationServer.server_bind(self)

    def server_activate(self) -> None:
        """Listens at the address."""
        ThreadedAssociationServer.server_activate(self)

    def serve_forever(self, poll_interval: float = LOOK_SECONDS) -> None:
        """Serves until another thread calls `stop`."""
        sources = {self.socket: self._accept, self._stop_receiver: lambda _source: None}
        for source, answer in sources.items():
            self._selector.register(cast(socket.socket, source), EVENT_READ, answer)
        for process in self.processes:
            self._selector.register(process, EVENT_READ, self._handle_message)
        looked_at = 0.0
        while self._stop_sender.fileno() >= 0:
            for key, _ in self._selector.select(poll_interval):
                key.data(key.fileobj)
            self._close_overdue()
            if time.monotonic() - looked_at >= LOOK_SECONDS:
                looked_at = time.monotonic()
                self.look()
                self._keep_processes_up()
                self._leave_if_asked()
                self.turned()
        for connection in list(self._waiting):
            self._close(connection)
        self._selector.close()
        self._stop_receiver.close()

    def _leave_if_asked(self) -> None:
        """Closes the listening socket if it is asked to leave and no connection is waiting."""
        busy = self.busy + sum(process.busy for process in self.processes)
        listening = cast(socket.socket, self.socket)
        if self.leave.look(is_free=not busy and not self._waiting) and listening.fileno() >= 0:
            self._selector.unregister(listening)
            listening.close()

    def stop(self) -> None:
        """Ends `serve_forever`; associations go on."""
        self._stop_sender.close()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):  # the sender has closed it again
            connection, _ = listening.accept()
            detect_dead_peer(connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, HEADER_BYTES)
            self._waiting[connection] = time.monotonic()
            self._selector.register(connection, EVENT_READ, self._look_at)

    def _look_at(self, connection: socket.socket) -> None:
        """Admits a connection whose request is complete; otherwise waits for the rest."""
        try:
            received = connection.recv(MAX_REQUEST_BYTES, socket.MSG_PEEK)
            address = connection.getpeername()
        except OSError:
            self._close(connection)
            return
        wanted = (_hello_bytes if self.ssl_context else _request_bytes)(received)
        if wanted is None:
            if received:
                log.warning("no_association_request", address=address[0])
            self._close(connection)
        elif len(received) < wanted:
            self._wait_for(connection, wanted)
        else:
            self._forget(connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            self._admit(connection, address)

    def _admit(self, connection: socket.socket, address: Any) -> None:
        """Gives a connection to the process with the fewest connections."""
        ready = [process for process in self.processes if process.is_ready]
        least = min(ready, key=lambda process: process.busy, default=None)
        if least is None or least.busy > self.busy or not least.give(connection):
            self.process_request(connection, address)

    def _handle_message(self, process: ReceiverProcess) -> None:
        descriptor = process.fileno()
        if not process.handle_message(self.limits):
            self._selector.unregister(descriptor)

    def _keep_processes_up(self) -> None:
        for process in self.processes:
            if process.keep_up():
                self._selector.register(process, EVENT_READ, self._handle_message)

    def _cut_off_place(self, place: Place) -> None:
        if place.process == THIS_PROCESS:
            self.cut_off(place.number)
        else:
            self.processes[place.process - 1].cut_off(place.number)

    def _wait_for(self, connection: socket.socket, wanted: int) -> None:
        """Waits until a number of bytes is readable; an earlier wake-up means end of file."""
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == wanted:
            self._close(connection)
        else:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wanted)

    def _close_overdue(self) -> None:
        now, limit = time.monotonic(), self.ae.acse_timeout or 0.0
        while self._waiting:
            connection, since = next(iter(self._waiting.items()))
            if now - since < limit and len(self._waiting) <= MAX_WAITING:
                break
            self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        self._forget(connection)
        connection.close()

    def _forget(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._waiting[connection]


class _OwnAdmission:
    """Takes places for the associations of this process."""

    def __init__(self, limits: AssociationLimits) -> None:
        self._limits = limits

    def ask(self, number: int, sender: Sender) -> "Future[Refusal | None]":
        """Takes a place."""
        answered: Future[Refusal | None] = Future()
        answered.set_result(self._limits.take(Place(THIS_PROCESS, number), sender))
        return answered

    def report(self, busy: int, stalled: Mapping[int, float]) -> None:  # noqa: ARG002  as Admission
        """Frees the places of associations that have ended."""
        self._limits.update(THIS_PROCESS, stalled)


def _hello_bytes(received: bytes) -> int | None:
    """Returns the bytes of a TLS handshake (RFC 8446 5.1) to wait for; None: it is none."""
    is_hello = len(received) >= HEADER_BYTES and received[0] == HANDSHAKE_TYPE
    return HEADER_BYTES if is_hello else None


def _request_bytes(received: bytes) -> int | None:
    """Returns the length of an association request that begins so; None: it is none."""
    if len(received) < HEADER_BYTES or received[0] != REQUEST_TYPE:
        return None
    wanted = HEADER_BYTES + int.from_bytes(received[2:HEADER_BYTES], "big")
    return wanted if wanted <= MAX_REQUEST_BYTES else None
