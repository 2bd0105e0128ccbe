"""Serves associations in threads, for connections that this or another process has accepted."""

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from itertools import count
from math import inf
from ssl import SSLError
from threading import Lock, RLock
from typing import Any, Protocol, cast

from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import ThreadedAssociationServer

from gateway.receive.association_limits import Refusal, Sender, StallWatch
from gateway.receive.pynetdicom_without_polling import EventDrivenSocket
from totalmap.log import get_logger

log = get_logger()


class Admission(Protocol):
    """Asks for places for associations (gateway/receive/association_limits.py)."""

    def ask(self, number: int, sender: Sender) -> "Future[Refusal | None]":
        """Asks for a place for an association of this process."""

    def report(self, busy: int, stalled: Mapping[int, float]) -> None:
        """Reports what this process serves.

        Args:
            busy: The number of connections.
            stalled: The associations with a place, and the seconds for which each is inside one
                PDU.
        """


class AssociationServer(ThreadedAssociationServer):
    """Serves the connections that its `process_request` gets; does not listen itself.

    Attributes:
        tls_failed: Called with the address of a connection whose certificate or encryption is not
            accepted.
        admission: Asked for a place before an association is accepted.
        pdu_seconds: The longest time for one PDU; then the association is ended.
    """

    tls_failed: Callable[[str], None] | None = None
    admission: Admission
    pdu_seconds: float = inf

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.contexts = _NeverChanged(self.contexts)
        self._begun = self._starting = self._ended = 0
        self._lock = Lock()
        self._report_lock = RLock()
        self._numbers = count(1)
        self._with_place: dict[int, Association] = {}
        self._watch = StallWatch()

    @property
    def busy(self) -> int:
        """The number of connections that are served, with those that are starting."""
        with self._lock:
            # For a moment, a connection counts as both; the number of ended ones never falls.
            counted = self._starting + len(self.active_associations)
            self._ended = max(self._ended, self._begun - counted)
            return self._begun - self._ended

    def server_bind(self) -> None:
        """Does nothing."""

    def server_activate(self) -> None:
        """Does nothing."""

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serves a connection in a new thread."""
        with self._lock:
            self._begun += 1
            self._starting += 1
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serves a connection; called in its thread."""
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
        """Logs why a connection can't be served."""
        error = sys.exception()
        log.warning("connection_failed", address=client_address[0], error=repr(error))
        if isinstance(error, SSLError) and self.tls_failed:
            self.tls_failed(client_address[0])

    def take_place(self, association: Association, sender: Sender) -> Refusal | None:
        """Takes a place for an association; returns why there is none, or None."""
        with self._report_lock:  # an earlier report would free the place
            number = next(self._numbers)
            self._with_place[number] = association
            asked = self.admission.ask(number, sender)
        try:
            refusal = asked.result(self.ae.acse_timeout)
        except TimeoutError:
            refusal = Refusal.NO_ANSWER
        if refusal is not None:
            self.free_place(association)
        return refusal

    def free_place(self, association: Association) -> None:
        """Frees the place of an association, if it has one."""
        with self._report_lock:
            kept = {n: other for n, other in self._with_place.items() if other is not association}
            if len(kept) == len(self._with_place):
                return
            self._with_place = kept
        self.look()

    def look(self) -> None:
        """Ends associations that take too long for one PDU, and reports the others."""
        with self._report_lock:
            active = self.active_associations
            stalled = self._watch.look(
                (association, association.dul.socket)
                for association in active
                if isinstance(association.dul.socket, EventDrivenSocket)
            )
            for association, seconds in stalled.items():
                if seconds > self.pdu_seconds:
                    self._end_stalled(cast(Association, association), seconds)
            self._with_place = {
                n: association
                for n, association in self._with_place.items()
                if association in active
            }
            self.admission.report(
                self.busy,
                {n: stalled.get(association, 0.0) for n, association in self._with_place.items()},
            )

    def cut_off(self, number: int) -> None:
        """Ends an association whose place another one needs."""
        association = self._with_place.get(number)
        if association is not None:
            log.warning("stalled_association_replaced", address=association.requestor.address)
            cast(EventDrivenSocket, association.dul.socket).cut_off()

    def abort_all(self) -> None:
        """Aborts all associations, and serves no more."""
        for association in self.active_associations:
            transfer = association.dul.socket
            if isinstance(transfer, EventDrivenSocket) and transfer.is_inside_pdu:
                transfer.cut_off()  # an abort would wait for the rest of the PDU
            association.abort()
        self.server_close()

    def _end_stalled(self, association: Association, seconds: float) -> None:
        log.warning(
            "association_stalled", address=association.requestor.address, seconds=round(seconds, 1)
        )
        cast(EventDrivenSocket, association.dul.socket).cut_off()


class _NeverChanged(list[PresentationContext]):
    """A list that pynetdicom copies deeply for each association, although it only reads it."""

    def __deepcopy__(self, memo: object) -> list[PresentationContext]:
        return [*self]
