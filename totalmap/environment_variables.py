"""Reads and sets the environment variables of this process; no other module does."""

import os
from collections.abc import Mapping

from totalmap.machine_limits import has_processor_quota, usable_processors

# The number of threads of PyTorch (OpenMP), of NumPy's and of MKL's matrix products.
THREADS_VARIABLE = "OMP_NUM_THREADS"

# How long a thread of OpenMP (libgomp) without work spins before it sleeps. libgomp's own number is
# 300,000; then threads that wait take the processors from those that compute, wherever other
# programs run (benchmarks.shared_machine).
SPIN_VARIABLE = "GOMP_SPINCOUNT"
SPIN_COUNT = 3000
WAIT_POLICY_VARIABLE = "OMP_WAIT_POLICY"


def process_environment() -> Mapping[str, str]:
    """Returns the environment of this process."""
    return os.environ


def child_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of this process with changes, for a process that it starts."""
    return {**os.environ, **changes}


def chosen_threads() -> int | None:
    """Returns the number of threads that OMP_NUM_THREADS names; None: it names none."""
    first = os.environ.get(THREADS_VARIABLE, "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None


def processor_threads() -> int:
    """Returns with how many threads this process may compute, at least 1.

    This is OMP_NUM_THREADS, or else the number of processors that the process may use.
    """
    return chosen_threads() or usable_processors()


def prepare_threads(threads: int | None = None) -> None:
    """Tells PyTorch, which is loaded later, how many threads compute, and how long they wait.

    Without a number, OMP_NUM_THREADS stays as it is. If it is not set, it is set only where a
    control group allows fewer processors than the process can see, because PyTorch would start a
    thread for each of them. A thread without work soon sleeps, unless GOMP_SPINCOUNT or
    OMP_WAIT_POLICY is set.

    Args:
        threads: The number of threads.
    """
    if threads is None and chosen_threads() is None and has_processor_quota():
        threads = usable_processors()
    if threads is not None:
        os.environ[THREADS_VARIABLE] = str(threads)
    if WAIT_POLICY_VARIABLE not in os.environ:
        os.environ.setdefault(SPIN_VARIABLE, str(SPIN_COUNT))
