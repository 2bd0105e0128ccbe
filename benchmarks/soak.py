"""Measures memory, descriptors and threads of the gateway's processes under steady load.

    python -m benchmarks.soak [--minutes 15] [--output FILE]

dcmtk's storescu sends small studies of a phantom, so that two always wait. The gateway segments
them with the demo model and delivers them by C-STORE, for the given minutes. The table has each
process at the start (after its first studies), in the middle and at the end; `flat` compares the
last third with the third before.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.temporary_folder_on_disk import disk_folder
from benchmarks.write_report import write_report
from gateway.config import ReceiveSection
from gateway.store.job import UNFINISHED, JobState
from tests.archive import Archive, running_archive
from tests.conftest import DEMO_MODELS
from tests.phantom.study import write_series
from tests.service import SMALL, Service, running_service

ROLES = ("receive", "receiver", "dispatch", "work", "web")
SAMPLES = 60
ALWAYS_WAITING = 2
LOOK_SECONDS = 0.2
SECONDS_PER_MINUTE = 60
BYTES_PER_MB = 1_000_000
PAGE_BYTES = os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The measurements of a process at one time."""

    resident_mb: float
    descriptors: int
    threads: int


def main() -> None:
    """Loads the gateway, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    with disk_folder() as folder:
        table = _soak(folder, given.minutes)
    print(table)
    if given.output:
        write_report(given.output, "Steady load", "benchmarks.soak", __doc__, table)


def _soak(folder: Path, minutes: float) -> str:
    with (
        running_archive() as archive,
        running_service(
            folder,
            receive={"processes": ReceiveSection().processes},
            work={"models_folder": str(DEMO_MODELS)},
            rules=[{"name": "ct", "destinations": ["archive"]}],
            destinations=[{"name": "archive", "dicom": archive.destination}],
        ) as service,
    ):
        samples = list(_load(service, folder / "studies", minutes * SECONDS_PER_MINUTE))
        return "\n".join(_table(service, archive, minutes, samples))


def _load(service: Service, folder: Path, seconds: float) -> Iterator[Mapping[str, Sample]]:
    """Yields samples, at even distances, of the processes under load."""
    begun, sent = time.monotonic(), 0
    for n in range(1, SAMPLES + 1):
        while time.monotonic() < begun + n * seconds / SAMPLES:
            if len(service.jobs.jobs(UNFINISHED)) < ALWAYS_WAITING:
                sent += 1
                series = write_series(folder / str(sent), sent, SMALL)
                service.send(series.folder)
            time.sleep(LOOK_SECONDS)
        yield {role: _sample(pid) for role in ROLES if (pid := service.pid(role))}


def _sample(pid: int) -> Sample:
    process = Path(f"/proc/{pid}")
    return Sample(
        resident_mb=int((process / "statm").read_text().split()[1]) * PAGE_BYTES / BYTES_PER_MB,
        descriptors=len(list((process / "fd").iterdir())),
        threads=len(list((process / "task").iterdir())),
    )


def _table(
    service: Service, archive: Archive, minutes: float, samples: Sequence[Mapping[str, Sample]]
) -> Iterator[str]:
    jobs = service.jobs.jobs(limit=1_000_000)
    done = [job for job in jobs if job.state is JobState.SEGMENTED]
    yield (
        f"{os.cpu_count()} cores; {minutes:g} minutes, {len(done)} studies segmented, "
        f"{len(archive.contents)} results delivered, "
        f"{sum(job.state is JobState.DEAD for job in jobs)} dead"
    )
    yield f"{'':10}{'':14}{'start':>8}{'middle':>8}{'end':>8}   flat: last third - third before"
    third = len(samples) // 3
    moments = (third // 2, len(samples) // 2, len(samples) - 1)
    for role in ROLES:
        for what in ("resident_mb", "descriptors", "threads"):
            values = [getattr(sample[role], what) for sample in samples if role in sample]
            before = statistics.median(values[third : 2 * third])
            growth = statistics.median(values[2 * third :]) - before
            cells = "".join(f"{values[moment]:8.0f}" for moment in moments)
            yield f"{role:10}{what:14}{cells}{growth:+10.1f}"


if __name__ == "__main__":
    main()
