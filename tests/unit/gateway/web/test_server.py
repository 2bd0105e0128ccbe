import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import trustme

from gateway.config import GatewaySettings, WebSection
from gateway.heartbeat import Heartbeat
from gateway.web.server import running_web, serve_web
from tests.accounts import add_account_to
from tests.servers import LOOPBACK, free_port, is_open
from tests.unit.gateway.web.browsing import log_in
from tests.waiting import WAIT_SECONDS, wait_until
from totalmap.errors import ConfigError, ResourceError

FLOOD = 500
SLOW_CLIENTS = 128
PIPELINED = 16


def test_the_web_server_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    port = free_port()
    settings = GatewaySettings(storage_folder=tmp_path, web=WebSection(port=port))
    stop = threading.Event()
    thread = threading.Thread(target=serve_web, args=[settings, Heartbeat(), stop])
    thread.start()
    try:
        transport = httpx.HTTPTransport(retries=10)
        with httpx.Client(transport=transport, timeout=WAIT_SECONDS) as client:
            assert client.get(f"http://{LOOPBACK}:{port}/login").status_code == 200
    finally:
        stop.set()
        thread.join()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{LOOPBACK}:{port}/login")


def test_the_web_server_names_an_address_in_use(tmp_path: Path) -> None:
    with running_web(GatewaySettings(storage_folder=tmp_path, web=WebSection(port=0))) as port:
        taken = GatewaySettings(storage_folder=tmp_path, web=WebSection(port=port))
        with (
            pytest.raises(
                ResourceError,
                match=f"web.port {port}: can't listen there: Address already in use",
            ),
            running_web(taken),
        ):
            pass


@contextmanager
def encrypted(folder: Path) -> Iterator[tuple[int, ssl.SSLContext]]:
    """Yields the port of a page, and what trusts it."""
    authority = trustme.CA()
    certificate = folder / "certificate.pem"
    key = folder / "key.pem"
    issued = authority.issue_cert(LOOPBACK)
    issued.private_key_pem.write_to_path(key)
    for part in issued.cert_chain_pems:
        part.write_to_path(certificate, append=True)
    web = WebSection(port=0, certificate_file=certificate, key_file=key)
    settings = GatewaySettings(storage_folder=folder / "storage", web=web)
    add_account_to(settings)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with running_web(settings) as port:
        yield port, trust


def test_users_log_in_to_the_gateway_page_over_https(tmp_path: Path) -> None:
    with (
        encrypted(tmp_path) as (port, trust),
        httpx.Client(
            base_url=f"https://{LOOPBACK}:{port}", verify=trust, timeout=WAIT_SECONDS
        ) as client,
    ):
        assert "Secure" in log_in(client).headers["set-cookie"]
        assert client.get("/").status_code == 200


def test_the_web_server_serves_a_user_during_a_flood_of_silent_connections(tmp_path: Path) -> None:
    with encrypted(tmp_path) as (port, trust), ExitStack() as stack:
        flood = [
            stack.enter_context(socket.create_connection((LOOPBACK, port))) for _ in range(FLOOD)
        ]
        answer = httpx.get(f"https://{LOOPBACK}:{port}/login", verify=trust, timeout=WAIT_SECONDS)
        assert answer.status_code == 200
        assert any(is_open(item) for item in flood), "not all of them had to go first"
        descriptors = [*Path("/proc/self/fd").iterdir()]
        assert len(descriptors) < 2 * FLOOD, "of those at this end, and at the other"


def connect_slow_client(port: int, address: str, held: ExitStack) -> socket.socket:
    """Returns a connection from an address of this machine, with little space for answers."""
    connection = held.enter_context(socket.socket())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.bind((address, 0))
    connection.connect((LOOPBACK, port))
    return connection


def slow_post(connection: socket.socket) -> None:
    """Sends the head of a request, and a little of its body."""
    head = "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    connection.sendall(f"{head}Content-Length: 10000\r\n\r\nuser=".encode())


def reads_nothing(connection: socket.socket) -> None:
    """Asks for much, and reads none of it."""
    connection.setblocking(False)
    request = b"GET /static/htmx.min.js HTTP/1.1\r\nHost: x\r\n\r\n"
    with suppress(BlockingIOError):
        connection.sendall(request * PIPELINED)


@pytest.mark.parametrize("number_of_addresses", [1, 100])
@pytest.mark.parametrize("attack", [slow_post, reads_nothing])
def test_the_web_server_serves_a_user_while_slow_clients_hold_all_connections(
    tmp_path: Path, attack: Callable[[socket.socket], None], number_of_addresses: int
) -> None:
    """A page is answered once they have made no progress for a second: the promise is 2 s."""
    settings = GatewaySettings(storage_folder=tmp_path, web=WebSection(port=0))
    with running_web(settings) as port, ExitStack() as stack:

        def answer_of(path: str) -> int:
            address = f"http://{LOOPBACK}:{port}{path}"
            return httpx.get(address, timeout=WAIT_SECONDS).status_code

        for n in range(SLOW_CLIENTS):
            attack(connect_slow_client(port, f"127.0.0.{1 + n % number_of_addresses}", stack))
        assert answer_of("/metrics") == 200
        assert answer_of("/health") == 503, "it says that no receiver listens"
        wait_until(lambda: answer_of("/login") == 200, "the page")


def test_the_web_server_names_an_unusable_certificate(tmp_path: Path) -> None:
    nonsense = tmp_path / "certificate.pem"
    nonsense.write_text("nonsense")
    for file in (nonsense, tmp_path / "missing.pem"):
        web = WebSection(port=0, certificate_file=file, key_file=file)
        with (
            pytest.raises(ConfigError, match=r"web\.certificate_file"),
            running_web(GatewaySettings(storage_folder=tmp_path, web=web)),
        ):
            pass
