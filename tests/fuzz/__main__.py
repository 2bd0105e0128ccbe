"""Fuzzes: runs broken studies of the phantom from folder to results, and reports surprises.

    python -m tests.fuzz --first 0 --count 1000
    python -m tests.fuzz --exports 200 --minutes 60

Exports of a PACS come first (`tests.fuzz.pacs_export_checks`), then mutants. Standard output has
one line for each mutant, standard error the tracebacks of failures. The exit status is 1 if
anything failed.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from random import Random
from types import FrameType
from typing import TextIO

from tests.fuzz.folder_to_results import run_chain
from tests.fuzz.healthy_studies import BASES, write_bases
from tests.fuzz.mutant_checks import Mutant, contents, objections, secrets_in
from tests.fuzz.mutants import mutate
from tests.fuzz.pacs_export_checks import objections_to_export
from tests.waiting import WAIT_SECONDS
from totalmap import log
from totalmap.settings import GapPolicy

# Processor time of all threads together: a wall clock would count other processes too.
PROCESSOR_SECONDS = 10
MEMORY = 2 << 30


class TooLong(BaseException):
    """The time of a mutant is over; no `except Exception` may catch this."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a mutant; `failure` is empty if it was expected."""

    seed: int
    base: str
    mutations: tuple[str, ...]
    outcome: str
    processor_seconds: float
    failure: str

    def line(self) -> str:
        """Returns the outcome as one line."""
        words = " | ".join(self.mutations)
        return f"{self.seed} {self.outcome} {self.processor_seconds:.2f} s, {self.base}: {words}"


class Output:
    """Redirects all output of the process, from Python and from C, into a file.

    Attributes:
        stdout: The original standard output.
        stderr: The original standard error.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "log"
        self.stdout, self.stderr = _copy_of(1), _copy_of(2)

    def __enter__(self) -> Output:
        descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
        os.dup2(self.stdout.fileno(), 1)
        os.dup2(self.stderr.fileno(), 2)
        faulthandler.disable()
        self.stdout.close()
        self.stderr.close()

    def taken(self) -> str:
        """Returns what was written since the last call."""
        sys.stdout.flush()
        sys.stderr.flush()
        content = self._path.read_bytes().decode("utf-8", "replace")
        os.truncate(self._path, 0)
        return content


def _copy_of(descriptor: int) -> TextIO:
    return os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="backslashreplace")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1000, help="number of mutants")
    parser.add_argument("--minutes", type=float, help="duration, instead of a number")
    parser.add_argument("--exports", type=int, default=0, help="number of exports of a PACS")
    parser.add_argument("--folder", type=Path, help="folder for the mutants that fail")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Output(Path(name)) as output:
        folder = Path(name)
        faulthandler.enable(output.stderr)
        warnings.simplefilter("always")  # by default a place warns only once
        log.configure()
        bases = write_bases(folder / "bases")
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        first = arguments.first
        runs: Iterator[Outcome] = chain(
            (
                run_export(seed, folder / "mutant", output)
                for seed in range(first, first + arguments.exports)
            ),
            (run_mutant(seed, bases, folder / "mutant", output) for seed in _seeds(arguments)),
        )
        outcomes = []
        for outcome in runs:
            outcomes.append(outcome)
            print(outcome.line(), file=output.stdout, flush=True)
            if outcome.failure:
                print(f"{outcome.line()}\n{outcome.failure}", file=output.stderr, flush=True)
                if arguments.folder:
                    kept = arguments.folder / f"{outcome.base}-{outcome.seed}"
                    shutil.copytree(folder / "mutant" / "study", kept, symlinks=True)
        print(summary(outcomes), file=output.stdout, flush=True)
    return int(any(outcome.failure for outcome in outcomes))


def _seeds(arguments: argparse.Namespace) -> Iterator[int]:
    """Yields seeds until there are as many as wanted, or the time is over."""
    start = time.monotonic()
    for number in count():
        minutes = (time.monotonic() - start) / 60
        is_over = number >= arguments.count if arguments.minutes is None else False
        if is_over or (arguments.minutes is not None and minutes >= arguments.minutes):
            return
        yield arguments.first + number


def run_export(seed: int, folder: Path, output: Output) -> Outcome:
    """Makes an export of a PACS in a folder and reads it."""
    shutil.rmtree(folder, ignore_errors=True)
    output.taken()
    start = time.process_time()
    try:
        with limited_time(output.stderr):
            objections_found = objections_to_export(folder / "study", seed)
        failure = "\n".join([*objections_found, *secrets_in([output.taken()])])
    except (Exception, TooLong):  # after any error the next export is tried
        failure = traceback.format_exc()
    seconds = time.process_time() - start
    return Outcome(seed, "export", (), "failure" if failure else "success", seconds, failure)


def run_mutant(seed: int, bases: dict[str, Path], folder: Path, output: Output) -> Outcome:
    """Makes a mutant in a folder and runs it."""
    rng = Random(seed)  # noqa: S311  the same mutant for the same seed
    base = rng.choice(BASES)
    gaps = rng.choice(list(GapPolicy))
    shutil.rmtree(folder, ignore_errors=True)
    study = folder / "study"
    shutil.copytree(bases[base], study)
    mutations = mutate(study, rng)
    mutant = Mutant(base, contents(bases[base]), study, mutations)
    output.taken()
    start = time.process_time()
    seconds, outcome, failure = 0.0, "failure", ""
    try:
        with limited_time(output.stderr):
            run = run_chain(study, folder / "results", gaps)
        seconds, outcome = time.process_time() - start, run.outcome
        failure = "\n".join(objections(mutant, run, output.taken()))
    except (Exception, TooLong):  # after any error the next mutant is tried
        seconds = seconds or time.process_time() - start
        failure = traceback.format_exc()
    return Outcome(seed, base, mutations, outcome, seconds, failure)


@contextmanager
def limited_time(errors: TextIO, processor_seconds: float = PROCESSOR_SECONDS) -> Iterator[None]:
    """Raises TooLong in a block that takes too much processor time.

    Ends the process, with its tracebacks, if the block does not see the exception (a decoder that
    never returns) or takes no processor time (threads that wait for each other).
    """

    def stop(_: int, __: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, processor_seconds)
    faulthandler.dump_traceback_later(WAIT_SECONDS, exit=True, file=errors)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        faulthandler.cancel_dump_traceback_later()


def summary(outcomes: list[Outcome]) -> str:
    """Returns a table of the outcomes, the slowest mutant and the memory."""
    counts = Counter("FAILED" if item.failure else item.outcome for item in outcomes)
    lines = [f"{count:6} {name}" for name, count in counts.most_common()]
    slowest = max(outcomes, key=lambda item: item.processor_seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = f"{slowest.processor_seconds:.2f} s of processor time"
    lines.append(f"slowest: seed {slowest.seed}, {seconds}")
    lines.append(f"peak memory: {peak:.0f} MiB")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
