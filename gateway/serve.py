"""The gateway as a whole: its processes, each started again when it ends.

They share nothing but the database and the folder, so that one which is killed or hangs takes no
other with it.
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import MappingProxyType

from gateway.config import GatewaySettings
from gateway.overview import is_idle
from gateway.record.damage import DamagedLedger
from gateway.record.database import Database, open_database
from gateway.record.roster import Roster
from totalmap.errors import ConfigError, ModelError, ResourceError, TotalMapError
from totalmap.log import get_logger

LOOK_SECONDS = 0.2
DRAIN_LOOK_SECONDS = 1.0
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 5.0
# A process that lived so long has started well: the next failure is a first one.
SETTLED_SECONDS = 60.0
# Beyond what a worker may take for the job that it does.
STOP_SECONDS = 15.0
# No start of the same process would do better.
HOPELESS: Mapping[int, type[TotalMapError]] = MappingProxyType(
    {error.exit_status: error for error in (ConfigError, ModelError, DamagedLedger)}
)

log = get_logger()


def roles(
    settings: GatewaySettings, machine: str, *, only_work: bool = False
) -> Sequence[Sequence[str]]:
    """Returns the arguments of `python -m gateway` for each process of this machine.

    Args:
        settings: Of the gateway.
        machine: Names this machine.
        only_work: Whether another machine receives and delivers.
    """
    workers = [
        ["work", "--worker", f"{machine}-{number}", "--device", device]
        for number, device in enumerate(settings.work.devices, start=1)
    ]
    return workers if only_work else [["receive"], ["dispatch"], ["web"], *workers]


def serve(
    settings: GatewaySettings,
    settings_file: Path | None,
    roles: Sequence[Sequence[str]],
    stop: Event,
) -> None:
    """Runs the processes of the gateway until it is told to stop.

    Args:
        settings: Of the gateway.
        settings_file: Where they stand; None: the defaults.
        roles: Arguments of `python -m gateway`, one list a process.
        stop: Set from elsewhere.

    Raises:
        ResourceError: The database can't be opened.
        TotalMapError: A process can't run with these settings; it has said why.
    """
    config = ["--config", str(settings_file)] if settings_file else []
    processes = [_Process([*one, *config]) for one in roles]
    with open_database(settings) as database:
        drain = _Drain(database)
        if any(role[0] == "receive" for role in roles):
            drain.forget()
        try:
            while not stop.wait(LOOK_SECONDS) and not drain.is_over():
                for one in processes:
                    if drain.is_on and one.arguments[0] == "receive":
                        one.tell_to_stop()
                    else:
                        one.keep_up()
        finally:
            for one in processes:
                one.tell_to_stop()
            for one in processes:
                one.wait(settings.work.stop_seconds + STOP_SECONDS)


class _Drain:
    """Whether the gateway is to end when it has done what it has (`totalmap gateway drain`)."""

    def __init__(self, database: Database) -> None:
        self.is_on = False
        self._database = database
        self._roster = Roster(database)
        self._looked_at = 0.0

    def forget(self) -> None:
        """Takes back what was asked of the gateway that ran before."""
        self._roster.drain(is_draining=False)

    def is_over(self) -> bool:
        """Returns whether it is to end now; looks now and then."""
        now = time.monotonic()
        if now - self._looked_at < DRAIN_LOOK_SECONDS:
            return False
        self._looked_at = now
        try:
            self.is_on = self._roster.is_draining()
            return self.is_on and is_idle(self._database)
        except ResourceError as error:
            log.warning("drain_not_looked_at", reason=str(error))
            return False


@dataclass
class _Process:
    """A process of the gateway, and when it may be started again."""

    arguments: Sequence[str]
    _running: "subprocess.Popen[bytes] | None" = None
    _started_at: float = 0.0
    _start_at: float = 0.0
    _wait_seconds: float = field(default=FIRST_WAIT_SECONDS)

    def keep_up(self) -> None:
        """Starts it where it does not run, unless it has just failed.

        Raises:
            TotalMapError: It ended with a status that another start would not change.
        """
        now = time.monotonic()
        if self._running is None:
            if now >= self._start_at:
                self._start(now)
            return
        status = self._running.poll()
        if status is None:
            return
        self._running = None
        if status in HOPELESS:
            raise HOPELESS[status](f"`{self.arguments[0]}` can't run like this; see above")
        if now - self._started_at > SETTLED_SECONDS:
            self._wait_seconds = FIRST_WAIT_SECONDS
        log.warning("process_ended", role=self.arguments[0], status=status)
        self._start_at = now + self._wait_seconds
        self._wait_seconds = min(2 * self._wait_seconds, LONGEST_WAIT_SECONDS)

    def tell_to_stop(self) -> None:
        """Has it end in its own time."""
        if self._running is not None:
            self._running.terminate()

    def wait(self, seconds: float) -> None:
        """Returns when it has ended, which it does in the end."""
        if self._running is None:
            return
        try:
            self._running.wait(seconds)
        except subprocess.TimeoutExpired:
            log.warning("process_killed", role=self.arguments[0])
            self._running.kill()
            self._running.wait()

    def _start(self, now: float) -> None:
        command = [sys.executable, "-m", "gateway", *self.arguments]
        self._running = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603  our own
        self._started_at = now
