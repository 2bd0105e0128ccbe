"""Serves the page over HTTP or HTTPS, in a process of its own."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import uvicorn

from gateway.config import GatewaySettings, WebSection
from gateway.connection_limits import BACKLOG, LimitedProtocol, ListeningSocket
from gateway.record.database import open_database
from gateway.web.application import create_application
from gateway.web.desk import Desk
from totalmap.errors import ConfigError, ResourceError
from totalmap.log import get_logger

STOP_SECONDS = 3

log = get_logger()


def serve_web(settings: GatewaySettings, stop: Event) -> None:
    """Serves the page until it is told to stop.

    Raises:
        ConfigError: The certificate can't be used, or the ledger is another version's.
        ResourceError: Nobody can listen at the address, or the database can't be opened.
    """
    with running_web(settings) as port:
        log.info("web_listening", address=settings.web.address, port=port)
        stop.wait()


@contextmanager
def running_web(settings: GatewaySettings) -> Iterator[int]:
    """Serves the page while the block runs, and yields its port.

    Raises:
        ConfigError, ResourceError: As `serve_web`.
    """
    with open_database(settings) as database, _listening(settings.web) as listener:
        server = uvicorn.Server(_config(settings, Desk.open(settings, database)))
        listener.accepted = server.server_state.connections
        thread = Thread(target=server.run, args=[[listener]], name="web")
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def _config(settings: GatewaySettings, desk: Desk) -> uvicorn.Config:
    config = uvicorn.Config(
        create_application(desk),
        http=LimitedProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # gateway/web/origin.py believes proxies, and only those that are set
        backlog=BACKLOG,
        timeout_graceful_shutdown=STOP_SECONDS,
        ssl_certfile=settings.web.certificate_file,
        ssl_keyfile=settings.web.key_file,
    )
    try:
        config.load()
    except OSError as error:
        raise ConfigError(
            f"web.certificate_file and web.key_file can't be used: {error.strerror}"
        ) from error
    return config


@contextmanager
def _listening(web: WebSection) -> Iterator[ListeningSocket]:
    # Connections wait in the backlog until the server is up, so that it may be used at once.
    try:
        family = socket.AF_INET6 if ":" in web.address else socket.AF_INET
        listener = ListeningSocket(
            socket.create_server((web.address, web.port), family=family, backlog=BACKLOG)
        )
    except OSError as error:
        raise ResourceError(
            f"nobody can listen at web.address {web.address}, port {web.port}: {error.strerror}"
        ) from error
    with listener:
        yield listener
