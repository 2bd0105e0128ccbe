"""Reads the clocks of this machine: the wall clock, which may jump, and the time since the boot."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Anything that tells the time."""

    def wall_seconds(self) -> float:
        """Returns seconds since 1970, UTC; a user or NTP may set this clock at any moment."""

    def boot_seconds(self) -> float:
        """Returns seconds since this machine started; this clock can not be set."""

    def boot_id(self) -> str:
        """Returns the name of this start of the machine; empty where it has none."""


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The clocks of this machine. The time since the boot goes on while the machine sleeps."""

    def wall_seconds(self) -> float:
        """Returns seconds since 1970, UTC."""
        return time.time()

    def boot_seconds(self) -> float:
        """Returns seconds since this machine started."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        """Returns the name that Linux gives to this start of the machine."""
        try:
            return _BOOT_ID_FILE.read_text(encoding="ascii").strip()
        except OSError:
            return ""
