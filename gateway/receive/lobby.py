"""Where connections wait until they have asked for an association; only then they get a thread.

pynetdicom starts two threads for each connection, and a few hundred that say nothing keep it from
everything else. Here they cost a socket each, and those that say something else are closed.
"""

import socket
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from typing import Any, Protocol, cast

from pynetdicom.transport import ThreadedAssociationServer

from gateway.receive.association_server import AssociationServer
from totalmap.log import get_logger

# PS3.8 9.3.2: the type of an A-ASSOCIATE-RQ PDU, and the length of what follows at 2 to 5.
REQUEST_TYPE = 1
HANDSHAKE_TYPE = 22
HEADER_BYTES = 6
# 128 presentation contexts with 20 transfer syntaxes each have 80 kB.
MAX_REQUEST_BYTES = 120_000
# pynetdicom's select() takes no file descriptor above 1023.
MAX_WAITING = 500

log = get_logger()


class Desk(Protocol):
    """Another process that serves connections (gateway/receive/desks.py)."""

    @property
    def busy(self) -> int:
        """How many connections it has."""

    @property
    def is_there(self) -> bool:
        """Whether it takes connections."""

    def fileno(self) -> int:
        """Returns what becomes readable when `listen` is to be called."""

    def give(self, connection: socket.socket) -> bool:
        """Hands a connection over; returns False where it can't be."""

    def listen(self) -> bool:
        """Takes in what it says of itself; returns False where it has ended."""

    def start_again(self) -> bool:
        """Starts it again where it ended some time ago; returns whether it did."""


class LobbyServer(AssociationServer):
    """A server of pynetdicom's with a lobby.

    The time of `AE.acse_timeout` is how long a connection may wait in it. With more than
    `MAX_WAITING`, those that came first have to go.

    Attributes:
        desks: To which connections are handed over that have the fewest of them.
    """

    request_queue_size = 128
    desks: Sequence[Desk] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: OrderedDict[socket.socket, float] = OrderedDict()
        self._selector = DefaultSelector()
        self._bell, self._listener = socket.socketpair()

    def server_bind(self) -> None:
        """Takes the address."""
        ThreadedAssociationServer.server_bind(self)

    def server_activate(self) -> None:
        """Listens there."""
        ThreadedAssociationServer.server_activate(self)

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serves until `stop` is called, in another thread."""
        doors = {self.socket: self._accept, self._listener: lambda _door: None}
        for door, answer in doors.items():
            self._selector.register(cast(socket.socket, door), EVENT_READ, answer)
        for desk in self.desks:
            self._selector.register(desk, EVENT_READ, self._listen_to)
        while self._bell.fileno() >= 0:
            for key, _ in self._selector.select(poll_interval):
                key.data(key.fileobj)
            self._turn_out_those_who_waited_long()
            self._start_desks_again()
        for connection in list(self._waiting):
            self._turn_out(connection)
        self._selector.close()
        self._listener.close()

    def stop(self) -> None:
        """Ends `serve_forever`; associations go on."""
        self._bell.close()

    def _accept(self, door: socket.socket) -> None:
        with suppress(OSError):  # who came has gone again
            connection, _ = door.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, HEADER_BYTES)
            self._waiting[connection] = time.monotonic()
            self._selector.register(connection, EVENT_READ, self._look)

    def _look(self, connection: socket.socket) -> None:
        """Lets a connection in that has asked, and waits on for the rest of a request."""
        try:
            said = connection.recv(MAX_REQUEST_BYTES, socket.MSG_PEEK)
            address = connection.getpeername()
        except OSError:
            self._turn_out(connection)
            return
        wanted = (_hello_bytes if self.ssl_context else _request_bytes)(said)
        if wanted is None:
            if said:
                log.warning("no_association_request", address=address[0])
            self._turn_out(connection)
        elif len(said) < wanted:
            self._wait_for(connection, wanted)
        else:
            self._forget(connection)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            self._admit(connection, address)

    def _admit(self, connection: socket.socket, address: Any) -> None:
        """Has a connection served by whoever has the fewest."""
        desks = sorted((one for one in self.desks if one.is_there), key=lambda one: one.busy)
        if not (desks and desks[0].busy <= self.busy and desks[0].give(connection)):
            self.process_request(connection, address)

    def _listen_to(self, desk: Desk) -> None:
        descriptor = desk.fileno()
        if not desk.listen():
            self._selector.unregister(descriptor)

    def _start_desks_again(self) -> None:
        for desk in self.desks:
            if desk.start_again():
                self._selector.register(desk, EVENT_READ, self._listen_to)

    def _wait_for(self, connection: socket.socket, wanted: int) -> None:
        """Looks again when so much has come; who does so before has come to the end."""
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == wanted:
            self._turn_out(connection)
        else:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wanted)

    def _turn_out_those_who_waited_long(self) -> None:
        now, patience = time.monotonic(), self.ae.acse_timeout or 0.0
        while self._waiting:
            connection, since = next(iter(self._waiting.items()))
            if now - since < patience and len(self._waiting) <= MAX_WAITING:
                break
            self._turn_out(connection)

    def _turn_out(self, connection: socket.socket) -> None:
        self._forget(connection)
        connection.close()

    def _forget(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        del self._waiting[connection]


def _hello_bytes(said: bytes) -> int | None:
    """Returns how much of a TLS record of a handshake (RFC 8446 5.1) to wait for."""
    return HEADER_BYTES if len(said) >= HEADER_BYTES and said[0] == HANDSHAKE_TYPE else None


def _request_bytes(said: bytes) -> int | None:
    """Returns how long a request is that begins like this; None: it is none."""
    if len(said) < HEADER_BYTES or said[0] != REQUEST_TYPE:
        return None
    wanted = HEADER_BYTES + int.from_bytes(said[2:HEADER_BYTES], "big")
    return wanted if wanted <= MAX_REQUEST_BYTES else None
