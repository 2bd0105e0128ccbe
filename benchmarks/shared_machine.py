"""Measures what waiting threads cost a network, alone and beside other work on the same processors.

    python -m benchmarks.shared_machine [--runs 5] [--output FILE]

PyTorch shares each operation among threads (libgomp, OpenMP). A thread without work spins for a
while before it sleeps; on a shared machine it spins on a processor that the thread it waits for
needs. A narrow network with many short operations and one of real width run under several policies
in turn: with nothing added, beside two busy processes of the lowest priority, beside two of its own
priority, and beside another network with two threads of the same policy. Each policy has a process
of its own, whose network stays loaded. Wall seconds are medians, with the range; processor seconds
are those of the measured process alone, the median and the least.
"""

import argparse
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from benchmarks.write_report import write_report

# libgomp's own default spins 300,000 times; `passive` does not spin.
POLICIES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "default": {},
        "spin 30,000": {"GOMP_SPINCOUNT": "30000"},
        "spin 3,000": {"GOMP_SPINCOUNT": "3000"},
        "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    }
)
LOWEST_PRIORITY = 19
BUSY = "while True: pass"
ALONE, BESIDE_IDLE, BESIDE_BUSY, BESIDE_NETWORK = (
    "nothing added",
    "beside 2 processes, nice 19",
    "beside 2 processes",
    "beside a network, 2 threads",
)
SITUATIONS = (ALONE, BESIDE_IDLE, BESIDE_BUSY, BESIDE_NETWORK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network and the image that it is run on.

    Attributes:
        features: Of the first stage.
        patch: (z, y, x) voxels.
        image: (z, y, x) voxels.
    """

    features: int
    patch: tuple[int, int, int]
    image: tuple[int, int, int]


NETWORKS = {
    "narrow": Network(features=4, patch=(64, 64, 64), image=(96, 96, 96)),
    "real width": Network(features=32, patch=(112, 112, 128), image=(112, 112, 128)),
}


@dataclass(slots=True)
class Seconds:
    """The runs of one policy in one situation."""

    wall: list[float] = field(default_factory=list)
    processors: list[float] = field(default_factory=list)


class Child:
    """A process with a loaded network that runs once each time it is told to."""

    def __init__(self, network: str, policy: str, folder: Path) -> None:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OMP_", "GOMP_", "KMP_"))
        }
        command = [sys.executable, "-m", "benchmarks.shared_machine"]
        self._process = subprocess.Popen(  # noqa: S603  our own
            [*command, "--measure", network, "--folder", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**clean, **POLICIES[policy]},
        )
        self.run()  # the first run is slower

    def start(self) -> None:
        """Has it run once."""
        assert self._process.stdin is not None  # noqa: S101  for mypy
        self._process.stdin.write("run\n")
        self._process.stdin.flush()

    def run(self) -> tuple[float, float]:
        """Has it run once; returns the seconds by the clock and those of the processors."""
        self.start()
        assert self._process.stdout is not None  # noqa: S101  for mypy
        wall, processors = self._process.stdout.readline().split()
        return float(wall), float(processors)

    def end(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()


def main() -> None:
    """Measures, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=POLICIES)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--situations", nargs="+", default=list(SITUATIONS), choices=SITUATIONS)
    parser.add_argument("--measure", choices=NETWORKS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        _measure(NETWORKS[given.measure], given.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        table = "\n".join(_tables(Path(folder), given))
    print(table)
    if given.output:
        title = "Waiting threads on a shared machine"
        write_report(given.output, title, "benchmarks.shared_machine", __doc__, table)


def _measure(network: Network, folder: Path) -> None:
    """Runs the network once for each line of the standard input."""
    import numpy as np

    from benchmarks.speed.network_sizes import WIDEST
    from tests.networks import build_models
    from totalmap import log
    from totalmap.engine.predict import Networks
    from totalmap.engine.tasks import load_task
    from totalmap.settings import Variant

    log.configure(level=logging.CRITICAL)
    if not folder.exists():
        build_models(
            folder,
            Variant.FAST,
            patch_size=network.patch,
            base_features=network.features,
            max_features=network.features * WIDEST,
        )
    networks = Networks(load_task("total", Variant.FAST), folder)
    image = np.random.default_rng(0).integers(-1000, 1000, network.image, dtype=np.int16)
    for _ in sys.stdin:
        begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        networks.predict(image, lambda _done, _total: None)
        wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(wall, used, flush=True)


def _tables(folder: Path, given: argparse.Namespace) -> Iterator[str]:
    load = os.getloadavg()[0]
    yield f"{os.cpu_count()} cores, 2 threads; {given.runs} runs in turn; load before: {load:.2f}"
    for name in given.networks:
        measured = _measured(folder / name, name, given.policies, given.runs, given.situations)
        yield ""
        yield f"{name:14}{'situation':30}{'median':>8}{'range':>14}{'processors':>12}{'least':>8}"
        for (situation, policy), seconds in measured.items():
            wall, used = seconds.wall, seconds.processors
            yield (
                f"{policy:14}{situation:30}{statistics.median(wall):8.2f}"
                f"{f'{min(wall):.2f}-{max(wall):.2f}':>14}"
                f"{statistics.median(used):12.2f}{min(used):8.2f}"
            )


def _measured(
    folder: Path, network: str, policies: Sequence[str], runs: int, situations: Sequence[str]
) -> dict[tuple[str, str], Seconds]:
    measured: dict[tuple[str, str], Seconds] = {
        (situation, policy): Seconds() for situation in situations for policy in policies
    }
    with ExitStack() as ended:
        children = {}
        for policy in policies:
            children[policy] = Child(network, policy, folder)
            ended.callback(children[policy].end)
        for situation in situations:
            for _ in range(runs):
                for policy, child in children.items():
                    with _beside(situation, network, policy, folder):
                        wall, processors = child.run()
                    measured[situation, policy].wall.append(wall)
                    measured[situation, policy].processors.append(processors)
    return measured


@contextmanager
def _beside(situation: str, network: str, policy: str, folder: Path) -> Iterator[None]:
    """Runs the other work of a situation while the block runs."""
    with ExitStack() as ended:
        if situation == BESIDE_NETWORK:
            other = Child(network, policy, folder)
            ended.callback(other.end)
            for _ in range(100):  # it runs until it is ended
                other.start()
        elif situation != ALONE:
            words = ["nice", "-n", str(LOWEST_PRIORITY)] if situation == BESIDE_IDLE else []
            for _ in range(2):
                busy = subprocess.Popen([*words, sys.executable, "-c", BUSY])  # noqa: S603
                ended.callback(busy.wait)
                ended.callback(busy.kill)
        yield


if __name__ == "__main__":
    main()
