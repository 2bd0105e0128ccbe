"""Starts receiver processes, which serve some of the associations, to use more than one core.

The listening process hands a connection over, with all unread data, to the receiver process with
the fewest connections. They share nothing but the folder and the ledger. A receiver process asks
for a place for each association (gateway/receive/association_limits.py), and ends with the
listening process. Each message is one packet of JSON.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from gateway.config import GatewaySettings
from gateway.receive.association_limits import AssociationLimits, Place, Sender
from totalmap.log import get_logger

ROLE = "receiver"
CONNECTION_MESSAGE = b"{}"
MAX_MESSAGE_BYTES = 100_000
# Settings are sent in one message.
MAX_SETTINGS_BYTES = 4_000_000
RESTART_SECONDS = 2.0
# A receiver process reports every LOOK_SECONDS; one that does not for so long is killed. Only time
# counts in which this process was running itself.
HUNG_SECONDS = 15.0
LONGEST_LOOK_SECONDS = 1.0
END_SECONDS = 10.0

log = get_logger()


class ReceiverProcess:
    """A receiver process, seen from the listening process; one that ends is started again.

    Args:
        settings: Of the gateway.
        number: Its number in `AssociationLimits`.
        hung_seconds: It is killed if it does not report for so long.
    """

    _channel: socket.socket
    _given: int
    _taken: int
    _busy: int
    _process: "subprocess.Popen[bytes]"

    def __init__(
        self, settings: GatewaySettings, number: int, hung_seconds: float = HUNG_SECONDS
    ) -> None:
        self.number = number
        self._hung_seconds = hung_seconds
        self._settings = settings.model_dump_json().encode()
        self._ended_at = 0.0
        self._looked_at = time.monotonic()
        self._start()

    @property
    def busy(self) -> int:
        """The number of its connections, with those that it was given and has not taken yet."""
        return self._given - self._taken + self._busy

    @property
    def is_ready(self) -> bool:
        """Whether it takes connections: it has reported, and has not ended."""
        return self._has_reported

    def fileno(self) -> int:
        """Returns the descriptor that is readable when `handle_message` is to be called."""
        return self._channel.fileno()

    def give(self, connection: socket.socket) -> bool:
        """Hands a connection over, and closes it here; returns False if that fails."""
        try:
            socket.send_fds(
                self._channel, [CONNECTION_MESSAGE], [connection.fileno()], socket.MSG_DONTWAIT
            )
        except OSError:  # the process has just ended, or takes nothing
            return False
        self._given += 1
        connection.close()
        return True

    def cut_off(self, number: int) -> None:
        """Tells the process to end an association."""
        self._send({"end": number})

    def handle_message(self, limits: AssociationLimits) -> bool:
        """Handles a message of the process; returns False if the process has ended."""
        received = b""
        with suppress(OSError):
            received = self._channel.recv(MAX_MESSAGE_BYTES)
        if not received:
            log.warning("receiver_process_ended", number=self.number)
            self._has_reported = False
            self._channel.close()
            self._ended_at = time.monotonic()
            limits.update(self.number, {})
            return False
        self._has_reported, self._silent_seconds = True, 0.0
        message = json.loads(received)
        if "ask" in message:
            place = Place(self.number, message["ask"])
            refusal = limits.take(place, Sender(message["title"], message["address"]))
            self._send({"answer": place.number, "refusal": refusal and refusal.name})
        else:
            self._taken, self._busy = message["taken"], message["busy"]
            limits.update(self.number, {int(n): s for n, s in message["stalled"].items()})
        return True

    def keep_up(self) -> bool:
        """Kills the process if it hangs, and starts it again some time after it ended.

        Returns:
            Whether it was started again.
        """
        now = time.monotonic()
        self._silent_seconds += min(now - self._looked_at, LONGEST_LOOK_SECONDS)
        self._looked_at = now
        has_ended = self._channel.fileno() < 0
        if not has_ended and self._has_reported and self._silent_seconds > self._hung_seconds:
            log.error("receiver_process_hangs", number=self.number)
            self._has_reported = False
            self._process.kill()
        if not has_ended or now - self._ended_at < RESTART_SECONDS:
            return False
        self._process.kill()
        self._process.wait()
        self._start()
        return True

    def close(self) -> None:
        """Ends the process, and all its associations."""
        self._channel.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, message: Mapping[str, Any]) -> None:
        with suppress(OSError):  # the process has just ended, or takes nothing
            self._channel.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)

    def _start(self) -> None:
        self._given = self._taken = self._busy = 0
        self._has_reported, self._silent_seconds = False, 0.0
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "gateway", ROLE, "--channel", str(theirs.fileno())]
            command += ["--number", str(self.number)]
            self._process = subprocess.Popen(  # noqa: S603  our own
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        self._channel.sendall(self._settings)


@contextmanager
def running_receiver_processes(
    settings: GatewaySettings, n_processes: int, hung_seconds: float = HUNG_SECONDS
) -> Iterator[list[ReceiverProcess]]:
    """Yields receiver processes, which end with the block."""
    processes = [
        ReceiverProcess(settings, number, hung_seconds) for number in range(1, n_processes + 1)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.close()
