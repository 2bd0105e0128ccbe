"""Sends audit messages to a syslog collector (RFC 5424), by UDP, TCP or TLS."""

import os
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.config import SyslogSection
from gateway.config.named_files import shown
from totalmap.errors import ConfigError, ResourceError

# PS3.15 A.6: facility 10, security/authorization; 5: normal but significant, 4: warning
_FACILITY, _NOTICE, _WARNING = 10, 5, 4
_MESSAGE_ID = "DICOM+RFC3881"
_PROGRAM = "totalmap"
_READ_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogMessage:
    """An audit message to be sent.

    Attributes:
        at: Seconds since 1970, UTC.
        text: The message, in ASCII.
    """

    at: float
    is_failure: bool
    text: bytes


class Collector:
    """A syslog collector; after a failure nothing is sent to it for a while."""

    def __init__(self, settings: SyslogSection, host: str) -> None:
        """Does not connect yet.

        Args:
            settings: Its address.
            host: The name of this machine.

        Raises:
            ConfigError: A certificate or key can't be used.
        """
        self._settings = settings
        self._host = host
        self._tls = _tls_context(settings)
        self._not_before = 0.0

    def is_waiting_to_retry(self) -> bool:
        """Returns whether it has failed recently, so that nothing is sent."""
        return time.monotonic() < self._not_before

    def send(self, messages: Sequence[SyslogMessage]) -> None:
        """Sends messages; returns when the collector has read them, or, by UDP, when they are sent.

        Raises:
            ResourceError: It did not read all of them.
        """
        settings = self._settings
        try:
            if settings.protocol == "udp":
                self._send_datagrams(messages)
            else:
                self._send_stream(messages)
        except (OSError, UnicodeError) as error:  # SSLError; or a host name
            self._not_before = time.monotonic() + settings.retry_seconds
            raise ResourceError(
                f"the syslog collector {settings.host}:{settings.port} does not take messages by "
                f"{settings.protocol}: {error}"
            ) from error

    def _send_datagrams(self, messages: Sequence[SyslogMessage]) -> None:
        """RFC 5426: a datagram for each message."""
        settings = self._settings
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as sender:
            for message in messages:
                sender.sendto(self._frame(message), address)

    def _send_stream(self, messages: Sequence[SyslogMessage]) -> None:
        """RFC 6587 3.4.1 and RFC 5425 4.3: each message after its length.

        Syslog has no answer; but a collector that closes its side has read everything.
        """
        frames = [self._frame(message) for message in messages]
        with self._connection() as stream:
            stream.sendall(b"".join(b"%d %s" % (len(frame), frame) for frame in frames))

    @contextmanager
    def _connection(self) -> Iterator[socket.socket]:
        settings = self._settings
        address = (settings.host, settings.port)
        with socket.create_connection(address, settings.time_out_seconds) as plain:
            if self._tls is not None:
                with self._tls.wrap_socket(plain, server_hostname=settings.host) as stream:
                    yield stream
                    _announce_end(stream)
                    _wait_until_closed(stream)
            else:
                yield plain
                plain.shutdown(socket.SHUT_WR)
                _wait_until_closed(plain)

    def _frame(self, message: SyslogMessage) -> bytes:
        """Returns a message with its header (RFC 5424 6.2), without structured data."""
        priority = _FACILITY * 8 + (_WARNING if message.is_failure else _NOTICE)
        at = datetime.fromtimestamp(message.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        header = f"<{priority}>1 {at} {self._host} {_PROGRAM} {os.getpid()} {_MESSAGE_ID} - "
        return header.encode("ascii", "replace") + message.text


def _tls_context(settings: SyslogSection) -> ssl.SSLContext | None:
    if settings.protocol != "tls":
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.certificate_file is not None:
            context.load_cert_chain(settings.certificate_file, settings.key_file)
    except OSError as error:  # SSLError is one
        raise ConfigError(
            f"audit.syslog: {shown(settings.ca_file, 'ca_file')}, "
            f"{shown(settings.certificate_file, 'certificate_file')} and "
            f"{shown(settings.key_file, 'key_file')} can't be used: {error}"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _announce_end(stream: ssl.SSLSocket) -> None:
    """Announces the end of the connection (RFC 5425 4.4), without waiting for the answer."""
    time_out = stream.gettimeout()
    stream.settimeout(0)
    with suppress(ssl.SSLWantReadError, ssl.SSLEOFError):  # many just close the connection
        stream.unwrap()
    stream.settimeout(time_out)


def _wait_until_closed(stream: socket.socket) -> None:
    """Returns when the other side is closed.

    Raises:
        OSError: The connection broke, or the collector refused our certificate.
    """
    with suppress(TimeoutError):  # a collector that leaves it open may have read everything
        while stream.recv(_READ_BYTES):
            pass
