"""Measures how many studies an hour a gateway segments with one and with two workers.

    python -m benchmarks.throughput [--studies 4] [--output FILE]

dcmtk's storescu sends CTs of a phantom to `totalmap serve`; all wait in the queue while the
workers run them, with all default results. Each worker has had a study before. The demo network
segments small studies; a network of the real width for 3 mm, with random weights, segments CTs of
512 x 512 x 112. Busy: the time of the processors that the workers used, as a share of all
processors; what is not busy is all that reading and writing beside the networks of the next study
could still win. Segment and rest: medians of a study, from status.json. Peak GB: of one worker.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pydicom

from benchmarks.speed.network_sizes import PATCH_SIZES, REAL_FEATURES, WIDEST
from benchmarks.temporary_folder_on_disk import disk_folder
from benchmarks.write_report import write_report
from gateway.store.file_storage import OUTPUT_NAME, STATUS_NAME, Storage
from gateway.store.job import Job, JobState
from tests.conftest import DEMO_MODELS
from tests.networks import build_models
from tests.phantom.study import SeriesSpec, write_series
from tests.service import Service, running_service
from tests.waiting import wait_until
from totalmap.settings import Variant

SECONDS_PER_HOUR = 3600
LONGEST_SECONDS = 1200.0
BYTES_PER_GB = 1_000_000_000
TICKS = os.sysconf("SC_CLK_TCK")
LARGE_MACHINES = (16, 32)
SMALL = SeriesSpec()
LARGE = SeriesSpec(
    rows=512,
    columns=512,
    n_slices=112,
    pixel_spacing_mm=(0.8, 0.8),
    slice_spacing_mm=1.5,
    slice_thickness_mm=1.5,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the processors are shared.

    Attributes:
        threads: Of each worker.
    """

    workers: int
    threads: int


# The last one is what two workers did without `work.threads`.
LAYOUTS = (
    Layout(workers=1, threads=2),
    Layout(workers=2, threads=1),
    Layout(workers=2, threads=2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one layout achieved.

    Attributes:
        seconds: From the start of the first job to the end of the last.
        busy: Share of all processors that the workers used, 0 to 1.
        segment_seconds: Median of a study, in the networks and the resampling.
        rest_seconds: Median of a study, in all other stages.
        peak_gb: The largest resident memory of a worker.
    """

    studies: int
    seconds: float
    busy: float
    segment_seconds: float
    rest_seconds: float
    peak_gb: float

    @property
    def per_hour(self) -> float:
        """Studies an hour."""
        return self.studies / self.seconds * SECONDS_PER_HOUR


def main() -> None:
    """Measures, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=4, help="of each layout")
    parser.add_argument("--networks", nargs="+", default=["demo", "real"], choices=["demo", "real"])
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    with disk_folder() as folder:
        table = "\n".join(_tables(folder, given.networks, given.studies))
    print(table)
    if given.output:
        write_report(given.output, "Throughput", "benchmarks.throughput", __doc__, table)


def _tables(folder: Path, networks: Sequence[str], studies: int) -> Iterator[str]:
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    yield f"{os.cpu_count()} cores; {studies} studies of each layout; load before: {load}"
    for network in networks:
        models, spec = DEMO_MODELS, SMALL
        if network == "real":
            spec, models = LARGE, folder / "models"
            build_models(
                models,
                Variant.FAST,
                patch_size=PATCH_SIZES[Variant.FAST],
                base_features=REAL_FEATURES,
                max_features=WIDEST * REAL_FEATURES,
            )
        written = [
            write_series(folder / network / str(n), n, spec).folder for n in range(studies + 4)
        ]
        measured = {}
        yield ""
        head = ("studies/h", "busy", "segment s", "rest s", "peak GB")
        yield f"{network:24}{''.join(f'{title:>11}' for title in head)}"
        for layout in LAYOUTS:
            measured[layout] = _measure(folder, models, written, layout)
            yield _row(layout, measured[layout])
    if "real" in networks:
        yield from _computed(measured[LAYOUTS[0]], measured[LAYOUTS[1]])


def _measure(folder: Path, models: Path, written: Sequence[Path], layout: Layout) -> Measured:
    """Runs all studies in one layout; the first ones, one or two for each worker, only warm up."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        work = {"models_folder": str(models), "threads": layout.threads}
        with running_service(
            Path(place), work=work | {"devices": ["cpu"] * layout.workers}
        ) as service:
            warming, measuring = written[: 2 * layout.workers], written[4:]
            _segment(service, warming)
            pids = _workers(service)
            before = sum(map(_processor_seconds, pids))
            jobs = _segment(service, measuring)
            used = sum(map(_processor_seconds, pids)) - before
            seconds = max(job.ended_at or 0.0 for job in jobs) - min(
                job.started_at or 0.0 for job in jobs
            )
            timings = [_timings(service, job) for job in jobs]
            return Measured(
                studies=len(jobs),
                seconds=seconds,
                busy=used / seconds / (os.cpu_count() or 1),
                segment_seconds=statistics.median(segment for segment, _ in timings),
                rest_seconds=statistics.median(rest for _, rest in timings),
                peak_gb=max(map(_peak_bytes, pids)) / BYTES_PER_GB,
            )


def _segment(service: Service, folders: Sequence[Path]) -> Sequence[Job]:
    """Sends studies, and returns their jobs when all are done."""
    service.send(*folders)
    uids = [
        str(pydicom.dcmread(next(folder.iterdir()), stop_before_pixels=True).StudyInstanceUID)
        for folder in folders
    ]
    for uid in uids:
        done = partial(_is_done, service, service.job_of(uid).job_id)
        wait_until(done, "segmented", LONGEST_SECONDS)
    return [service.job_of(uid) for uid in uids]


def _is_done(service: Service, job_id: str) -> bool:
    found = service.jobs.job(job_id)
    if found is not None and found.state is JobState.DEAD:
        raise RuntimeError(f"a job is dead: {found.reason}")
    return found is not None and found.state is JobState.SEGMENTED


def _workers(service: Service) -> list[int]:
    """Returns the process IDs of the workers."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    pids = [int(pid) for pid in children.read_text().split()]
    return [pid for pid in pids if b"--worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _peak_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def _timings(service: Service, job: Job) -> tuple[float, float]:
    """Returns the seconds of the engine, and of all other stages, for a study."""
    output = Storage(service.settings.storage_folder).job_folder(job.job_id) / OUTPUT_NAME
    stages = json.loads((output / STATUS_NAME).read_text())["timings_seconds"]
    segment = sum(seconds for stage, seconds in stages.items() if "segment" in stage)
    return segment, sum(stages.values()) - segment


def _row(layout: Layout, found: Measured) -> str:
    name = f"{layout.workers} worker(s) x {layout.threads} thread(s)"
    return (
        f"{name:24}{found.per_hour:11.0f}{found.busy:11.0%}{found.segment_seconds:11.1f}"
        f"{found.rest_seconds:11.1f}{found.peak_gb:11.1f}"
    )


def _computed(two_threads: Measured, one_thread: Measured) -> Iterator[str]:
    """Yields what larger machines would do, by the times with one and with two threads."""
    ones = one_thread.segment_seconds + one_thread.rest_seconds
    twos = two_threads.segment_seconds + two_threads.rest_seconds
    shared = max(0.0, 2 * (ones - twos))
    alone = ones - shared
    yield ""
    yield "Computed, real width: a study takes a + b / threads seconds, with"
    yield f"a = {alone:.1f} and b = {shared:.1f} from the two rows without oversubscription."
    yield "Workers do not slow each other by memory, caches, disk or clock rate, beyond what the"
    yield "measured two did. Memory: the measured peak of each worker."
    yield f"{'cores':8}{'workers':>9}{'threads':>9}{'studies/h':>11}{'GB':>8}"
    for cores in LARGE_MACHINES:
        threads = cores
        while threads >= 1:
            workers = cores // threads
            rate = workers * SECONDS_PER_HOUR / (alone + shared / threads)
            memory = workers * two_threads.peak_gb
            yield f"{cores:<8}{workers:9}{threads:9}{rate:11.0f}{memory:8.0f}"
            threads //= 2


if __name__ == "__main__":
    main()
