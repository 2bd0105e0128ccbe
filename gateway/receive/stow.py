"""The DICOMweb receiver: STOW-RS (PS3.18 10.5); what is acknowledged is safe."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from gateway.config import StowReceiveSection
from gateway.config.named_files import shown
from gateway.connection_limits import BACKLOG, Deadlines, ListeningSocket, protocol_with
from gateway.receive.intake import Intake
from gateway.receive.stow_authentication import StowAuthenticator
from gateway.receive.stow_receiver import Receiver
from gateway.store.files import Storage
from totalmap.errors import ConfigError, ResourceError

PATHS = ("/dicom-web/studies", "/dicom-web/studies/{study}")
THREADS = 32
STOP_SECONDS = 2
# A request that is silent for too long is answered with an error before its connection is ended.
MARGIN_SECONDS = 1.0


@contextmanager
def running_stow(
    settings: StowReceiveSection, idle_seconds: float, intake: Intake, storage: Storage
) -> Iterator[int]:
    """Listens while the block runs, and yields the port; at the end, requests are cut off.

    Args:
        settings: Where to listen, to whom, and the limit of a request.
        idle_seconds: How long a request may be silent.
        intake: Where to put what comes.
        storage: Where files lie while they are received.

    Raises:
        ConfigError: A certificate, key or secret can't be used.
        ResourceError: The address or port can't be listened on.
    """
    authenticator = StowAuthenticator(settings)
    with ThreadPoolExecutor(THREADS, "stow") as pool, _listening(settings) as listening:
        receiver = Receiver(settings, idle_seconds, authenticator, intake, storage, pool)
        server = uvicorn.Server(_server_settings(settings, receiver))
        listening.accepted = server.server_state.connections
        serving = Thread(target=server.run, kwargs={"sockets": [listening]}, name="stow")
        serving.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            serving.join()


def _listening(settings: StowReceiveSection) -> ListeningSocket:
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    try:
        return ListeningSocket(
            socket.create_server((settings.address, settings.port), family=family)
        )
    except OSError as error:
        raise ResourceError(
            f"receive.stow.address {settings.address}, receive.stow.port {settings.port}: nobody "
            f"can listen there: {error.strerror}"
        ) from error


def _server_settings(settings: StowReceiveSection, receiver: Receiver) -> uvicorn.Config:
    config = uvicorn.Config(
        Starlette(
            routes=[Route(path, receiver.store, methods=["POST"]) for path in PATHS],
            exception_handlers={HTTPException: receiver.refuse},
        ),
        http=protocol_with(Deadlines(body=receiver.idle_seconds + MARGIN_SECONDS)),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # we say ourselves what went wrong
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=STOP_SECONDS,
        ssl_certfile=settings.certificate_file,
        ssl_keyfile=settings.key_file,
    )
    try:
        config.load()
    except OSError as error:  # SSLError is one
        raise ConfigError(
            f"receive.stow: {shown(settings.certificate_file, 'certificate_file')} and "
            f"{shown(settings.key_file, 'key_file')} can't be used: {error}"
        ) from error
    return config
