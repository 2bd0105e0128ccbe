"""Asks the gateway's own receiver for an answer, by C-ECHO (PS3.4 A), as a sender would."""

import socket
import ssl
from collections.abc import Iterator

from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at its import

from gateway.config import ReceiveSection
from gateway.login_attempts import parse_address

ANSWER_SECONDS = 10.0
_LOOPBACKS = {4: "127.0.0.1", 6: "::1"}
_SUCCESS = 0x0000


def ask_receiver(receive: ReceiveSection) -> Iterator[str]:
    """Yields what is wrong with the receiver, in words.

    The gateway calls itself by its own AE title, which the receiver lets in from its own address
    (gateway/receive/dicom_receiver.py). A receiver that rejects the association has answered, too.
    Where senders need certificates, no more than a connection is tried.
    """
    address, parsed = receive.address, parse_address(receive.address)
    if parsed is not None and parsed.is_unspecified:
        address = _LOOPBACKS[parsed.version]
    try:
        socket.create_connection((address, receive.port), ANSWER_SECONDS).close()
    except OSError as error:
        yield f"nobody receives at port {receive.port}: {error.strerror or 'no answer'}"
        return
    if receive.tls is not None and receive.tls.senders_ca_file is not None:
        return
    if not _answers(receive, address):
        yield f"the receiver does not answer C-ECHO at port {receive.port}"


def _answers(receive: ReceiveSection, address: str) -> bool:
    entity = AE(receive.ae_title)
    entity.connection_timeout = entity.acse_timeout = ANSWER_SECONDS
    entity.dimse_timeout = entity.network_timeout = ANSWER_SECONDS
    entity.add_requested_context(Verification)
    association = entity.associate(
        address,
        receive.port,
        ae_title=receive.ae_title,
        tls_args=(_any_certificate(), "") if receive.tls is not None else None,
    )
    if not association.is_established:
        return bool(association.is_rejected)
    answer = association.send_c_echo()
    association.release()
    return bool(answer.get("Status") == _SUCCESS)


def _any_certificate() -> ssl.SSLContext:
    """Returns encryption with whoever answers: nothing but the question is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
