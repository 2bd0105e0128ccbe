"""Mail servers and webhooks on free ports of the loopback, which keep what they get."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers import LOOPBACK, free_port
from tests.waiting import WAIT_SECONDS

USER, PASSWORD = "totalmap", "Geheim-1"


class Authority:
    """An authority of certificates for the servers of a test."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.file)

    def server(self, name: str = LOOPBACK) -> ssl.SSLContext:
        """Returns the context of a server with a certificate for a name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(name).configure_cert(context)
        return context


@dataclass
class Mailbox:
    """What a mail server has got.

    Attributes:
        refusal: The answer to each message, in place of taking it; empty: it is taken.
        refused: The addresses that are not known.
    """

    port: int = field(default_factory=free_port)
    refusal: str = ""
    refused: Sequence[str] = ()
    got: "SimpleQueue[EmailMessage]" = field(default_factory=SimpleQueue)
    is_encrypted: bool = False

    def next(self) -> EmailMessage:
        """Waits for the next e-mail."""
        return self.got.get(timeout=WAIT_SECONDS)

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        if self.refusal:
            return self.refusal
        transport = server.transport
        assert transport is not None
        self.is_encrypted = transport.get_extra_info("sslcontext") is not None
        assert isinstance(envelope.content, bytes)
        email = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(email, EmailMessage)
        self.got.put(email)
        return "250 taken"


def _logs_in(_server: Any, _session: Any, _envelope: Any, _how: str, given: Any) -> AuthResult:
    assert isinstance(given, LoginPassword)
    is_known = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_known, handled=False)


@contextmanager
def mail_server(
    mailbox: Mailbox,
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    wants_password: bool = False,
) -> Iterator[Mailbox]:
    """Runs a mail server that puts e-mails into a mailbox."""
    controller = Controller(
        mailbox,
        hostname=LOOPBACK,
        port=mailbox.port,
        tls_context=starttls,
        require_starttls=starttls is not None,
        ssl_context=tls,
        authenticator=_logs_in,
        auth_required=wants_password,
        auth_require_tls=starttls is not None,
    )
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@dataclass(frozen=True, slots=True)
class Post:
    """A request that a webhook has got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The body, as JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Hook:
    """What a webhook has got.

    Attributes:
        statuses: Its answers, one after the other; afterwards it takes everything.
        holds: It answers when this is set; None: at once.
    """

    port: int = 0
    statuses: list[HTTPStatus] = field(default_factory=list)
    holds: Event | None = None
    got: "SimpleQueue[Post]" = field(default_factory=SimpleQueue)

    def next(self) -> Post:
        """Waits for the next request."""
        return self.got.get(timeout=WAIT_SECONDS)


@contextmanager
def hook_server(hook: Hook, context: ssl.SSLContext | None = None) -> Iterator[Hook]:
    """Runs a server that takes POST requests; over HTTPS where there is a context."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = hook.statuses.pop(0) if hook.statuses else HTTPStatus.NO_CONTENT
            hook.got.put(Post(self.path, headers, body))
            if hook.holds is not None:
                hook.holds.wait()
            with suppress(OSError):  # the sender was killed
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((LOOPBACK, hook.port), Handler) as server:
        hook.port = server.server_address[1]
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        with _running(server.serve_forever):
            try:
                yield hook
            finally:
                server.shutdown()


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that accepts connections and never says a word; yields its port."""
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def _running(act: Callable[[], None]) -> Iterator[None]:
    thread = Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        thread.join()
