"""Measures how many CT instances TotalMAP and Orthanc receive and store in a second.

    python -m benchmarks.receiving [--instances 2000] [--runs 3] [--output FILE]

dcmtk's storescu sends slices of 512 x 512 of a phantom, uncompressed. Our receiver writes them to
its ledger and to the disk before it acknowledges them. With one process it is compared with
pynetdicom's own server, which stores instances in the same way, with TCP_NODELAY: this shows what
gateway/receive/pynetdicom_without_polling.py gains. Orthanc is Debian's with its defaults, and once
with TCP_NODELAY=1, without which it and storescu wait for each other. Every run starts with an
empty store and running processes.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pydicom
from pydicom.uid import generate_uid

from benchmarks.temporary_folder_on_disk import disk_folder
from benchmarks.write_report import write_report
from gateway.config import ReceiveSection
from tests.gateway_process import (
    children,
    running_gateway,
    storescu,
    wait_until_processes_serve,
    wait_until_up,
)
from tests.phantom.study import SeriesSpec, write_series
from tests.servers import free_port, running_orthanc

ASSOCIATIONS = (1, 4)
SLICES = 40
# Whose rate is 1.
OF = "Orthanc"


@contextmanager
def totalmap_receiver(folder: Path, processes: int = ReceiveSection().processes) -> Iterator[int]:
    """Yields the port of our receiver, once all of its processes serve."""
    port = free_port()
    with running_gateway(folder, port, processes) as process:
        wait_until_processes_serve(children(process.pid), port)
        yield port


@contextmanager
def plain_pynetdicom(folder: Path) -> Iterator[int]:
    """Yields the port of pynetdicom's own server."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.plain_pynetdicom", str(folder), str(port)]
    with subprocess.Popen(command) as process:  # noqa: S603  ours
        try:
            wait_until_up(process, port)
            yield port
        finally:
            process.kill()


@contextmanager
def _orthanc(folder: Path) -> Iterator[int]:
    with running_orthanc(folder) as orthanc:
        yield orthanc.dicom_port


@contextmanager
def _orthanc_without_delay(folder: Path) -> Iterator[int]:
    with running_orthanc(folder, {"TCP_NODELAY": "1"}) as orthanc:
        yield orthanc.dicom_port


RECEIVERS: Mapping[str, Callable[[Path], AbstractContextManager[int]]] = {
    "TotalMAP": totalmap_receiver,
    "TotalMAP, one process": partial(totalmap_receiver, processes=1),
    "pynetdicom, one process": plain_pynetdicom,
    "Orthanc": _orthanc,
    "Orthanc, TCP_NODELAY=1": _orthanc_without_delay,
}


def main() -> None:
    """Measures, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--instances", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    with disk_folder() as folder:
        table = _race(folder, given.instances, given.runs)
    print(table)
    if given.output:
        write_report(given.output, "Receiving", "benchmarks.receiving", __doc__, table)


def _race(folder: Path, instances: int, runs: int) -> str:
    shares = write_shares(folder, instances)
    rates: dict[tuple[str, int], list[float]] = {}
    for _ in range(runs):
        for name, running in RECEIVERS.items():
            for n in ASSOCIATIONS:
                with tempfile.TemporaryDirectory(dir=folder) as store, running(Path(store)) as port:
                    seconds = send(port, [shares[i::n] for i in range(n)])
                rates.setdefault((name, n), []).append(instances / seconds)
    lines = [
        f"{os.cpu_count()} cores; {instances} instances of 512 x 512, associations at once: "
        f"{ASSOCIATIONS}; median of {runs} runs",
        f"{'instances a second':24}" + "".join(f"{f'{n} at once':>30}" for n in ASSOCIATIONS),
    ]
    for name in RECEIVERS:
        cells = [_cell(rates[name, n], rates[OF, n]) for n in ASSOCIATIONS]
        lines.append(f"{name:24}" + "".join(cells))
    return "\n".join(lines)


def _cell(rates: Sequence[float], peer: Sequence[float]) -> str:
    median = statistics.median(rates)
    ratio = median / statistics.median(peer)
    return f"{median:10.0f}{f'{min(rates):.0f}-{max(rates):.0f}':>12}{ratio:7.1f}x"


def send(port: int, shares: Sequence[Sequence[Path]]) -> float:
    """Returns the seconds of senders that send at once, each the files of some folders."""
    start = time.perf_counter()
    senders = [storescu(port, share) for share in shares]
    for sender in senders:
        said, _ = sender.communicate()
        if sender.returncode:
            raise SystemExit(f"storescu ended with {sender.returncode}: {said}")
    return time.perf_counter() - start


def write_shares(folder: Path, instances: int) -> list[Path]:
    """Writes a folder for each association, each with instances of its own."""
    spec = SeriesSpec(
        rows=512, columns=512, n_slices=SLICES, pixel_spacing_mm=(0.8, 0.8), slice_spacing_mm=5.0
    )
    datasets = [pydicom.dcmread(path) for path in write_series(folder / "one", 1, spec).paths]
    shares = [folder / f"share-{i}" for i in range(max(ASSOCIATIONS))]
    for share in shares:
        share.mkdir()
    for n in range(instances):
        dataset = datasets[n % SLICES]
        if n % SLICES == 0:
            study, series = generate_uid(), generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.save_as(shares[n % len(shares)] / f"{n}.dcm")
    return shares


if __name__ == "__main__":
    main()
