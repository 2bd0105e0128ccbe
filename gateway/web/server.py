"""Serves the page over HTTP or HTTPS, in a process of its own."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import uvicorn

from gateway.config import GatewaySettings, WebSection
from gateway.connection_limits import BACKLOG, LimitedProtocol, ListeningSocket
from gateway.heartbeat import Heartbeat
from gateway.store.database import open_database
from gateway.web.application import create_application
from gateway.web.context import WebContext
from totalmap.errors import ConfigError, ResourceError
from totalmap.log import get_logger

STOP_SECONDS = 3
# Between two signs of life of the event loop.
NOTIFY_SECONDS = 1

log = get_logger()


def serve_web(settings: GatewaySettings, heartbeat: Heartbeat, stop: Event) -> None:
    """Serves the page until it is told to stop.

    Args:
        settings: Of the gateway.
        heartbeat: Of this process.
        stop: Set from elsewhere.

    Raises:
        ConfigError: The certificate can't be used, or the ledger is another version's.
        ResourceError: Nobody can listen at the address, or the database can't be opened.
    """
    with running_web(settings, heartbeat) as port:
        log.info("web_listening", address=settings.web.address, port=port)
        stop.wait()


@contextmanager
def running_web(settings: GatewaySettings, heartbeat: Heartbeat | None = None) -> Iterator[int]:
    """Serves the page while the block runs, and yields its port.

    Args:
        settings: Of the gateway.
        heartbeat: Of this process; None: nobody looks at it.

    Raises:
        ConfigError, ResourceError: As `serve_web`.
    """
    beats = heartbeat or Heartbeat()
    with (
        open_database(settings) as database,
        _listening(settings.web) as listener,
        beats.loop("page") as turned,
    ):
        context = WebContext.open(settings, database, beats.table)
        server = uvicorn.Server(_config(settings, context, turned))
        listener.accepted = server.server_state.connections
        thread = Thread(target=server.run, args=[[listener]], name="web")
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def _config(
    settings: GatewaySettings, context: WebContext, turned: Callable[[], None]
) -> uvicorn.Config:
    async def notify() -> None:
        turned()
        context.health.look_at_heartbeats()

    config = uvicorn.Config(
        create_application(context),
        http=LimitedProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # gateway/web/authentication.py believes only web.proxies
        backlog=BACKLOG,
        callback_notify=notify,
        timeout_notify=NOTIFY_SECONDS,
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
