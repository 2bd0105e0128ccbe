import sys

import pytest

from benchmarks.processes import Finished, measure

MEGABYTE = 10**6
# Long enough for several samples, without sleeping.
SPIN = "import time\nwhile time.process_time() < 1: pass\n"


def run(program: str, timeout_seconds: float = 60) -> Finished:
    return measure([sys.executable, "-c", program], timeout_seconds=timeout_seconds)


def peak(program: str) -> float:
    """Peak memory in MB above that of a bare interpreter."""
    finished = run(program + SPIN)
    assert finished.status == 0, finished.stderr
    return (finished.peak_bytes - run(SPIN).peak_bytes) / MEGABYTE


def test_output_and_status_are_kept() -> None:
    finished = run("import sys; print('out'); sys.stderr.write('a\\rb\\n'); sys.exit(3)")
    assert (finished.status, finished.stdout, finished.stderr) == (3, "out\n", "a\rb\n")
    assert finished.seconds > 0


def test_peak_is_what_a_command_allocates() -> None:
    assert peak("block = bytearray(b'1') * 300_000_000\n") == pytest.approx(300, abs=10)


def test_peak_is_kept_after_the_memory_was_freed() -> None:
    program = f"block = bytearray(b'1') * 300_000_000\n{SPIN}del block\n"
    assert peak(program) == pytest.approx(300, abs=10)


def test_descendants_count() -> None:
    child = f"block = bytearray(b'1') * 200_000_000\n{SPIN}"
    program = (
        "import subprocess, sys\nblock = bytearray(b'1') * 100_000_000\n"
        f"subprocess.run([sys.executable, '-c', {child!r}], check=True)\n"
    )
    assert peak(program) == pytest.approx(300, abs=30)


def test_memory_that_processes_share_counts_once() -> None:
    program = "import os\nblock = bytearray(b'1') * 300_000_000\nos.fork()\n"
    assert peak(program) == pytest.approx(300, abs=20)


def test_a_command_that_never_ends_is_killed() -> None:
    assert run("while True: pass", timeout_seconds=0.5).status == -9
