"""HTTP connections that ask for nothing are closed, and there are never more than so many.

uvicorn lets a connection be silent for ever before its first request. The DICOM receiver in the
same process can't have that: pynetdicom's select() takes no file descriptor above 1023.
"""

import asyncio
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 3.0
MAX_CONNECTIONS = 128


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
