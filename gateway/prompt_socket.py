"""Sockets that acknowledge each packet at once.

Many senders, dcmtk's among them, write the head of a message and its body one after the other.
TCP then sends the body when the head has been acknowledged (RFC 896), and acknowledges the head
40 ms later, for something to be sent along might come up (RFC 1122 4.2.3.2): twice an instance.
"""

import socket
import ssl

# What pynetdicom reads at once. Less is the end of what has come, or of a message.
FULL_READ_BYTES = 4096


class PromptSocket(socket.socket):
    """A TCP connection."""

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Returns what has come, as any socket does."""
        received = super().recv(bufsize, flags)
        if len(received) < FULL_READ_BYTES:
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # Linux forgets it
        return received


class PromptTlsSocket(ssl.SSLSocket):
    """A TCP connection with TLS."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Returns what has come, as any socket does."""
        received = super().recv(buflen, flags)
        if len(received) < FULL_READ_BYTES:
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return received
