"""Sends to a gateway as modalities do, by pynetdicom."""

import ssl
from collections.abc import Iterable

from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from gateway.outgoing_association import KEEP_REPLIES
from tests.gateway_process import AE_TITLE
from tests.servers import LOOPBACK
from tests.serving import patient

UNCOMPRESSED_CT = (CTImageStorage, ExplicitVRLittleEndian)


def associate(
    port: int,
    title: str = "CT1",
    called: str = AE_TITLE,
    contexts: Iterable[tuple[UID, UID]] = (UNCOMPRESSED_CT,),
    tls: ssl.SSLContext | None = None,
    address: str = LOOPBACK,
) -> Association:
    """Returns an association with a node of this machine, which may have rejected it.

    Args:
        port: Of the node.
        title: Of the sender.
        called: The title by which the node is called.
        contexts: SOP classes, each with a transfer syntax.
        tls: What the sender believes and shows; None: no TLS.
        address: Of this machine, from where the sender sends.
    """
    entity = patient(AE(title))
    for sop_class, syntax in contexts:
        entity.add_requested_context(sop_class, syntax)
    return entity.associate(
        LOOPBACK,
        port,
        ae_title=called,
        bind_address=(address, 0),
        evt_handlers=[KEEP_REPLIES],
        tls_args=(tls, LOOPBACK) if tls else None,
    )
