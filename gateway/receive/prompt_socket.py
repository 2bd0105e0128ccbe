"""A socket of pynetdicom's that acknowledges packets at once and reads as much as there is."""

import socket
from typing import cast

from pynetdicom.transport import AssociationSocket


class PromptSocket(AssociationSocket):
    """Takes over the connection of an association.

    Many senders, dcmtk's among them, write the head of a message and its body one after the other.
    TCP then sends the body when the head has been acknowledged (RFC 896), and acknowledges the
    head 40 ms later, for something to be sent along might come up (RFC 1122 4.2.3.2): twice an
    instance.
    """

    def __init__(self, accepted: AssociationSocket, max_bytes: int) -> None:
        """Takes over an accepted connection.

        Args:
            accepted: Of no use afterwards.
            max_bytes: The longest PDU that was agreed on (PS3.8 D.1).
        """
        self.__dict__.update(accepted.__dict__)  # a new one would announce the connection again
        self._max_bytes = max_bytes

    def recv(self, nr_bytes: int) -> bytearray:
        """Returns so many bytes, or fewer where the connection ends before.

        Raises:
            OSError: A PDU says that it is longer than was agreed on.
        """
        if nr_bytes > self._max_bytes:
            raise OSError(f"a PDU of {nr_bytes} bytes, at most {self._max_bytes} are allowed")
        connection = cast(socket.socket, self.socket)
        received, so_far = bytearray(nr_bytes), 0
        while so_far < nr_bytes:
            count = connection.recv_into(memoryview(received)[so_far:])
            if count == 0:
                break
            so_far += count
            # Linux forgets it each time.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        del received[so_far:]
        return received
