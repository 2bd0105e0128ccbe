"""Waits for an event of another process or thread, never for a fixed time.

The outcome of a test does not depend on the load of the machine. A wait ends with its event; its
limit in seconds only ends a test that hangs.
"""

import time
from collections.abc import Callable

# Ends a test that hangs; no other wait is this long, even on a busy machine.
WAIT_SECONDS = 600
# For a time-out of the program under test, or of its peer, that must not expire in a test.
NEVER_SECONDS = 10 * WAIT_SECONDS
LOOK_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 0.05  # a state that passes is seen
# Of the processor time of a look, so that a wait takes a tenth of a processor from the program.
PAUSE = 9


def wait_until(
    is_so: Callable[[], bool],
    what: str = "as it was to be",
    seconds: float = WAIT_SECONDS,
    act: Callable[[], None] = lambda: None,
) -> None:
    """Returns when a condition holds, and acts before each check; fails if it never holds."""
    deadline = time.monotonic() + seconds
    begun = time.thread_time()
    while not is_so():
        assert time.monotonic() < deadline, f"after {seconds:g} s: not {what}"
        act()
        pause = PAUSE * (time.thread_time() - begun)
        time.sleep(min(max(pause, LOOK_SECONDS), LONGEST_PAUSE_SECONDS))
        begun = time.thread_time()
