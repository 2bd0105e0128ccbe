"""Tests the connections of the STOW-RS receiver: floods, slow clients and its end."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from gateway.config import StowReceiveSection
from gateway.http_connection_limits import MAX_CONNECTIONS, MAX_HANDSHAKES
from gateway.receive.intake import Intake
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from tests.phantom.study import WrittenSeries
from tests.servers import LOOPBACK, is_open
from tests.unit.gateway.receive.test_stow import (
    MULTIPART,
    body,
    connected,
    encrypted,
    half_sent,
    kept,
    listening,
    post,
)
from tests.waiting import WAIT_SECONDS, wait_until
from totalmap.errors import ResourceError

FLOOD = 700


@pytest.fixture
def url(intake: Intake, storage: Storage) -> Iterator[str]:
    with listening(intake, storage) as address:
        yield address


def test_a_port_in_use_is_an_error_of_the_stow_receiver(intake: Intake, storage: Storage) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        settings = StowReceiveSection(port=taken.getsockname()[1])
        with (
            pytest.raises(ResourceError, match="can't listen there"),
            listening(intake, storage, settings),
        ):
            pass


@pytest.mark.parametrize("said", [b"", b"POST /dicom-web/st"])
def test_the_stow_receiver_closes_a_connection_without_a_request(url: str, said: bytes) -> None:
    with connected(url) as connection:
        connection.sendall(said)
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""


@pytest.mark.parametrize("said", [b"", b"POST /dicom-web/st"])
def test_the_stow_receiver_serves_a_sender_during_a_flood_of_connections(
    url: str, ledger: Ledger, phantom_series: WrittenSeries, said: bytes
) -> None:
    content = body(phantom_series.paths[0].read_bytes())
    with flooded(url, said) as flood:
        assert post(url, content).status_code == 200
        assert sum(not is_open(item) for item in flood) >= FLOOD - MAX_CONNECTIONS
    assert len(kept(ledger)) == 1


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"], ids=["nothing", "half a hello"])
def test_the_stow_receiver_serves_a_sender_during_a_flood_of_unfinished_tls_handshakes(
    intake: Intake, storage: Storage, tmp_path: Path, phantom_series: WrittenSeries, said: bytes
) -> None:
    content = body(phantom_series.paths[0].read_bytes())
    with encrypted(intake, storage, tmp_path) as (url, trusting), flooded(url, said) as flood:
        assert post(url, content, verify=trusting).status_code == 200
        n_open = sum(is_open(item) for item in flood)
        assert 0 < n_open <= MAX_HANDSHAKES, "no more than had to go, and these at once"


def test_a_running_stow_request_is_not_ended_by_a_flood_of_connections(
    intake: Intake, storage: Storage, tmp_path: Path, phantom_series: WrittenSeries
) -> None:
    content = body(phantom_series.paths[0].read_bytes())
    with encrypted(intake, storage, tmp_path) as (url, trusting):
        flood = ExitStack()

        def slowly() -> Iterator[bytes]:
            yield content[:1000]
            flood.enter_context(flooded(url, b""))
            yield content[1000:]

        with flood, httpx.Client(verify=trusting, trust_env=False, timeout=WAIT_SECONDS) as client:
            headers = {"Content-Type": MULTIPART}
            answer = client.post(f"{url}/studies", content=slowly(), headers=headers)
        assert answer.status_code == 200


@contextmanager
def flooded(url: str, said: bytes) -> Iterator[list[socket.socket]]:
    """Yields connections that go no further than to say a little."""
    with ExitStack() as stack:
        flood = [stack.enter_context(connected(url)) for _ in range(FLOOD)]
        for connection in flood:
            with suppress(OSError):  # it had to go
                connection.sendall(said)
        yield flood


def test_a_stow_request_that_sends_single_bytes_without_end_is_ended(
    intake: Intake, storage: Storage, phantom_series: WrittenSeries
) -> None:
    """It is never silent, and never comes to its end."""
    content = body(phantom_series.paths[0].read_bytes())
    with (
        listening(intake, storage, idle_seconds=0.5) as url,
        half_sent(url, content * 100) as connection,
    ):

        def trickle() -> None:
            with suppress(OSError):
                connection.sendall(b"-")

        wait_until(lambda: not is_open(connection), "ended", act=trickle)
    assert not list(storage.incoming.iterdir())


def test_running_stow_requests_are_aborted_when_the_receiver_stops(
    intake: Intake, storage: Storage, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    before = threading.active_count()
    content = body(*(path.read_bytes() for path in phantom_series.paths[:2]))
    with ExitStack() as after, listening(intake, storage) as url:
        after.enter_context(half_sent(url, content))
        wait_until(lambda: len(kept(ledger)) == 1)
    assert threading.active_count() == before
    assert not list(storage.incoming.iterdir())
    (study,) = ledger.growing_studies()
    assert study.transfers_ended_at is None
