"""Heartbeats: each process of the gateway shows that it works, and its parent sees when it stops.

The beats are counters in memory that the processes share (an inherited memfd). They depend neither
on the disk nor on the database nor on the time of day. A process beats twice a second while all of
its loops turn; a loop that hangs is reported, with the line of code where it hangs.
"""

import mmap
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from types import FrameType
from typing import Self

from totalmap.log import get_logger
from totalmap.texts.catalogue import Message

BEAT_SECONDS = 0.5
# The longest time between two looks that counts. A longer one was a pause of the machine or of the
# process that looks, and not a silence of the other process.
LONGEST_STEP_SECONDS = 1.0
# A process that has not beaten for so long is named by /health.
LATE_SECONDS = 10.0
# For loops that wait for the disk, the database or another machine.
LONG_STEP_SECONDS = 300.0

_SLOT = struct.Struct("=48sQQ")
_NAME_BYTES = 48

log = get_logger()


class ProcessState(IntEnum):
    """The state that a process reports; STOPPED: the supervisor has stopped it on purpose."""

    STARTING = 0
    RUNNING = 1
    HANGING = 2
    STOPPED = 3


class UnpausedClock:
    """Monotonic seconds, without the time in which the clock was not read."""

    def __init__(
        self,
        longest_step_seconds: float = LONGEST_STEP_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._longest_step = longest_step_seconds
        self._monotonic = monotonic
        self._looked_at = monotonic()
        self._seconds = 0.0

    def now(self) -> float:
        """Returns the seconds since the clock was made; has to be called regularly."""
        moment = self._monotonic()
        self._seconds += min(moment - self._looked_at, self._longest_step)
        self._looked_at = moment
        return self._seconds


class Silence:
    """Measures how long a value has not changed, by the clock of the process that looks."""

    def __init__(self) -> None:
        self._value: object = None
        self._changed_at = 0.0

    def seconds(self, value: object, now: float) -> float:
        """Returns for how many seconds the value has been the same.

        Args:
            value: As it is now.
            now: From an `UnpausedClock`.
        """
        if value != self._value:
            self._value, self._changed_at = value, now
        return now - self._changed_at


class HeartbeatTable:
    """The heartbeats of several processes, in memory that they share."""

    def __init__(self, descriptor: int) -> None:
        """Opens a table.

        Args:
            descriptor: Of the shared memory; it belongs to the table from now on.
        """
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, 0)
        self.names: tuple[str, ...] = tuple(
            self._slot(index)[0].rstrip(b"\0").decode()
            for index in range(len(self._memory) // _SLOT.size)
        )

    @classmethod
    def create(cls, names: Sequence[str]) -> Self:
        """Returns a new table with one slot for each name."""
        descriptor = os.memfd_create("heartbeats")
        for name in names:
            os.write(descriptor, _SLOT.pack(name.encode()[:_NAME_BYTES], 0, 0))
        return cls(descriptor)

    def restart(self, index: int) -> None:
        """Notes that a process is started."""
        self._write(index, ProcessState.STARTING, self.beats(index) + 1)

    def beat(self, index: int, state: ProcessState) -> None:
        """Notes that a process works."""
        self._write(index, state, self.beats(index) + 1)

    def beats(self, index: int) -> int:
        """Returns how often a process has beaten."""
        return int(self._slot(index)[2])

    def state(self, index: int) -> ProcessState:
        """Returns the state that a process reports."""
        return ProcessState(self._slot(index)[1])

    def close(self) -> None:
        """Releases the memory."""
        self._memory.close()
        os.close(self.descriptor)

    def _slot(self, index: int) -> tuple[bytes, int, int]:
        name, state, beats = _SLOT.unpack_from(self._memory, index * _SLOT.size)
        return name, state, beats

    def _write(self, index: int, state: ProcessState, beats: int) -> None:
        name = self._slot(index)[0]
        _SLOT.pack_into(self._memory, index * _SLOT.size, name, state, beats)


class HeartbeatWatch:
    """Finds the processes of a table that do not beat."""

    def __init__(self, table: HeartbeatTable) -> None:
        self._table = table
        self._clock = UnpausedClock(2 * LONGEST_STEP_SECONDS)
        self._silences = [Silence() for _ in table.names]
        self._late: list[str] = []

    def look(self) -> None:
        """Notes which processes beat; has to be called every second."""
        now = self._clock.now()
        self._late = []
        for index, name in enumerate(self._table.names):
            seconds = self._silences[index].seconds(self._table.beats(index), now)
            state = self._table.state(index)
            if state is ProcessState.STOPPED:
                continue
            if state is ProcessState.HANGING or seconds > LATE_SECONDS:
                self._late.append(Message("health.process_silent", process=name))
            elif state is ProcessState.STARTING:
                self._late.append(Message("health.process_starting", process=name))

    def reasons(self) -> list[str]:
        """Returns the faults that the last look found."""
        return self._late


class _Loop:
    """A loop of this process, watched by the thread that beats."""

    def __init__(self, name: str, patience_seconds: float) -> None:
        self.name = name
        self.patience_seconds = patience_seconds
        self._turns = 0
        self._thread: int | None = None
        self._silence = Silence()

    def turned(self) -> None:
        """Notes that the loop has turned; called by its own thread."""
        self._turns += 1
        self._thread = threading.get_ident()

    def is_hanging(self, now: float) -> bool:
        """Returns whether it has not turned for too long."""
        return self._silence.seconds(self._turns, now) > self.patience_seconds

    @property
    def place(self) -> str:
        """The line of code where the loop is, without any value of a variable."""
        frame: FrameType | None = sys._current_frames().get(self._thread or 0)
        return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else "unknown"


class Heartbeat:
    """The heartbeat of this process; without a table it does nothing."""

    def __init__(
        self,
        table: HeartbeatTable | None = None,
        index: int = 0,
        patience_seconds: float = LONG_STEP_SECONDS,
    ) -> None:
        """Does not beat yet.

        Args:
            table: Where to beat.
            index: Which slot of it belongs to this process.
            patience_seconds: The longest turn of a loop that never waits for anything else.
        """
        self.table = table
        self._index = index
        self._patience_seconds = patience_seconds
        self._loops: list[_Loop] = []
        self._has_begun = False

    @classmethod
    def attach(cls, words: str | None) -> Self:
        """Returns the heartbeat that the parent of this process expects.

        Args:
            words: Descriptor, slot and patience in seconds, such as 5:1:20.0; None: no
                process watches this one.
        """
        if words is None:
            return cls()
        descriptor, index, patience_seconds = words.split(":")
        return cls(HeartbeatTable(int(descriptor)), int(index), float(patience_seconds))

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beats while the block runs."""
        stop = threading.Event()
        thread = threading.Thread(target=self._beat_until, args=[stop], name="beat", daemon=True)
        if self.table is not None:
            thread.start()
        try:
            yield
        finally:
            stop.set()

    @contextmanager
    def loop(self, name: str, patience_seconds: float = 0.0) -> Iterator[Callable[[], None]]:
        """Yields the function that a loop has to call at each turn while the block runs.

        Args:
            name: For the log.
            patience_seconds: The longest turn, where it is longer than usual.
        """
        loop = _Loop(name, max(patience_seconds, self._patience_seconds))
        self._loops = [*self._loops, loop]
        self._has_begun = True
        try:
            yield loop.turned
        finally:
            self._loops = [other for other in self._loops if other is not loop]

    def _beat_until(self, stop: threading.Event) -> None:
        assert self.table is not None  # noqa: S101  for mypy
        clock, reported = UnpausedClock(2 * BEAT_SECONDS), False
        while True:
            now = clock.now()
            hanging = [loop for loop in self._loops if loop.is_hanging(now)]
            if hanging:
                self.table.beat(self._index, ProcessState.HANGING)
                if not reported:
                    first = hanging[0]
                    log.error("loop_hangs", loop=first.name, place=first.place)
            else:
                state = ProcessState.RUNNING if self._has_begun else ProcessState.STARTING
                self.table.beat(self._index, state)
            reported = bool(hanging)
            if stop.wait(BEAT_SECONDS):
                return
