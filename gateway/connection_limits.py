"""HTTP connections that ask for nothing are closed, and there are never more than so many.

uvicorn lets a connection be silent for ever before its first request, and for a minute before its
TLS handshake. Neither the DICOM receiver in the same process can have that, since pynetdicom's
select() takes no file descriptor above 1023, nor can the page.
"""

import asyncio
import socket
from collections.abc import Collection
from contextlib import suppress
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 3.0
MAX_CONNECTIONS = 128
# As many more may be in their TLS handshake, and wait to be let in.
MAX_HANDSHAKES = 128
BACKLOG = 128


class PatientProtocol(H11Protocol):
    """A connection that has `REQUEST_SECONDS` for its first request.

    With more than `MAX_CONNECTIONS`, the oldest goes that has no request under way.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a request."""
        super().connection_made(transport)
        self._came_at = self.loop.time()
        self.loop.call_later(REQUEST_SECONDS, self._turn_out_if_silent)
        everybody = cast("set[PatientProtocol]", self.connections)
        here = [one for one in everybody if not one.transport.is_closing()]
        if len(here) > MAX_CONNECTIONS:
            idle = [one for one in here if not one._is_busy]
            min(idle, key=lambda one: one._came_at).transport.abort()

    @property
    def _is_busy(self) -> bool:
        return self._has_asked and not self.cycle.response_complete

    @property
    def _has_asked(self) -> bool:
        return cast(object, self.cycle) is not None  # until then it is, whatever its type says

    def _turn_out_if_silent(self) -> None:
        if not self._has_asked:
            self.transport.abort()


class Door(socket.socket):
    """A listening socket; with more than `MAX_HANDSHAKES` in their handshake, the oldest goes."""

    def __init__(self, listening: socket.socket) -> None:
        """Listens in the place of another socket, which is given up.

        Args:
            listening: At an address.
        """
        super().__init__(fileno=listening.detach())
        # Connections that have come in, each a protocol of the server's: uvicorn's own set.
        self.let_in: Collection[Any] = ()
        self._waiting: list[socket.socket] = []

    def accept(self) -> tuple[socket.socket, Any]:
        """Returns the next connection, and where it comes from."""
        connection, address = super().accept()
        self._waiting = [*self._still_waiting(), connection]
        while len(self._waiting) > MAX_HANDSHAKES:
            with suppress(OSError):  # it has gone by itself
                self._waiting.pop(0).shutdown(socket.SHUT_RDWR)
        return connection, address

    def _still_waiting(self) -> list[socket.socket]:
        inside = {one.transport.get_extra_info("socket").fileno() for one in self.let_in}
        gone = -1
        return [one for one in self._waiting if one.fileno() not in {gone, *inside}]
