"""Associations of pynetdicom's whose threads wait until there is something to do.

pynetdicom has two threads for each association, and each of them looks a thousand times a second
whether there is. With a few associations they take Python's lock from one another more than they
work. Here the one waits for the network and for a bell, the other for the next message.
"""

import os
import select
import socket
from collections.abc import Callable
from queue import Queue
from ssl import SSLSocket
from typing import Any, cast

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

# After which both look whether the association has ended, of which nobody tells them.
PATIENCE_SECONDS = 0.1
# PS3.8 9.3.1: type and length, which come before every PDU.
HEADER_BYTES = 6
_CONNECTION_CLOSED = "Evt17"
_NO_MESSAGE = (None, None)


def make_prompt(association: Association, max_pdu_bytes: int) -> None:
    """Has an association wait instead of look, before its threads start.

    Args:
        association: That has just been made for a connection.
        max_pdu_bytes: The longest PDU that was agreed on (PS3.8 D.1).
    """
    bell, dul = _Bell(), association.dul
    messages = _PatientQueue()
    association.dimse.msg_queue = messages
    dul.socket = PromptSocket(cast(AssociationSocket, dul.socket), max_pdu_bytes, bell)
    dul.to_provider_queue = _RingingQueue(bell.ring)
    dul.to_user_queue = _RingingQueue(lambda: messages.put(_NO_MESSAGE))
    dul._run_loop_delay = 0  # it waits in `PromptSocket.ready`


class PromptSocket(AssociationSocket):
    """Takes over the connection of an association; acknowledges packets at once.

    Many senders, dcmtk's among them, write the head of a message and its body one after the other.
    TCP then sends the body when the head has been acknowledged (RFC 896), and acknowledges the
    head 40 ms later, for something to be sent along might come up (RFC 1122 4.2.3.2): twice an
    instance.
    """

    def __init__(self, accepted: AssociationSocket, max_pdu_bytes: int, bell: "_Bell") -> None:
        """Takes over an accepted connection.

        Args:
            accepted: Of no use afterwards.
            max_pdu_bytes: As `make_prompt`.
            bell: Rings when there is something to be sent.
        """
        self.__dict__.update(accepted.__dict__)  # a new one would announce the connection again
        self._max_pdu_bytes = max_pdu_bytes
        self._bell = bell
        self._awaited = select.poll()  # select() takes no file descriptor above 1023
        for one in (cast(socket.socket, self.socket), bell):
            self._awaited.register(one, select.POLLIN)

    @property
    def ready(self) -> bool:
        """Returns whether there is something to be read.

        Waits until there is, or something to be sent or to be done.
        """
        if self.socket is None or not self._is_connected:
            return False
        if isinstance(self.socket, SSLSocket) and self.socket.pending():
            return True
        patience = PATIENCE_SECONDS if self.event_queue.empty() else 0.0
        try:
            found = [one for one, _ in self._awaited.poll(patience * 1000)]
        except OSError:
            self.event_queue.put(_CONNECTION_CLOSED)
            return False
        if self._bell.fileno() in found:
            self._bell.hear()
            return len(found) > 1
        return bool(found)

    def recv(self, nr_bytes: int) -> bytearray:
        """Returns so many bytes, or fewer where the connection ends before.

        Raises:
            OSError: A PDU says that it is longer than was agreed on.
        """
        if nr_bytes > self._max_pdu_bytes:
            raise OSError(f"a PDU of {nr_bytes} bytes, at most {self._max_pdu_bytes} are allowed")
        connection = cast(socket.socket, self.socket)
        # One call for a whole PDU: after each one, Python's lock has to be had again.
        flags = 0 if isinstance(connection, SSLSocket) else socket.MSG_WAITALL
        received, so_far = bytearray(nr_bytes), 0
        while so_far < nr_bytes:
            count = connection.recv_into(memoryview(received)[so_far:], 0, flags)
            if count == 0:
                break
            so_far += count
        if nr_bytes > HEADER_BYTES:  # Linux forgets it each time
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        del received[so_far:]
        return received


class _Bell:
    """Wakes a thread that waits for file descriptors."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Returns what to wait for."""
        return self._descriptor

    def ring(self) -> None:
        """Wakes the thread, or keeps it from going to sleep."""
        os.eventfd_write(self._descriptor, 1)

    def hear(self) -> None:
        """Has it ring no more."""
        os.eventfd_read(self._descriptor)

    def __del__(self) -> None:
        # Not before: a thread that still waits would wait for whoever gets the number next.
        os.close(self._descriptor)


class _RingingQueue(Queue[Any]):
    """Says that it has got something."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._ring()


class _PatientQueue(Queue[Any]):
    """Waits a while for those who would come again at once."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        return super().get(timeout=timeout if block else PATIENCE_SECONDS)
