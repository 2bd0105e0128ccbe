"""Serves connections, each in threads of its own, wherever they were accepted."""

import sys
from collections.abc import Callable
from ssl import SSLError
from threading import Lock
from typing import Any

from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import ThreadedAssociationServer

from totalmap.log import get_logger

log = get_logger()


class AssociationServer(ThreadedAssociationServer):
    """Serves connections that are given to its `process_request`; listens nowhere itself.

    Attributes:
        tls_failed: Is told from where a connection came whose certificate or encryption is not
            accepted.
    """

    tls_failed: Callable[[str], None] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.contexts = _NeverChanged(self.contexts)
        self._begun = self._starting = self._ended = 0
        self._lock = Lock()

    @property
    def busy(self) -> int:
        """How many connections are served, with those that are just being begun."""
        with self._lock:
            # For a moment, one is counted as both; but what has ended does not come back.
            counted = self._starting + len(self.active_associations)
            self._ended = max(self._ended, self._begun - counted)
            return self._begun - self._ended

    def server_bind(self) -> None:
        """Does nothing."""

    def server_activate(self) -> None:
        """Does nothing."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Has a connection served, in a thread of its own."""
        with self._lock:
            self._begun += 1
            self._starting += 1
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Begins to serve a connection, in its thread."""
        try:
            if self.ssl_context:
                request.settimeout(self.ae.acse_timeout)
                request = self.ssl_context.wrap_socket(request, server_side=True)
                request.settimeout(None)
            super().finish_request(request, client_address)
        finally:
            with self._lock:
                self._starting -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  overrides
        """Says why a connection that had asked for something can't be served."""
        error = sys.exception()
        log.warning("connection_failed", address=client_address[0], error=repr(error))
        if isinstance(error, SSLError) and self.tls_failed:
            self.tls_failed(client_address[0])

    def abort_all(self) -> None:
        """Ends all associations, and serves no more."""
        for association in self.active_associations:
            association.abort()
        self.server_close()


class _NeverChanged(list[PresentationContext]):
    """What pynetdicom copies for each association, in all its depth, and only reads."""

    def __deepcopy__(self, memo: object) -> list[PresentationContext]:
        return [*self]
