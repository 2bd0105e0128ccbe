"""Limits what pynetdicom keeps of received messages: size, memory and disk space."""

from io import BytesIO
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary, WeakSet

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AssociationSocket

from gateway.receive.intake import Intake
from totalmap.errors import ResourceError
from totalmap.log import get_logger

BYTES_PER_MB = 1_000_000
# PS3.7 6.3: a command set has some 200 bytes. pynetdicom keeps all of its fragments.
MAX_COMMAND_BYTES = 65_536
# The largest data set that pynetdicom keeps in memory, which it does except for C-STORE. A
# commitment request for 100,000 instances has 20 MB.
MAX_IN_MEMORY_BYTES = 64 << 20
TOO_LARGE = "an instance is larger than receive.max_instance_mb"
COMMAND_TOO_LARGE = "a command set is larger than 64 kB"
DATA_SET_TOO_LARGE = "a data set that is no instance is larger than 64 MB"
# PS3.8 9.3.5 and E.2
_DATA_PDU = 4
_PDU_HEADER_BYTES = 6
_COMMAND_BIT = 1

log = get_logger()


class ReceiptMonitor:
    """Ends associations that send too much, and discards instances for which there is no space."""

    def __init__(self, max_instance_mb: float, intake: Intake) -> None:
        self._max_instance_mb = max_instance_mb
        self._intake = intake
        self._bytes: WeakKeyDictionary[Association, int] = WeakKeyDictionary()
        self._without_space: WeakSet[Association] = WeakSet()

    def look_at(self, event: evt.Event) -> None:
        """Checks a received PDU before it is decoded."""
        association, pdu = event.assoc, event.data
        message = association.dimse.message
        received = self._bytes.get(association, 0) + len(pdu)
        self._bytes[association] = received
        if received > self._max_instance_mb * BYTES_PER_MB:
            self._end(event, TOO_LARGE)
        elif _command_bytes(pdu) + _kept_command_bytes(message) > MAX_COMMAND_BYTES:
            self._end(event, COMMAND_TOO_LARGE)
        elif message is not None and message._data_set_file is None:
            if cast(BytesIO, message.data_set).tell() > MAX_IN_MEMORY_BYTES:
                self._end(event, DATA_SET_TOO_LARGE)
        elif message is not None and association not in self._without_space:
            try:
                self._intake.free_space.require(len(pdu))
            except ResourceError as error:
                log.warning("instance_discarded", reason=str(error))
                self._without_space.add(association)
                _discard(message)

    def end_instance(self, association: Association) -> bool:
        """Ends an instance; returns whether it was discarded."""
        self._bytes[association] = 0
        is_discarded = association in self._without_space
        self._without_space.discard(association)
        return is_discarded

    def remove_partial_file(self, event: evt.Event) -> None:
        """Removes the part of an instance that was received before its connection was closed."""
        message = event.assoc.dimse.message
        if message is not None and message._data_set_file is not None:
            _discard(message)

    def _end(self, event: evt.Event, why: str) -> None:
        requestor = event.assoc.requestor
        title = cast(A_ASSOCIATE, requestor.primitive).calling_ae_title.strip()
        self._intake.refuse(title, why, str(requestor.address))
        # An abort would wait for the rest of the message.
        cast(AssociationSocket, event.assoc.dul.socket).close()


class _Discarded:
    """Replaces the file of an instance, and drops what is written."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.file = self

    def write(self, _content: bytes) -> None:
        """Does nothing."""

    def flush(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


def _discard(message: DIMSEMessage) -> None:
    """Removes the received part of an instance, and drops the rest.

    The rest has to be received: a sender reads the response when it has sent everything.
    """
    path = cast(Path, message._data_set_path)
    cast(Any, message._data_set_file).close()
    path.unlink(missing_ok=True)
    message._data_set_file = cast(Any, _Discarded(path))


def _kept_command_bytes(message: DIMSEMessage | None) -> int:
    return 0 if message is None else message.encoded_command_set.tell()


def _command_bytes(pdu: bytes) -> int:
    """Returns the number of bytes of command sets in a PDU (PS3.8 9.3.5.1)."""
    if pdu[0] != _DATA_PDU:
        return 0
    at, n_bytes = _PDU_HEADER_BYTES, 0
    while at + _PDU_HEADER_BYTES <= len(pdu):
        length = int.from_bytes(pdu[at : at + 4], "big")
        if pdu[at + 5] & _COMMAND_BIT:
            n_bytes += length
        at += 4 + length
    return n_bytes
