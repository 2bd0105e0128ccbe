"""Sets limits and deadlines for HTTP connections, of the page and of STOW-RS.

uvicorn sets no time limit for the first request of a connection, for the rest of a request, or for
reading a response. Here each of these has a deadline. If there are too many connections, the one
without progress for longest is closed for a new one. /health and /metrics are always answered.
"""

import asyncio
import socket
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.tcp_keepalive import detect_dead_peer
from totalmap.log import get_logger

REQUEST_SECONDS = 3.0
BODY_SECONDS = 10.0
ANSWER_SECONDS = 10.0
# At least this number of bytes, in either direction, counts as progress.
PROGRESS_BYTES = 1000
# A request without progress for this time may be closed for a new connection.
STALLED_SECONDS = 1.0
LOOK_SECONDS = 0.25
MAX_CONNECTIONS = 128
MAX_OF_ADDRESS = 64
# This many more connections are accepted, on which only RESERVED_PATHS are answered.
RESERVED_CONNECTIONS = 16
RESERVED_PATHS = ("/health", "/metrics")
# The number of further connections in their TLS handshake, and of those that wait to be accepted.
MAX_HANDSHAKES = 128
BACKLOG = 128
# Linux would keep up to 4 MB of responses for each client that reads none.
SEND_BUFFER_BYTES = 65_536

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long the gateway waits for a connection, in seconds.

    Attributes:
        request: For the head of a request, from its first byte; for the first one, from the
            beginning of the connection.
        body: For the next PROGRESS_BYTES of a body.
        answer: For reading the next PROGRESS_BYTES of an answer.
    """

    request: float = REQUEST_SECONDS
    body: float = BODY_SECONDS
    answer: float = ANSWER_SECONDS


class LimitedProtocol(H11Protocol):
    """A connection with deadlines, which counts against the limit of its server."""

    deadlines = Deadlines()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Makes room for a new connection, and starts to watch it."""
        super().connection_made(transport)
        self._progress_at = self.loop.time()
        self._head_since: float | None = self._progress_at
        self._n_bytes = 0  # since the last progress
        self._unsent = 0
        self._is_reserved = self._is_ended = False
        if not self._make_room():
            self._is_reserved = True
            self.app = cast(Any, _OnlyReserved(cast(ASGIApp, self.app)))
        self._watch = self.loop.call_later(LOOK_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops watching."""
        self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes received data; the deadline of a request starts with its first byte."""
        before = cast(object, self.cycle)
        if not self._is_busy and self._head_since is None:
            self._head_since = self.loop.time()
        self._note_progress(len(data))
        super().data_received(data)
        if cast(object, self.cycle) is not before:
            self._head_since = None

    def resume_writing(self) -> None:
        """Notes that the peer has read a part of a response."""
        self._note_progress(PROGRESS_BYTES)
        super().resume_writing()

    @property
    def _is_busy(self) -> bool:
        """Whether a request is being received or answered."""
        has_asked = cast(object, self.cycle) is not None  # it is None until then
        return has_asked and not self.cycle.response_complete

    @property
    def _is_receiving(self) -> bool:
        """Whether we wait for the rest of a body."""
        return self._is_busy and self.cycle.more_body and not self.flow.read_paused

    @property
    def _stalled_seconds(self) -> float:
        return self.loop.time() - self._progress_at

    @property
    def _is_replaceable(self) -> bool:
        return not self._is_busy or self._stalled_seconds >= STALLED_SECONDS

    def _note_progress(self, n_bytes: int) -> None:
        self._n_bytes += n_bytes
        if self._n_bytes >= PROGRESS_BYTES:
            self._n_bytes, self._progress_at = 0, self.loop.time()

    def _look(self) -> None:
        """Ends the connection where its peer has kept us waiting for too long."""
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        self._note_progress(max(0, self._unsent - unsent))
        self._unsent = unsent
        if self._is_busy and not self._is_receiving and not unsent:
            self._progress_at = now  # we keep the peer waiting
        waited, limits = self._stalled_seconds, self.deadlines
        if unsent and waited > limits.answer:
            self._end("an answer was not read")
        elif self._is_receiving and waited > limits.body:
            self._end("a request was not sent to its end")
        elif self._head_since is not None and now - self._head_since > limits.request:
            self._end(None)
        self._watch = self.loop.call_later(LOOK_SECONDS, self._look)

    def _end(self, reason: str | None) -> None:
        self._is_ended = True
        if reason is not None:
            address = self.client[0] if self.client else ""
            log.warning("http_connection_ended", address=address, reason=reason)
        self.transport.abort()

    def _make_room(self) -> bool:
        """Ends other connections where there are too many; returns whether there is room."""
        everybody = cast("set[LimitedProtocol]", self.connections)
        others = [other for other in everybody if other is not self and not other._is_ended]
        address = self.client and self.client[0]
        same = [other for other in others if other.client and other.client[0] == address]
        if len(same) >= MAX_OF_ADDRESS:
            has_room = _replace_one(same)
        else:
            has_room = len(others) < MAX_CONNECTIONS or _replace_one(others)
        reserved = [other for other in others if other._is_reserved]
        if not has_room and len(reserved) >= RESERVED_CONNECTIONS:
            min(reserved, key=lambda other: other._progress_at)._end(None)
        return has_room


def _replace_one(connections: Sequence[LimitedProtocol]) -> bool:
    """Ends an idle connection, or else the one without progress for longest.

    Returns:
        Whether there was one.
    """
    replaceable = [connection for connection in connections if connection._is_replaceable]
    if not replaceable:
        return False
    longest = max(replaceable, key=lambda other: (not other._is_busy, other._stalled_seconds))
    longest._end(None)
    return True


def protocol_with(deadlines: Deadlines) -> type[LimitedProtocol]:
    """Returns a protocol for uvicorn with deadlines of its own."""
    return type("LimitedProtocol", (LimitedProtocol,), {"deadlines": deadlines})


@dataclass(frozen=True, slots=True)
class _OnlyReserved:
    """Answers RESERVED_PATHS, and refuses everything else for the moment."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_reserved = scope["path"] in RESERVED_PATHS
        await (self.app if is_reserved else cast(ASGIApp, service_unavailable))(
            scope, receive, send
        )


class ListeningSocket(socket.socket):
    """Accepts connections; closes the oldest of more than `MAX_HANDSHAKES` TLS handshakes."""

    def __init__(self, listening: socket.socket) -> None:
        """Takes over another socket, which must not be used afterwards.

        Args:
            listening: At an address.
        """
        super().__init__(fileno=listening.detach())
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        # The protocols of connections whose handshake is done: uvicorn's own set.
        self.accepted: Collection[Any] = ()
        self._in_handshake: list[socket.socket] = []

    def accept(self) -> tuple[socket.socket, Any]:
        """Returns the next connection, and where it comes from."""
        connection, address = super().accept()
        with suppress(OSError):  # it has gone by itself
            detect_dead_peer(connection)
        self._in_handshake = [*self._still_in_handshake(), connection]
        while len(self._in_handshake) > MAX_HANDSHAKES:
            with suppress(OSError):
                self._in_handshake.pop(0).shutdown(socket.SHUT_RDWR)
        return connection, address

    def _still_in_handshake(self) -> list[socket.socket]:
        accepted = {
            protocol.transport.get_extra_info("socket").fileno() for protocol in self.accepted
        }
        closed = -1
        return [
            connection
            for connection in self._in_handshake
            if connection.fileno() not in {closed, *accepted}
        ]
