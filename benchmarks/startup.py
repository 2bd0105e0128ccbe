"""Measures the seconds that commands need to start: every help, `inspect`, the application.

    python -m benchmarks.startup [--runs 7] [--instances 10000] [--helps "models list" ...]
        [--commands-only] [--output FILE]

Each command is a process of its own. Its first run is not counted. The table has the median and the
range of the runs, and the median of the processor time, which a busy machine changes less.
`inspect` reads a phantom of 20 slices, and 20 series of small images. The application ends in its
first operator, on an empty folder. For comparison, a process only imports the base classes of
operators from `monai.deploy.core`, as the SDK's examples do.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer.main

from benchmarks.write_report import write_report
from cli.__main__ import app
from tests.phantom.study import SeriesSpec, write_series

HELP_LIMIT_SECONDS = 0.4
INSPECT_LIMIT_SECONDS = 1.0
LARGE_SERIES = 20
LARGE_LIMIT_SECONDS = 10.0
NO_STUDY = 65

TOTALMAP = str(Path(sys.executable).parent / "totalmap")
PEER = (sys.executable, "-c", "from monai.deploy.core import Application, Operator")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A command, its expected exit status, and its limit.

    Attributes:
        limit_seconds: The highest median allowed; None: no limit.
    """

    name: str
    words: Sequence[str]
    status: int = 0
    limit_seconds: float | None = None


def main() -> None:
    """Measures, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--instances", type=int, default=10_000, help="of the large study")
    parser.add_argument(
        "--helps", nargs="*", metavar="COMMAND", help="only the helps of these; default: of all"
    )
    parser.add_argument(
        "--commands-only", action="store_true", help="without large study, application and peer"
    )
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted = None if given.helps is None else [help_name(name.split()) for name in given.helps]
        timed = [shown for shown in helps() if wanted is None or shown.name in wanted]
        timed.append(_inspect(folder))
        if not given.commands_only:
            timed.append(_inspect_large(folder, given.instances))
            timed += [_application(folder), Timed(name="import monai.deploy.core", words=PEER)]
        lines = [_measured(command, given.runs) for command in timed]
    head = f"{'':44}{'median':>8}{'min':>7}{'max':>7}{'processor':>11}{'limit':>7}"
    table = "\n".join(
        [f"{os.cpu_count()} cores; seconds, {given.runs} runs, warm cache", head, *lines]
    )
    print(table)
    if given.output:
        title = "Start of commands"
        write_report(given.output, title, "benchmarks.startup", __doc__, table)


def help_name(words: Sequence[str]) -> str:
    """Returns the name in the table of the help of a command, such as `models list`."""
    return " ".join(("totalmap", *words, "--help"))


def helps() -> Iterator[Timed]:
    """Yields the help of every command and every group of commands."""

    def below(words: tuple[str, ...], command: Any) -> Iterator[tuple[str, ...]]:
        yield words
        for name, part in getattr(command, "commands", {}).items():
            yield from below((*words, name), part)

    for words in below((), typer.main.get_command(app)):
        yield Timed(
            name=help_name(words),
            words=(TOTALMAP, *words, "--help"),
            limit_seconds=HELP_LIMIT_SECONDS,
        )


def _inspect(folder: Path) -> Timed:
    study = write_series(folder / "study", 1, SeriesSpec(n_slices=20)).folder
    return Timed(
        name="totalmap inspect, 20 slices",
        words=(TOTALMAP, "inspect", str(study)),
        limit_seconds=INSPECT_LIMIT_SECONDS,
    )


def _inspect_large(folder: Path, instances: int) -> Timed:
    """Writes a study of small images: only headers are read."""
    study = folder / "large"
    spec = SeriesSpec(
        rows=16, columns=16, n_slices=instances // LARGE_SERIES, pixel_spacing_mm=(20.0, 20.0)
    )
    for number in range(LARGE_SERIES):
        write_series(study / str(number), number, spec)
    return Timed(
        name=f"totalmap inspect, {instances} instances",
        words=(TOTALMAP, "inspect", str(study)),
        limit_seconds=LARGE_LIMIT_SECONDS,
    )


def _application(folder: Path) -> Timed:
    source = folder / "in"
    source.mkdir()
    words = (sys.executable, "-m", "app", "-i", str(source), "-o", str(folder / "out"))
    return Timed(name="application to its first operator", words=words, status=NO_STUDY)


def _measured(timed: Timed, runs: int) -> str:
    _run(timed)
    walls, processors = zip(*(_run(timed) for _ in range(runs)), strict=True)
    limit = f"{timed.limit_seconds:.1f}" if timed.limit_seconds is not None else ""
    return (
        f"{timed.name:44}{statistics.median(walls):8.2f}{min(walls):7.2f}{max(walls):7.2f}"
        f"{statistics.median(processors):11.2f}{limit:>7}"
    )


def _run(timed: Timed) -> tuple[float, float]:
    """Returns the seconds that a command takes, and those of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(timed.words, capture_output=True, check=False)  # noqa: S603  our own
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != timed.status:
        said = done.stderr.decode()[-500:]
        raise SystemExit(f"{timed.name} ended with {done.returncode}: {said}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
