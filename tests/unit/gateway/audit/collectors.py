"""Syslog collectors on free ports of the loopback."""

import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread

from tests.servers import LOOPBACK
from tests.waiting import WAIT_SECONDS


@dataclass(frozen=True, slots=True)
class Listening:
    """What a collector has got, message by message, with their headers."""

    port: int
    got: "SimpleQueue[bytes]" = field(default_factory=SimpleQueue)

    def next(self) -> bytes:
        """Waits for the next message."""
        return self.got.get(timeout=WAIT_SECONDS)


@contextmanager
def udp_collector() -> Iterator[Listening]:
    with socket.socket(type=socket.SOCK_DGRAM) as receiver:
        receiver.bind((LOOPBACK, 0))
        listening = Listening(receiver.getsockname()[1])

        def receive() -> None:
            while datagram := receiver.recv(65_536):
                listening.got.put(datagram)

        with _running(receive):
            try:
                yield listening
            finally:
                receiver.sendto(b"", receiver.getsockname())


@contextmanager
def stream_collector(context: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Listening]:
    """A collector by TCP, or by TLS where there is a context."""
    with socket.create_server((LOOPBACK, port)) as server:
        listening = Listening(server.getsockname()[1])
        is_open = True

        def accept() -> None:
            while True:
                stream, _ = server.accept()
                with stream:
                    if not is_open:
                        return
                    with suppress(OSError):  # of one who is not let in, nothing is read
                        _read(stream, context, listening)

        with _running(accept):
            try:
                yield listening
            finally:
                is_open = False
                socket.create_connection(server.getsockname()).close()


def _read(stream: socket.socket, context: ssl.SSLContext | None, listening: Listening) -> None:
    if context is None:
        _read_frames(stream, listening)
    else:
        with context.wrap_socket(stream, server_side=True) as encrypted:
            _read_frames(encrypted, listening)


def _read_frames(stream: socket.socket, listening: Listening) -> None:
    """RFC 6587 3.4.1."""
    content = b"".join(iter(lambda: stream.recv(65_536), b""))
    while content:
        length = re.match(rb"([1-9][0-9]*) ", content)
        assert length, content[:20]
        end = length.end() + int(length[1])
        listening.got.put(content[length.end() : end])
        content = content[end:]


@contextmanager
def _running(act: Callable[[], None]) -> Iterator[None]:
    thread = Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        thread.join()
