"""Makes associations of pynetdicom wait for events instead of polling, and detects stalls.

pynetdicom has two threads for each association, each of which polls a thousand times a second. With
a few associations they mostly compete for Python's lock. Here one thread waits for the network and
for a wake-up, and the other one for the next message. Beside 16 idle associations this receives
three times as many instances a second (benchmarks/idle_associations.py).
"""

import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Queue
from ssl import SSLSocket
from typing import Any, cast

from pynetdicom.association import Association
from pynetdicom.timer import Timer
from pynetdicom.transport import AssociationSocket

# Both threads poll this often whether the association has ended: no event tells them.
POLL_SECONDS = 0.1
# PS3.8 9.3.1: type and length, at the begin of every PDU.
HEADER_BYTES = 6
_CONNECTION_CLOSED = "Evt17"
_NO_MESSAGE = (None, None)


def make_event_driven(association: Association, max_pdu_bytes: int) -> None:
    """Makes an association wait for events instead of polling, before its threads start.

    Args:
        association: A new one, for a connection.
        max_pdu_bytes: The longest PDU that was agreed on (PS3.8 D.1).
    """
    wake_event, dul = _WakeEvent(), association.dul
    messages = _WaitingQueue()
    association.dimse.msg_queue = messages
    dul.socket = EventDrivenSocket(cast(AssociationSocket, dul.socket), max_pdu_bytes, wake_event)
    dul.to_provider_queue = _NotifyingQueue(wake_event.set)
    dul.to_user_queue = _NotifyingQueue(lambda: messages.put(_NO_MESSAGE))
    dul.artim_timer = _MonotonicTimer(dul.artim_timer.timeout)
    dul._idle_timer = _MonotonicTimer(dul._idle_timer.timeout)
    dul._run_loop_delay = 0  # it waits in `EventDrivenSocket.ready`


class EventDrivenSocket(AssociationSocket):
    """Takes over the connection of an association; acknowledges packets at once.

    Many senders, such as those of dcmtk, write the head of a message and its body separately. TCP
    sends the body only when the head is acknowledged (RFC 896), and delays that by 40 ms (RFC 1122
    4.2.3.2), twice for each instance.

    Attributes:
        n_pdus: The number of PDUs that were begun, received or sent.
        is_inside_pdu: Whether the last one is incomplete: the peer keeps us waiting.
    """

    def __init__(
        self, accepted: AssociationSocket, max_pdu_bytes: int, wake_event: "_WakeEvent"
    ) -> None:
        """Takes over an accepted connection.

        Args:
            accepted: The socket, which must not be used afterwards.
            max_pdu_bytes: As `make_event_driven`.
            wake_event: Set when there is something to send.
        """
        self.__dict__.update(accepted.__dict__)  # a new object would announce the connection again
        self.n_pdus = 0
        self.is_inside_pdu = False
        self._has_header = False
        self._max_pdu_bytes = max_pdu_bytes
        self._wake_event = wake_event
        self._awaited = select.poll()  # select() does not take file descriptors above 1023
        for awaited in (cast(socket.socket, self.socket), wake_event):
            self._awaited.register(awaited, select.POLLIN)

    @property
    def ready(self) -> bool:
        """Waits for data, or for something to send; returns whether there is data."""
        self.is_inside_pdu = self._has_header = False
        if self.socket is None or not self._is_connected:
            return False
        if isinstance(self.socket, SSLSocket) and self.socket.pending():
            return True
        seconds = POLL_SECONDS if self.event_queue.empty() else 0.0
        try:
            found = [descriptor for descriptor, _ in self._awaited.poll(seconds * 1000)]
        except OSError:
            self.event_queue.put(_CONNECTION_CLOSED)
            return False
        if self._wake_event.fileno() in found:
            self._wake_event.clear()
            return len(found) > 1
        return bool(found)

    def recv(self, nr_bytes: int) -> bytearray:
        """Returns a number of bytes, or fewer if the connection ends before.

        Raises:
            OSError: A PDU is longer than was agreed on.
        """
        if nr_bytes > self._max_pdu_bytes:
            raise OSError(f"a PDU of {nr_bytes} bytes, at most {self._max_pdu_bytes} are allowed")
        if not self._has_header:
            self._begin_pdu()
        received = self._receive(nr_bytes)
        is_whole = self._has_header or len(received) < nr_bytes
        self._has_header = True
        self.is_inside_pdu = not is_whole
        return received

    def send(self, bytestream: bytes) -> None:
        """Sends a PDU; if that fails, the connection counts as closed."""
        self._begin_pdu()
        try:
            super().send(bytestream)
        finally:
            self.is_inside_pdu = False

    def cut_off(self) -> None:
        """Ends the connection from another thread, and wakes the threads that read or write."""
        with suppress(OSError, AttributeError):  # it has ended by itself
            # Not SSLSocket.shutdown, which would go on without encryption.
            socket.socket.shutdown(cast(socket.socket, self.socket), socket.SHUT_RDWR)

    def _begin_pdu(self) -> None:
        self.n_pdus += 1
        self.is_inside_pdu = True

    def _receive(self, nr_bytes: int) -> bytearray:
        connection = cast(socket.socket, self.socket)
        # One call for a whole PDU: after each call, Python's lock has to be taken again.
        flags = 0 if isinstance(connection, SSLSocket) else socket.MSG_WAITALL
        received, so_far = bytearray(nr_bytes), 0
        while so_far < nr_bytes:
            count = connection.recv_into(memoryview(received)[so_far:], 0, flags)
            if count == 0:
                break
            so_far += count
        if nr_bytes > HEADER_BYTES:  # Linux resets the option each time
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        del received[so_far:]
        return received


class _WakeEvent:
    """Wakes a thread that waits for file descriptors."""

    _descriptor = -1  # if no descriptor is free

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Returns the descriptor to wait for."""
        return self._descriptor

    def set(self) -> None:
        """Wakes the thread, or keeps it from going to sleep."""
        os.eventfd_write(self._descriptor, 1)

    def clear(self) -> None:
        """Lets the thread sleep again."""
        os.eventfd_read(self._descriptor)

    def __del__(self) -> None:
        # Not before: a thread that still waits would wait for the next user of the number.
        if self._descriptor >= 0:
            os.close(self._descriptor)


class _NotifyingQueue(Queue[Any]):
    """Calls a function after each item that is put."""

    def __init__(self, notify: Callable[[], None]) -> None:
        super().__init__()
        self._notify = notify

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._notify()


class _WaitingQueue(Queue[Any]):
    """Makes callers that would poll wait for a short time."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        return super().get(timeout=timeout if block else POLL_SECONDS)


class _MonotonicTimer(Timer):
    """A timer that does not depend on the wall clock."""

    @property
    def remaining(self) -> float:
        """Returns the remaining seconds; 1 if it never expires."""
        if self.timeout is None:
            return 1
        if self._start_time is None:
            return self.timeout
        now = time.monotonic() if self._end_time is None else self._end_time
        return self.timeout - (now - self._start_time)

    def start(self) -> None:
        """Starts the timer again."""
        self._start_time, self._end_time = time.monotonic(), None

    def stop(self) -> None:
        """Stops the timer."""
        self._end_time = time.monotonic()
