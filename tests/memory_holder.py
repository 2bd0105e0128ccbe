"""A process that reserves memory as a run does, until it is killed.

`python -m tests.memory_holder GB`; its folder of reservations is in TMPDIR.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from totalmap.engine.memory_reservation import one_at_a_time, reserved

BYTES_PER_GB = 1_000_000_000
# What is free on the machine is never more, however much of it other processes give back.
ALL_GIGABYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / BYTES_PER_GB


@contextmanager
def memory_held(gigabytes: float, folder: Path) -> "Iterator[subprocess.Popen[str]]":
    """Yields a process that has reserved memory; it is killed at the end.

    Args:
        gigabytes: How much it has reserved; it allocates none of it.
        folder: TMPDIR of the process.
    """
    command = [sys.executable, "-m", "tests.memory_holder", str(gigabytes)]
    environment = os.environ | {"TMPDIR": str(folder)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "reserved\n"
            yield process
        finally:
            process.kill()


def _main(gigabytes: float) -> None:
    with ExitStack() as held:
        with one_at_a_time():
            held.enter_context(reserved(int(gigabytes * BYTES_PER_GB)))
        sys.stdout.write("reserved\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    _main(float(sys.argv[1]))
