"""Processes that serve some of the associations, for one process can keep one core busy only.

The lobby hands a connection over, with all that was not yet read of it, to whoever has the fewest.
A desk shares nothing with the others but the folder and the ledger, and ends with the lobby.
"""

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from gateway.config import GatewaySettings
from gateway.receive.association_server import AssociationServer
from gateway.receive.commitment_scp import commitment_handlers
from gateway.receive.intake import Intake
from gateway.receive.scp import serving_handed_over
from gateway.record.database import open_database
from gateway.record.ledger import Ledger
from gateway.record.storage import Storage
from totalmap.log import get_logger

ROLE = "desk"
# What a desk says of itself: how many connections it was given so far, and how many it has now.
_STATE = struct.Struct("!QQ")
_NOTHING_SAID = (-1, -1)
_HERE_IS_ONE = b"\x01"
LOOK_SECONDS = 0.2
START_AGAIN_SECONDS = 2.0
END_SECONDS = 10.0
# Settings are sent in one message.
MAX_SETTINGS_BYTES = 4_000_000

log = get_logger()


class Desk:
    """A desk, as the lobby sees it; one that ends is started again."""

    _door: socket.socket
    _given: int
    _taken: int
    _active: int
    _process: "subprocess.Popen[bytes]"

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings.model_dump_json().encode()
        self._ended_at = 0.0
        self._start()

    @property
    def busy(self) -> int:
        """How many connections it has, with those that it was given and has not yet taken."""
        return self._given - self._taken + self._active

    def fileno(self) -> int:
        """Returns what becomes readable when `listen` is to be called."""
        return self._door.fileno()

    @property
    def is_there(self) -> bool:
        """Whether it takes connections: it has said so, and has not ended."""
        return self._has_said_so

    def give(self, connection: socket.socket) -> bool:
        """Hands a connection over, which is closed here; returns False where it can't be."""
        try:
            socket.send_fds(self._door, [_HERE_IS_ONE], [connection.fileno()])
        except OSError:  # it has just ended
            return False
        self._given += 1
        connection.close()
        return True

    def listen(self) -> bool:
        """Takes in what it says of itself; returns False where it has ended."""
        said = b""
        with suppress(OSError):
            said = self._door.recv(_STATE.size)
        if not said:
            log.warning("desk_ended")
            self._has_said_so = False
            self._door.close()
            self._ended_at = time.monotonic()
            return False
        self._has_said_so = True
        self._taken, self._active = _STATE.unpack(said)
        return True

    def start_again(self) -> bool:
        """Starts it again where it ended some time ago; returns whether it did."""
        has_ended = self._door.fileno() < 0
        if not has_ended or time.monotonic() - self._ended_at < START_AGAIN_SECONDS:
            return False
        self._process.kill()
        self._process.wait()
        self._start()
        return True

    def close(self) -> None:
        """Ends it, and all its associations."""
        self._door.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        self._given = self._taken = self._active = 0
        self._has_said_so = False
        self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "gateway", ROLE, "--door", str(theirs.fileno())]
            self._process = subprocess.Popen(  # noqa: S603  our own
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        self._door.sendall(self._settings)


@contextmanager
def running_desks(settings: GatewaySettings, number: int) -> Iterator[list[Desk]]:
    """Yields so many desks, which end with the block."""
    desks = [Desk(settings) for _ in range(number)]
    try:
        yield desks
    finally:
        for desk in desks:
            desk.close()


def serve_desk(door_descriptor: int) -> None:
    """Serves the connections that come through a door, until the lobby closes it.

    Raises:
        ConfigError, ResourceError: As `receiving`.
    """
    with socket.socket(fileno=door_descriptor) as door:
        settings = GatewaySettings.model_validate_json(door.recv(MAX_SETTINGS_BYTES))
        storage = Storage(settings.storage_folder)
        ways = settings.receive
        with (
            open_database(settings) as database,
            closing(Intake(storage, Ledger(database), ways.keep_free_gb)) as intake,
            serving_handed_over(
                ways, intake, storage, commitment_handlers(settings, storage, database)
            ) as server,
        ):
            _serve(door, server)


def _serve(door: socket.socket, server: AssociationServer) -> None:
    door.settimeout(LOOK_SECONDS)
    taken, told = 0, _NOTHING_SAID
    while True:
        try:
            if told != (told := (taken, server.busy)):
                door.sendall(_STATE.pack(*told))
            said, descriptors, _, _ = socket.recv_fds(door, len(_HERE_IS_ONE), 1)
        except TimeoutError:
            continue
        except ConnectionError:  # the lobby was killed
            return
        if not said:
            return
        taken += 1
        _admit(descriptors[0], server)


def _admit(descriptor: int, server: AssociationServer) -> None:
    connection = socket.socket(fileno=descriptor)
    try:
        address = connection.getpeername()
    except OSError:  # who came has gone again
        connection.close()
    else:
        server.process_request(connection, address)
