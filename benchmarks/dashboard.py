"""Measures the seconds that the gateway's pages take with many jobs on record.

    python -m benchmarks.dashboard [--jobs 100000] [--runs 5] [--output FILE]

Each job has a study of its own with one stored image, a patient, a result, a delivery and six
events; one in a hundred jobs failed, was cancelled or waits. A fifth of the results needs review,
and people have decided within three years about all but one in a hundred. The pages are asked for
by a user who has logged in, over HTTP, from the gateway's own web process. A search is one request
with the form and one for the page to which it leads, together. The goal is at most 0.5 s a page.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy import insert

from benchmarks.dashboard_rows import job_id, job_state, rows_of, study_uid
from benchmarks.temporary_folder_on_disk import disk_folder
from benchmarks.write_report import write_report
from gateway.config import GatewaySettings, ReceiveSection, WebSection
from gateway.store.database import Database, open_database
from gateway.store.file_storage import OUTPUT_NAME, STATUS_NAME, Storage, sha256_of
from gateway.store.job import JobState
from tests.accounts import add_account
from tests.phantom.study import SeriesSpec, write_series
from tests.servers import LOOPBACK, free_port
from tests.unit.gateway.web.browsing import form_token, log_in
from tests.unit.gateway.web.filling import write_output
from tests.waiting import wait_until

BATCH = 1000
# A file system allows about 65,000 hard links.
LINKS_OF_A_FILE = 50_000
LIMIT_SECONDS = 0.5
ALL_CONDITIONS = {
    "accession_number": "A",
    "first_date": "2019-01-01",
    "last_date": "2021-12-31",
    "rule": "ct",
    "state": "done",
}


@dataclass(frozen=True, slots=True)
class Templates:
    """Files that all studies and jobs share as hard links."""

    image: Path
    sha256: str
    output: Path


def main() -> None:
    """Measures, prints the table, and writes it to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    given = parser.parse_args()
    with disk_folder() as folder:
        settings = GatewaySettings(
            storage_folder=folder / "storage",
            receive=ReceiveSection(keep_free_gb=0.0),
            web=WebSection(port=free_port()),
        )
        _fill(settings, folder / "templates", given.jobs)
        with _web_process(settings):
            lines = _measure(settings.web.port, given.jobs, given.runs)
    table = "\n".join([f"{given.jobs:,} jobs; seconds of {given.runs} requests", *lines])
    print(table)
    if given.output:
        write_report(given.output, "Dashboard", "benchmarks.dashboard", __doc__, table)


def _measure(port: int, n_jobs: int, runs: int) -> list[str]:
    last_page = n_jobs * 96 // 100 // 25
    paths = {
        "first page": "/",
        "finished jobs": "/?group=done",
        "last page of finished jobs": f"/?group=done&page={last_page}",
        "failed jobs": "/?group=failed",
        "waiting jobs": "/?group=waiting",
        "the worklist": "/review",
        "the decided results": "/review/decided",
        "those of a reviewer": "/review/decided?who=eva",
        "the rates of 52 weeks": "/review/rates?weeks=52",
        "the rates of all decisions": "/review/rates?weeks=",
        "the CSV of all decisions": "/review/rates.csv?weeks=",
        "a study": f"/studies/{study_uid(n_jobs // 2)}",
        "the rules and a study": f"/rules?study={study_uid(n_jobs // 2)}",
        "the log": "/log",
        "/metrics": "/metrics",
        "/health": "/health",
    }
    searches: dict[str, dict[str, str]] = {
        "search without conditions": {},
        "search by name": {"patient": "müller ev"},
        "search by Patient ID": {"patient": f"PAT-{n_jobs // 3:07}"},
        "search by accession number": {"accession_number": f"A{n_jobs // 2:07}"},
        "search that finds nothing": {"patient": "nobody", "accession_number": "x"},
        "search by date": {"first_date": "2020-02-03", "last_date": "2020-02-04"},
        "search by rule": {"rule": "ct"},
        "search by rule, done": {"rule": "ct", "state": "done"},
        "search for failed jobs": {"state": "failed"},
        "search without a job": {"state": "no job"},
        "search by all": {**ALL_CONDITIONS, "patient": "müller"},
    }
    lines = [f"{'':28}median    max  limit"]
    with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=60) as client:
        wait_until(lambda: _is_up(client), "the page is served")
        if not log_in(client).is_redirect:
            raise SystemExit("the login was refused")
        for label, path in paths.items():
            lines.append(_line(label, [_seconds(client, path) for _ in range(runs)]))
        token = form_token(client.get("/search"))
        for label, fields in searches.items():
            form = {"form_token": token, **fields}
            lines.append(_line(label, [_search_seconds(client, form) for _ in range(runs)]))
    return lines


def _line(label: str, seconds: Sequence[float]) -> str:
    return f"{label:28}{statistics.median(seconds):6.2f} {max(seconds):6.2f} {LIMIT_SECONDS:6}"


def _search_seconds(client: httpx.Client, form: Mapping[str, str]) -> float:
    start = time.perf_counter()
    answer = client.post("/search", data=form, follow_redirects=True)
    seconds = time.perf_counter() - start
    if not answer.is_success or not answer.history:
        raise SystemExit(f"the search was answered with {answer.status_code}")
    return seconds


def _is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/login").is_success
    except httpx.ConnectError:
        return False


def _seconds(client: httpx.Client, path: str) -> float:
    start = time.perf_counter()
    answer = client.get(path)
    seconds = time.perf_counter() - start
    if (
        path != "/health" and not answer.is_success
    ):  # /health fails, because no process receives here
        raise SystemExit(f"{path} was answered with {answer.status_code}")
    return seconds


@contextmanager
def _web_process(settings: GatewaySettings) -> Iterator[None]:
    """Serves the page from a process of its own while the block runs."""
    program = (
        "import sys; from gateway.config import GatewaySettings; "
        "from gateway.web.server import running_web; "
        "settings = GatewaySettings.model_validate_json(sys.argv[1]);\n"
        "with running_web(settings): sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, settings.model_dump_json()]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:  # noqa: S603
        yield
        process.kill()


def _fill(settings: GatewaySettings, folder: Path, n_jobs: int) -> None:
    storage = Storage(settings.storage_folder)
    image = write_series(folder / "in", 1, SeriesSpec(rows=64, columns=64, n_slices=1)).paths[0]
    write_output(folder / "output")
    templates = Templates(image, sha256_of(image), folder / "output")
    with open_database(settings) as database:
        add_account(database)
        for start in range(0, n_jobs, BATCH):
            numbers = range(start, min(start + BATCH, n_jobs))
            for number in numbers:
                _link_files(storage, templates, number)
            _add_rows(database, templates, numbers)


def _link_files(storage: Storage, templates: Templates, number: int) -> None:
    folder = storage.study_folder(study_uid(number))
    folder.mkdir()
    _link(templates.image, folder / templates.sha256, number)
    if job_state(number) is JobState.SEGMENTED:
        output = storage.job_folder(job_id(number)) / OUTPUT_NAME
        (output / "results").mkdir(parents=True)
        for name in (STATUS_NAME, "results/preview.png", "results/seg.dcm"):
            _link(templates.output / name, output / name, number)


def _link(template: Path, target: Path, number: int) -> None:
    source = template.with_name(f"{number // LINKS_OF_A_FILE}-{template.name}")
    if not source.exists():
        shutil.copyfile(template, source)
    os.link(source, target)


def _add_rows(database: Database, templates: Templates, numbers: range) -> None:
    with database.transaction() as connection:
        for table, rows in rows_of(numbers, templates.sha256).items():
            connection.execute(insert(table), rows)


if __name__ == "__main__":
    main()
