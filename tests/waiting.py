"""Waiting for what another process or thread does: never for a fixed time."""

import time
from collections.abc import Callable

WAIT_SECONDS = 120
LOOK_SECONDS = 0.005


def wait_until(
    is_so: Callable[[], bool],
    what: str = "as it was to be",
    seconds: float = WAIT_SECONDS,
    act: Callable[[], None] = lambda: None,
) -> None:
    """Returns when something is so, having acted before each look; fails if it never is."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"after {seconds:g} s: not {what}"
        act()
        time.sleep(LOOK_SECONDS)
