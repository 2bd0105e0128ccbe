"""Runs servers in threads, which end at once at the end of a block."""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from socketserver import BaseServer
from threading import Thread

from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

from tests.servers import LOOPBACK
from tests.waiting import WAIT_SECONDS

# By default, socketserver notices only twice a second that it has to end: too slow for tests.
LOOK_SECONDS = 0.05


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """Runs a server during the block, and closes it."""
    thread = Thread(target=server.serve_forever, args=(LOOK_SECONDS,))
    thread.start()
    try:
        yield
    finally:
        # The method of pynetdicom ends only a server that its own `start_server` started.
        BaseServer.shutdown(server)
        thread.join()
        server.server_close()


def patient(entity: AE) -> AE:
    """Sets the time-outs of a node to the longest wait of a test, and returns the node.

    The time-out of an idle association stays that of pynetdicom, because a node accepts only ten
    associations at a time.
    """
    entity.acse_timeout = entity.dimse_timeout = WAIT_SECONDS
    return entity


@contextmanager
def serving_dicom(
    entity: AE,
    port: int = 0,
    handlers: Sequence[evt.EventHandlerType] = (),
    tls: ssl.SSLContext | None = None,
) -> Iterator[int]:
    """Accepts associations for a node during the block, and yields the port; then aborts them.

    Args:
        entity: The node, with the contexts that it accepts.
        port: The port; 0: a free one.
        handlers: The event handlers of the node.
        tls: The TLS context, or None.
    """
    server = patient(entity).make_server(
        (LOOPBACK, port),
        evt_handlers=[*handlers],
        ssl_context=tls,
        server_class=ThreadedAssociationServer,
    )
    with serving(server):
        try:
            yield server.server_address[1]
        finally:
            for association in server.active_associations:
                association.abort()
