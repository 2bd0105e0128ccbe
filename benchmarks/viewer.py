"""Measures how long the viewer takes to show a study, and how much memory the browser needs.

    python -m benchmarks.viewer [--slices 500] [--size 512] [--runs 5] [--output FILE]

The CT is that of benchmarks/seg.py with ellipsoids of 117 structures. Each run opens it in a new
Chromium without a GPU. The first time the gateway prepares the view; again it is already prepared.
The goal at 512 x 512 x 500: a first picture within 3 s, all within 8 s, and at most 700 MB in the
process of the page.
"""

import argparse
import logging
import os
import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.seg import ellipsoids, thin_series
from benchmarks.temporary_folder_on_disk import disk_folder
from benchmarks.write_report import write_report
from gateway.config import GatewaySettings, ReceiveSection, WebSection
from gateway.store.file_storage import VIEW_NAME
from gateway.web.server import running_web
from tests.accounts import PASSWORD, USER, add_account
from tests.browser import browse
from tests.phantom.study import write_series
from tests.segmentations import TASK, segmentation_with, volume_of
from tests.servers import LOOPBACK
from tests.unit.gateway.web.filling import Filled, open_filled
from tests.viewable_output import write_viewable_output
from totalmap import log

DRIVER = Path(__file__).with_suffix(".mjs")
MEGABYTE = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One opening of the view.

    Attributes:
        first_seconds: Until the first picture.
        all_seconds: Until all slices and labels are there.
        scroll_seconds: From a turn of the wheel to the picture.
        renderer_bytes: The largest memory of the process of the page.
    """

    first_seconds: float
    all_seconds: float
    scroll_seconds: float
    renderer_bytes: float


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--slices", type=int, default=500)
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path, help="also write the report to this file")
    arguments = parser.parse_args()
    log.configure(level=logging.WARNING)
    with disk_folder() as folder, _gateway(folder) as gateway:
        job = _job(gateway, folder, arguments.slices, arguments.size)
        view = gateway.storage.job_folder(job) / VIEW_NAME
        prepared, again = [], []
        with running_web(gateway.settings) as port:
            for _ in range(arguments.runs):
                shutil.rmtree(view, ignore_errors=True)
                prepared.append(_open(port, job))
                again.append(_open(port, job))
        size = sum(path.stat().st_size for path in view.rglob("*")) / MEGABYTE
    lines = [
        f"{os.cpu_count()} cores; Chromium without a GPU on the same machine; "
        f"medians of {arguments.runs} runs",
        f"CT: {arguments.size} x {arguments.size} x {arguments.slices}, 117 structures; "
        f"{size:.0f} MB sent",
        "",
        "| | first picture, s | all there, s | scroll, ms | memory of the page, MB |",
        "| --- | --- | --- | --- | --- |",
        _row("the first time", prepared),
        _row("again", again),
    ]
    table = "\n".join(lines)
    print(table)
    if arguments.output:
        write_report(arguments.output, "The viewer", "benchmarks.viewer", __doc__, table)


@contextmanager
def _gateway(folder: Path) -> Iterator[Filled]:
    settings = GatewaySettings(
        storage_folder=folder / "storage",
        receive=ReceiveSection(keep_free_gb=0.0),
        web=WebSection(port=0),
    )
    filled = open_filled(settings)
    with filled.database:
        add_account(filled.database)
        yield filled


def _job(gateway: Filled, folder: Path, slices: int, size: int) -> str:
    """Receives a CT and ends its job with a SEG; returns the id of the job."""
    series = write_series(folder / "ct", 0, thin_series(slices, size))
    labels = ellipsoids((slices, size, size), len(TASK.structures))
    segmentation = segmentation_with(volume_of(series.folder), labels)
    output = write_viewable_output(segmentation, folder / "output")
    job = gateway.open_job(gateway.receive_files(series.paths))
    gateway.succeed(job, output)
    return job


def _open(port: int, job: str) -> Opening:
    said = browse(
        DRIVER,
        url=f"http://{LOOPBACK}:{port}",
        user=USER,
        password=PASSWORD,
        path=f"/jobs/{job}/view/0",
    )
    first, there = said["seconds"]
    return Opening(
        first_seconds=first,
        all_seconds=there,
        scroll_seconds=said["scroll"],
        renderer_bytes=said["renderer"],
    )


def _row(name: str, openings: list[Opening]) -> str:
    def median(attribute: str) -> float:
        return float(statistics.median(getattr(opening, attribute) for opening in openings))

    return (
        f"| {name} | {median('first_seconds'):.1f} | {median('all_seconds'):.1f} | "
        f"{median('scroll_seconds') * 1000:.0f} | {median('renderer_bytes') / MEGABYTE:.0f} |"
    )


if __name__ == "__main__":
    main()
