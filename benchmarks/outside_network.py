"""Measures the seconds of a study outside the loop over the tiles, cold and warm.

    python -m benchmarks.outside_network [--runs 3] [--slices 224] [--size 512] [--output FILE]

The CT is that of benchmarks.speed. The demo network segments it at 3 mm, so that the labels have
the shape of a body. Its tiles are subtracted: `network` is the loop over the tiles, as in
benchmarks.speed. Networks of the real size take longer to load.

Cold: `python -m app` in a new process, from its start to its end. One run before the others is not
counted; it leaves the files in the memory of the system, and the folder of what was proven. `labels
only` writes labels.nii.gz alone, as benchmarks.speed does; otherwise all default results are
written. Warm: the later studies of a process that keeps its networks, as a worker of the gateway.

Times are medians. Stages are those of status.json. Start: from the start of the process to the
first stage, and all between the stages. End: from the release of the results to the end of the
process. Processor: the time of all processors together; on a busy machine it says more than the
others.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.speed.parse_network_seconds import events, from_log
from benchmarks.temporary_folder_on_disk import disk_folder
from benchmarks.write_report import write_report
from tests.phantom.study import SeriesSpec, write_series

REPOSITORY = Path(__file__).parent.parent
DEMO_MODELS = REPOSITORY / "models" / "demo"
PIXEL_MM, SLICE_MM = 0.8, 1.5
NETWORK, START, END = "network", "start", "end"
GOALS = "Goals outside: 4.0 cold with the labels only, 3.0 warm with all default results."


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The times of one run.

    Attributes:
        seconds: All of it.
        processor_seconds: Of all processors; of a warm run up to its last stage.
        parts: Seconds of each stage, and of `network`, which is no longer part of `segment`, of
            `start` and of `end`.
        processor_parts: Processor seconds of each stage, where they are known.
    """

    seconds: float
    processor_seconds: float
    parts: Mapping[str, float]
    processor_parts: Mapping[str, float]

    @property
    def outside_seconds(self) -> float:
        """Seconds outside the loop over the tiles."""
        return self.seconds - self.parts[NETWORK]


def main() -> None:
    """Measures, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="of each column")
    parser.add_argument("--slices", type=int, default=224)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    with disk_folder() as folder:
        source = folder / "study"
        write_series(source, 0, _series(given.slices, given.size))
        environment = _environment(folder)
        load = f"{os.getloadavg()[0]:.1f}"
        measured = _measured(source, folder, environment, given.runs)
    head = f"{os.cpu_count()} cores; {given.size} x {given.size} x {given.slices} voxels; "
    head += f"median of {given.runs} runs; load before: {load}"
    table = "\n".join([head, "", *table_of(measured), "", GOALS])
    print(table)
    if given.output:
        title = "Outside the network"
        write_report(given.output, title, "benchmarks.outside_network", __doc__, table)


def _series(slices: int, size: int) -> SeriesSpec:
    return SeriesSpec(
        rows=size,
        columns=size,
        n_slices=slices,
        pixel_spacing_mm=(PIXEL_MM, PIXEL_MM),
        slice_spacing_mm=SLICE_MM,
        slice_thickness_mm=SLICE_MM,
    )


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {
        "TOTALMAP_SEGMENTATION__VARIANT": "fast",
        "TOTALMAP_SEGMENTATION__DEVICE": "cpu",
        "TOTALMAP_SEGMENTATION__CACHE_FOLDER": str(folder / "cache"),
        "TOTALMAP_QUALITY__REJECTED": "deliver",  # a thin volume of the test may be rejected
        "TOTALMAP_LOGGING__FORMAT": "json",
    }


def _measured(
    source: Path, folder: Path, environment: Mapping[str, str], runs: int
) -> dict[str, list[Run]]:
    """Returns the runs of each column; cold columns take turns."""
    labels_only = {**environment, "TOTALMAP_RESULTS__KINDS": "[nifti]"}
    columns = {"cold, labels only": labels_only, "cold": environment}
    _cold(source, folder / "out", environment)
    found: dict[str, list[Run]] = {name: [] for name in columns}
    for _ in range(runs):
        for name, values in columns.items():
            found[name].append(_cold(source, folder / "out", values))
    return found | {"warm": list(_warm(source, folder / "out", environment, runs))}


def _cold(source: Path, output: Path, environment: Mapping[str, str]) -> Run:
    """Runs the application once."""
    words = [sys.executable, "-m", "app", "-i", str(source), "-o", str(output)]
    before, start = _children_seconds(), time.perf_counter()
    done = _finished([*words, "-m", str(DEMO_MODELS)], environment)
    seconds, ended = time.perf_counter() - start, time.time()
    stages = json.loads((output / "status.json").read_text())["timings_seconds"]
    (released,) = (
        datetime.fromisoformat(str(event["timestamp"])).timestamp()
        for event in events(done.stderr)
        if event["event"] == "results_released"
    )
    network = from_log(done.stderr)
    if network is None:
        raise SystemExit("the application did not report the time of its networks")
    return Run(
        seconds=seconds,
        processor_seconds=_children_seconds() - before,
        parts=parts_of(stages, network.seconds, seconds, ended - released),
        processor_parts={},
    )


def _warm(source: Path, output: Path, environment: Mapping[str, str], runs: int) -> Iterator[Run]:
    """Runs the application in one process, and yields its later studies."""
    words = [sys.executable, "-m", "benchmarks.warm_application_run", str(source)]
    done = _finished([*words, str(DEMO_MODELS), str(output), str(runs)], environment)
    for line in done.stdout.splitlines():
        run = json.loads(line)
        yield Run(
            seconds=run["seconds"],
            processor_seconds=sum(run["processor_stages"].values()),
            parts=parts_of(run["stages"], run["network_seconds"], run["seconds"], 0.0),
            processor_parts=run["processor_stages"],
        )


def _finished(
    words: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # noqa: S603  our own
        words, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"exit status {done.returncode}: {done.stderr[-500:]}")
    return done


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def parts_of(
    stages: Mapping[str, float], network_seconds: float, seconds: float, end_seconds: float
) -> dict[str, float]:
    """Returns what the time of a run goes to, in the order of the run.

    Args:
        stages: Seconds of each stage, as in status.json.
        network_seconds: The loop over the tiles, which is part of the stage `segment`.
        seconds: All of the run.
        end_seconds: From the release of the results to the end of the process.
    """
    rest = seconds - sum(stages.values()) - end_seconds
    parts = {START: rest, NETWORK: network_seconds, **stages, END: end_seconds}
    parts["segment"] -= network_seconds
    return parts


def table_of(measured: Mapping[str, Sequence[Run]]) -> Iterator[str]:
    """Yields the lines of the table: a column for each kind of run.

    The processor seconds of the stages are those of the last column, the warm runs.
    """
    yield f"{'':24}" + "".join(f"{name:>19}" for name in measured) + f"{'processor, warm':>19}"
    columns = list(measured.values())
    for name in columns[-1][0].parts:  # of a run with all results
        cells = [_median(run.parts[name] for run in runs if name in run.parts) for runs in columns]
        processor = _median(
            run.processor_parts[name] for run in columns[-1] if name in run.processor_parts
        )
        yield f"{_title(name):24}" + "".join(f"{cell:>19}" for cell in (*cells, processor))
    for title, of_runs in (
        ("all", [[run.seconds for run in runs] for runs in columns]),
        ("outside", [[run.outside_seconds for run in runs] for runs in columns]),
        ("processor, all", [[run.processor_seconds for run in runs] for runs in columns]),
    ):
        yield f"{title:24}" + "".join(f"{_median(seconds):>19}" for seconds in of_runs)


def _title(part: str) -> str:
    return "segment, without network" if part == "segment" else part


def _median(values: Iterator[float] | Sequence[float]) -> str:
    found = list(values)
    return f"{statistics.median(found):.2f}" if found else "-"


if __name__ == "__main__":
    main()
