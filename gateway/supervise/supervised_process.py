"""Supervises a process: starts it again when it ends, hangs or uses too much memory."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import MappingProxyType

from gateway.config.inherited_settings import InheritedSettings
from gateway.heartbeat import HeartbeatTable, ProcessState, Silence
from gateway.process_ending import FINISH_SIGNAL
from gateway.store.ledger_damage import DamagedLedger
from gateway.supervise.read_process_state import is_stopped, with_descendants
from totalmap.errors import ConfigError, ModelError, TotalMapError
from totalmap.log import get_logger
from totalmap.machine_limits import used_bytes

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 5.0
# A process that ran for so long has started well: its next failure counts as the first.
SETTLED_SECONDS = 60.0
# How long a start waits until the job of the previous process is back in the queue.
SETTLE_SECONDS = 10.0
# The kernel ends a killed process at once, unless the process waits for a disk.
KILL_SECONDS = 10.0
# Exit statuses after which a restart of the process would not help.
FATAL_EXIT_CODES: Mapping[int, type[TotalMapError]] = MappingProxyType(
    {error.exit_status: error for error in (ConfigError, ModelError, DamagedLedger)}
)
BYTES_PER_GB = 1_000_000_000
# If memory runs out, the kernel ends workers before receivers (proc_pid_oom_score_adj).
_WORKER_OOM_SCORE = 500

log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a process is restarted.

    Attributes:
        hang_seconds: How long it may have no heartbeat.
        start_seconds: The same while it starts.
        memory_bytes: The memory of each process, without files that it maps.
    """

    hang_seconds: float
    start_seconds: float
    memory_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Why a process was ended, and what that means for its job.

    Attributes:
        reason: The reason in the history of the job.
        is_attempt: Whether this counts as an attempt of the job, because it may be the cause.
        is_final: Whether another attempt would end in the same way.
    """

    reason: str
    is_attempt: bool = True
    is_final: bool = False


_STOPPED_FROM_OUTSIDE = Loss(reason="its worker was stopped by a signal", is_attempt=False)
_HANGS = Loss(reason="its worker hung")


class SupervisedProcess:
    """A process of the gateway that is started again when it ends."""

    def __init__(
        self,
        arguments: Sequence[str],
        limits: Limits,
        table: HeartbeatTable,
        index: int,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Starts nothing yet.

        Args:
            arguments: The arguments of `python -m gateway`; the first is the role.
            limits: When the process is restarted.
            table: The table of its heartbeat.
            index: Its slot in the table.
            ended: Called when the process has ended and is to be started again.
        """
        self.role = arguments[0]
        self._arguments = arguments
        self._settings: InheritedSettings | None = None
        self._is_replaced = False
        self._limits = limits
        self._table = table
        self._index = index
        self._report_end = ended
        self._silence = Silence()
        self._running: subprocess.Popen[bytes] | None = None
        self._started_at = self._start_at = self._killed_at = 0.0
        self._wait_seconds = FIRST_WAIT_SECONDS
        self._settled: Event | None = None

    @property
    def is_running(self) -> bool:
        """Whether it runs and was not killed."""
        return self._running is not None and not self._killed_at

    def use(self, settings: InheritedSettings, limits: Limits) -> None:
        """Sets what the next start uses; the present process goes on with what it has."""
        self._settings = settings
        self._limits = limits

    def replace(self) -> None:
        """Lets the process finish its work in hand and end, and starts it again then."""
        if self._running is not None and self._running.poll() is None:
            self._is_replaced = True
            self._running.send_signal(FINISH_SIGNAL)

    def keep_stopped(self) -> None:
        """Stops the process if it runs, and notes that this is on purpose."""
        self.tell_to_stop()
        if self.has_ended():
            self._running, self._killed_at = None, 0.0
            if self._table.state(self._index) is not ProcessState.STOPPED:
                self._table.beat(self._index, ProcessState.STOPPED)

    def keep_up(self, now: float) -> Loss | None:
        """Starts the process if it does not run, and ends it if it hangs or is too large.

        Args:
            now: The time of the supervisor's `UnpausedClock`.

        Returns:
            Why the process was ended now; None: it was not.

        Raises:
            TotalMapError: The process ended with a status after which a restart would not help.
        """
        if self._running is None:
            self._start_if_due()
            return None
        status = self._running.poll()
        if status is not None:
            self._ended(status)
            return None
        if self._killed_at:
            self._report_if_it_does_not_end()
            return None
        return self._end_if_hanging(now) or self._end_if_too_large()

    def end(self, loss: Loss) -> Loss:
        """Kills the process; returns the reason, which is another one if a signal stopped it."""
        assert self._running is not None  # noqa: S101  for mypy
        if is_stopped(self._running.pid):
            loss = _STOPPED_FROM_OUTSIDE
        self._running.kill()
        self._killed_at = time.monotonic()
        return loss

    def start_after(self, settled: Event) -> None:
        """Delays the next start until an event is set, or for a few seconds."""
        self._settled = settled

    def tell_to_stop(self) -> None:
        """Tells the process to stop."""
        if self._running is not None and self._running.poll() is None:
            self._running.terminate()

    def has_ended(self) -> bool:
        """Returns whether the process does not run."""
        return self._running is None or self._running.poll() is not None

    def kill(self) -> None:
        """Kills the process now."""
        if self._running is not None:
            log.warning("process_killed", role=self.role)
            self._running.kill()
            with suppress(subprocess.TimeoutExpired):  # the process waits for a disk
                self._running.wait(KILL_SECONDS)

    def _end_if_hanging(self, now: float) -> Loss | None:
        assert self._running is not None  # noqa: S101  for mypy
        silent = self._silence.seconds(self._table.beats(self._index), now)
        state = self._table.state(self._index)
        is_up = state is not ProcessState.STARTING
        limit = self._limits.hang_seconds if is_up else self._limits.start_seconds
        if state is not ProcessState.HANGING and silent <= limit:
            return None
        loss = self.end(_HANGS)
        is_outside = loss is _STOPPED_FROM_OUTSIDE
        log.warning("process_hangs", role=self.role, stopped=is_outside, seconds=round(silent))
        return loss

    def _end_if_too_large(self) -> Loss | None:
        assert self._running is not None  # noqa: S101  for mypy
        limit_gb = self._limits.memory_bytes / BYTES_PER_GB
        for pid in with_descendants(self._running.pid):
            used = used_bytes(pid)
            if used <= self._limits.memory_bytes:
                continue
            used_gb = round(used / BYTES_PER_GB, 1)
            log.warning("process_too_large", role=self.role, used_gb=used_gb, limit_gb=limit_gb)
            if pid == self._running.pid:
                return self.end(Loss(reason=f"its worker used more than {limit_gb:.1f} GB"))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return None

    def _report_if_it_does_not_end(self) -> None:
        if time.monotonic() - self._killed_at > KILL_SECONDS:
            log.error("process_does_not_end", role=self.role)
            self._killed_at = float("inf")  # said once

    def _ended(self, status: int) -> None:
        now = time.monotonic()
        was_killed, self._killed_at, self._running = self._killed_at, 0.0, None
        was_replaced, self._is_replaced = self._is_replaced, False
        if status in FATAL_EXIT_CODES:
            raise FATAL_EXIT_CODES[status](f"`{self.role}` can't run like this; see above")
        if was_replaced and not was_killed:
            log.info("process_replaced", role=self.role)
            self._start_at, self._wait_seconds = now, FIRST_WAIT_SECONDS
            return
        if now - self._started_at > SETTLED_SECONDS:
            self._wait_seconds = FIRST_WAIT_SECONDS
        if not was_killed:
            log.warning("process_ended", role=self.role, status=status)
        self._report_end()
        self._start_at = now + self._wait_seconds
        self._wait_seconds = min(2 * self._wait_seconds, LONGEST_WAIT_SECONDS)

    def _start_if_due(self) -> None:
        now = time.monotonic()
        is_settled = self._settled is None or self._settled.is_set()
        if now < self._start_at or not (is_settled or now > self._start_at + SETTLE_SECONDS):
            return
        self._settled, self._is_replaced = None, False
        self._table.restart(self._index)
        inherited = [self._table.descriptor]
        command = [
            *(sys.executable, "-m", "gateway", *self._arguments),
            *("--heartbeat", f"{inherited[0]}:{self._index}:{self._limits.hang_seconds}"),
        ]
        if self._settings is not None:
            inherited.append(self._settings.descriptor)
            command += ["--settings", str(self._settings.descriptor)]
        self._running = subprocess.Popen(  # noqa: S603  our own
            command, stdin=subprocess.DEVNULL, pass_fds=inherited
        )
        self._started_at = now
        if self.role == "work":
            with suppress(OSError):
                path = Path(f"/proc/{self._running.pid}/oom_score_adj")
                path.write_text(str(_WORKER_OOM_SCORE))
