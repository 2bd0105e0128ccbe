"""A clock that tests set."""

from dataclasses import dataclass


@dataclass(slots=True)
class HandSetClock:
    """Both clocks of a machine; `advance` moves both, `jump` moves the wall clock only.

    Attributes:
        wall: Seconds since 1970, UTC.
        boot: Seconds since the start of the machine.
        boot_name: The ID of this start of the machine.
    """

    wall: float = 1_790_000_000.0
    boot: float = 5000.0
    boot_name: str = "first boot"

    def advance(self, seconds: float) -> None:
        """Moves both clocks forward."""
        self.wall += seconds
        self.boot += seconds

    def jump(self, seconds: float) -> None:
        """Moves the wall clock, as a person or NTP does."""
        self.wall += seconds

    def restart(self, off_seconds: float) -> None:
        """Restarts the machine after it was off for some seconds."""
        self.wall += off_seconds
        self.boot, self.boot_name = 10.0, f"after {self.boot_name}"

    def wall_seconds(self) -> float:
        """Returns seconds since 1970, UTC."""
        return self.wall

    def boot_seconds(self) -> float:
        """Returns seconds since the start of the machine."""
        return self.boot

    def boot_id(self) -> str:
        """Returns the ID of this start of the machine."""
        return self.boot_name
