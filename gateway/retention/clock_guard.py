"""Lets nothing be deleted after the clock has jumped, until a person has confirmed it.

How long ago something was delivered is known by the clock of the wall alone. Within a boot it is
compared with the clock since the boot. Over a boot nobody knows how long the machine was off: then
the clock must not go back, nor on by more than a day.
"""

from gateway.clock import Clock
from gateway.store.clock_record import ClockReading, ClockRecord
from totalmap.log import get_logger

# A clock that is set by NTP moves by less, but for one that has gone wrong for long.
TOLERANCE_SECONDS = 60.0
# Of the time between two readings: a bad quartz is wrong by 0.01 %.
TOLERANCE_SHARE = 0.001
LONGEST_OFF_SECONDS = 86_400.0

log = get_logger()


class ClockGuard:
    """Compares the clocks whenever it is asked."""

    def __init__(self, clock: Clock, records: ClockRecord) -> None:
        self._clock = clock
        self._records = records

    def is_trusted(self) -> bool:
        """Returns whether the clock has not jumped since somebody confirmed it.

        Raises:
            ResourceError: The database fails.
        """
        last = self._records.last()
        now = ClockReading(
            boot_id=self._clock.boot_id(),
            boot_seconds=self._clock.boot_seconds(),
            wall_seconds=self._clock.wall_seconds(),
        )
        moved = 0.0 if last is None else _jump_seconds(last, now)
        jump = last.jump_seconds if last is not None else None
        if moved:
            jump = (jump or 0.0) + moved
            log.error("clock_jumped", seconds=round(moved))
        self._records.save(
            ClockReading(
                boot_id=now.boot_id,
                boot_seconds=now.boot_seconds,
                wall_seconds=now.wall_seconds,
                jump_seconds=jump,
            ),
            moved,
        )
        return jump is None


def _jump_seconds(last: ClockReading, now: ClockReading) -> float:
    """Returns how far the clock of the wall has jumped between two readings; 0: it has not."""
    wall = now.wall_seconds - last.wall_seconds
    is_same_boot = bool(now.boot_id) and now.boot_id == last.boot_id
    if is_same_boot:
        elapsed = now.boot_seconds - last.boot_seconds
        jump = wall - elapsed
        return jump if abs(jump) > TOLERANCE_SECONDS + TOLERANCE_SHARE * elapsed else 0.0
    return wall if not -TOLERANCE_SECONDS <= wall <= LONGEST_OFF_SECONDS else 0.0
