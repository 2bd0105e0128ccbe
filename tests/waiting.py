"""Waits for what another process or thread does: for an event, never for a fixed time.

No verdict of a test depends on how busy the machine is. A wait ends with its event, and a limit in
seconds is there to end a hang.
"""

import time
from collections.abc import Callable

# Ends a hang; no wait takes so long, however busy the machine is.
WAIT_SECONDS = 600
# A time-out of the program under test, or of its peer, that has to play no part in a test.
NEVER_SECONDS = 10 * WAIT_SECONDS
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
