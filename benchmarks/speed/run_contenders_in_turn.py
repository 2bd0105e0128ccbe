"""Lets the contenders segment the same study in turn, and compares their labels."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.speed.contenders import Contender, Run, RunFailed
from benchmarks.speed.label_agreement import Agreement, Labels, compare
from benchmarks.speed.table import Entry


class Race:
    """Lets contenders segment the same case in turn; the first contender gives the reference."""

    def __init__(self, contenders: Sequence[Contender], folder: Path) -> None:
        self._lanes = [_Lane(contender=contender) for contender in contenders]
        self._folder = folder
        self._reference: Labels | None = None

    def run(self) -> None:
        """Runs all rounds."""
        for number in range(max(lane.contender.rounds for lane in self._lanes)):
            for lane in self._lanes:
                if lane.failure is None and number < lane.contender.rounds:
                    self._run_one(lane, number)

    @property
    def failed(self) -> bool:
        """Whether a run failed, refused settings not counted."""
        return any(lane.failure and not lane.failure.refused for lane in self._lanes)

    @property
    def tiles(self) -> int:
        """The number of tiles of all networks, from the first run that reports it."""
        counts = [run.network.tiles for lane in self._lanes for run in lane.runs]
        return next((tiles for tiles in counts if tiles), 0)

    def entries(self) -> list[Entry]:
        """Returns the measurements, for the table."""
        return [
            Entry(
                name=lane.contender.name,
                precision=lane.contender.precision,
                runs=lane.runs,
                agreements=lane.agreements,
                failure=lane.failure,
            )
            for lane in self._lanes
        ]

    def _run_one(self, lane: "_Lane", number: int) -> None:
        print_progress(f"  round {number + 1}: {lane.contender.name} ...")
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            try:
                run, labels = lane.contender.segment(Path(name))
                self._compare(lane, labels)
            except RunFailed as failure:
                lane.failure = failure
                print_progress(f"    {failure.reason}")
                if not failure.refused:
                    print_progress(failure.tail)
                return
        lane.runs.append(run)
        print_progress(
            f"    {run.seconds:.1f} s, network {run.network.seconds:.1f} s, "
            f"{run.peak_bytes / 1e9:.1f} GB"
        )

    def _compare(self, lane: "_Lane", labels: Labels) -> None:
        if lane is self._lanes[0] and self._reference is None:
            self._reference = labels
        elif self._reference is not None:
            try:
                lane.agreements.append(compare(labels, self._reference))
            except ValueError as error:
                raise RunFailed(str(error), "", refused=False) from error


@dataclass(slots=True, kw_only=True)
class _Lane:
    contender: Contender
    runs: list[Run] = field(default_factory=list)
    agreements: list[Agreement] = field(default_factory=list)
    failure: RunFailed | None = None


def print_progress(text: str) -> None:
    """Prints a line of progress."""
    print(text, flush=True)
