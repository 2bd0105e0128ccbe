import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest

from benchmarks.speed.process_measurement import Finished, measure
from tests.waiting import WAIT_SECONDS

MEGABYTE = 10**6
# Where a command says HOLD, it keeps its memory until a sample of it was taken.
HOLD = "hold()\n"
_DEFINE_HOLD = """
import fcntl, os, pathlib
folder = pathlib.Path({folder!r})
def hold(count=[0]):
    count[0] += 1
    (folder / f"{{count[0]}}-{{os.getpid()}}").touch()
    with (folder / f"hold-{{count[0]}}").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
"""


@dataclass
class Holder:
    """Lets a command go on when its memory was sampled, however long that takes.

    Attributes:
        folder: Where processes say that they hold, and the locks that they wait for.
        locks: One for each time that the command holds.
        processes: How many processes hold each time.
    """

    folder: Path
    locks: list[TextIO]
    processes: int
    _n_held: int = 0
    _is_held: bool = False

    def sampled(self) -> None:
        """Releases the command if it already held when the last sample began."""
        if self._n_held == len(self.locks):
            return
        if self._is_held:
            fcntl.flock(self.locks[self._n_held], fcntl.LOCK_UN)
            self._n_held += 1
        self._is_held = len([*self.folder.glob(f"{self._n_held + 1}-*")]) >= self.processes


@contextmanager
def holding(folder: Path, times: int, processes: int) -> Iterator[Holder]:
    folder.mkdir()
    holder = Holder(folder, [], processes)
    try:
        for number in range(1, times + 1):
            holder.locks.append((folder / f"hold-{number}").open("w"))
            fcntl.flock(holder.locks[-1], fcntl.LOCK_EX)
        yield holder
    finally:
        for lock in holder.locks:
            lock.close()


def run(program: str, timeout_seconds: float = WAIT_SECONDS) -> Finished:
    return measure([sys.executable, "-c", program], timeout_seconds=timeout_seconds)


def sampled_peak(program: str, folder: Path, processes: int = 1) -> int:
    """Returns the peak memory in bytes of a program that holds."""
    with holding(folder, program.count("hold()"), processes) as holder:
        finished = measure(
            [sys.executable, "-c", _DEFINE_HOLD.format(folder=str(folder)) + program],
            timeout_seconds=WAIT_SECONDS,
            on_sample=holder.sampled,
        )
    assert finished.status == 0, finished.stderr
    return finished.peak_bytes


def peak(program: str, folder: Path, processes: int = 1) -> float:
    """Returns the peak memory of a program in MB above that of a bare interpreter."""
    bare = sampled_peak(HOLD, folder / "bare")
    return (sampled_peak(program, folder / "program", processes) - bare) / MEGABYTE


def test_a_command_measured_by_a_benchmark_keeps_output_and_status() -> None:
    finished = run("import sys; print('out'); sys.stderr.write('a\\rb\\n'); sys.exit(3)")
    assert (finished.status, finished.stdout, finished.stderr) == (3, "out\n", "a\rb\n")
    assert finished.seconds > 0


def test_the_peak_memory_in_a_benchmark_covers_the_allocation_of_a_command(tmp_path: Path) -> None:
    program = f"block = bytearray(b'1') * 300_000_000\n{HOLD}"
    assert peak(program, tmp_path) == pytest.approx(300, abs=10)


def test_the_peak_memory_in_a_benchmark_stays_after_the_memory_was_freed(tmp_path: Path) -> None:
    program = f"block = bytearray(b'1') * 300_000_000\n{HOLD}del block\n{HOLD}"
    assert peak(program, tmp_path) == pytest.approx(300, abs=10)


def test_the_peak_memory_in_a_benchmark_includes_descendant_processes(tmp_path: Path) -> None:
    child = f"{{define}}block = bytearray(b'1') * 200_000_000\n{HOLD}"
    folder = str(tmp_path / "program")
    program = (
        "import subprocess, sys\nblock = bytearray(b'1') * 100_000_000\n"
        f"child = {child.format(define=_DEFINE_HOLD.format(folder=folder))!r}\n"
        "subprocess.run([sys.executable, '-c', child], check=True)\n"
    )
    assert peak(program, tmp_path) == pytest.approx(300, abs=30)


def test_the_peak_memory_in_a_benchmark_counts_shared_memory_once(tmp_path: Path) -> None:
    program = f"block = bytearray(b'1') * 300_000_000\nos.fork()\n{HOLD}"
    assert peak(program, tmp_path, processes=2) == pytest.approx(300, abs=20)


def test_a_benchmark_kills_a_measured_command_that_never_ends() -> None:
    assert run("while True: pass", timeout_seconds=0.5).status == -9
