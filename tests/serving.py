"""Servers in threads of their own, which end as soon as they are told to."""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from socketserver import BaseServer
from threading import Thread

from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

from tests.servers import LOOPBACK
from tests.waiting import WAIT_SECONDS

# socketserver looks twice a second whether it is to end; hundreds of tests would wait for that.
LOOK_SECONDS = 0.05


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """Has a server serve while the block runs, and closes it."""
    thread = Thread(target=server.serve_forever, args=(LOOK_SECONDS,))
    thread.start()
    try:
        yield
    finally:
        BaseServer.shutdown(server)  # pynetdicom's own ends only what its `start_server` began
        thread.join()
        server.server_close()


def patient(entity: AE) -> AE:
    """Lets a node wait for an answer as long as a test waits for anything, and returns it.

    An association in which nothing happens is still given up as pynetdicom does: a node takes ten
    at a time.
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
    """Has a node accept associations while the block runs, and yields the port; then aborts them.

    Args:
        entity: The node, with the contexts that it takes.
        port: 0 takes one that is free.
        handlers: What it does.
        tls: How it encrypts.
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
