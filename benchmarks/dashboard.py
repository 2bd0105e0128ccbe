"""Measures the seconds that the gateway's pages take with many jobs on record.

    python -m benchmarks.dashboard [--jobs 100000] [--runs 5] [--output FILE]

Each job has a study of its own with one stored image, a patient, a result, a delivery and six
events; one in a hundred jobs failed, was cancelled or waits. The pages are asked for by a user who
has logged in, over HTTP, from the gateway's own web process. A search is one request with the form
and one for the page to which it leads, together. The goal is at most 0.5 s a page.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Table, insert

from benchmarks.temporary_folder_on_disk import disk_folder
from benchmarks.write_report import write_report
from gateway.config import GatewaySettings, ReceiveSection, WebSection
from gateway.store.database import Database, open_database
from gateway.store.deliveries import DeliveryState
from gateway.store.events import EventKind, ObjectKind, Outcome
from gateway.store.file_storage import OUTPUT_NAME, STATUS_NAME, Storage, sha256_of
from gateway.store.job import JobState
from gateway.store.schema import (
    DELIVERIES,
    EVENTS,
    INSTANCES,
    JOBS,
    RESULTS,
    STUDIES,
    STUDY_ATTRIBUTES,
)
from gateway.store.search_words import search_words
from tests.accounts import add_account
from tests.phantom.study import SeriesSpec, write_series
from tests.servers import LOOPBACK, free_port
from tests.unit.gateway.web.browsing import form_token, log_in
from tests.unit.gateway.web.filling import write_output
from tests.waiting import wait_until

BATCH = 1000
# A file system allows about 65,000 hard links.
LINKS_OF_A_FILE = 50_000
BEGUN_AT = 1.7e9
LIMIT_SECONDS = 0.5
CT = "1.2.840.10008.5.1.4.1.1.2"
ALL_CONDITIONS = {
    "accession_number": "A",
    "first_date": "2019-01-01",
    "last_date": "2021-12-31",
    "rule": "ct",
    "state": "done",
}
FAMILIES = ("Müller", "Schmidt", "Nowak", "García", "Dubois", "Rossi", "Jensen", "Kaya", "Smith")
GIVEN = ("Eva", "Adam", "Piotr", "Ana", "Luc", "Marie", "Deniz")
FIRST_DAY, DAYS = date(2019, 1, 1), 1000
# Of each hundred jobs.
STATES = [JobState.DEAD, JobState.HELD, JobState.CANCELLED, JobState.QUEUED]
EVENTS_OF_A_JOB = (
    EventKind.RECEIVED,
    EventKind.COMPLETE,
    EventKind.QUEUED,
    EventKind.STARTED,
    EventKind.SEGMENTED,
    EventKind.DELIVERED,
)


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
        "a study": f"/studies/{_study(n_jobs // 2)}",
        "the rules and a study": f"/rules?study={_study(n_jobs // 2)}",
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
    folder = storage.study_folder(_study(number))
    folder.mkdir()
    _link(templates.image, folder / templates.sha256, number)
    if _state(number) is JobState.SEGMENTED:
        output = storage.job_folder(_job(number)) / OUTPUT_NAME
        (output / "results").mkdir(parents=True)
        for name in (STATUS_NAME, "results/preview.png", "results/seg.dcm"):
            _link(templates.output / name, output / name, number)


def _link(template: Path, target: Path, number: int) -> None:
    source = template.with_name(f"{number // LINKS_OF_A_FILE}-{template.name}")
    if not source.exists():
        shutil.copyfile(template, source)
    os.link(source, target)


def _add_rows(database: Database, templates: Templates, numbers: range) -> None:
    rows: dict[Table, list[Mapping[str, Any]]] = {
        STUDIES: [_study_row(number) for number in numbers],
        STUDY_ATTRIBUTES: [_attributes_row(number) for number in numbers],
        INSTANCES: [_instance_row(number, templates.sha256) for number in numbers],
        JOBS: [_job_row(number) for number in numbers],
        RESULTS: [_result_row(n) for n in numbers if _state(n) is JobState.SEGMENTED],
        DELIVERIES: [_delivery_row(n) for n in numbers if _state(n) is JobState.SEGMENTED],
        EVENTS: [_event_row(n, kind) for n in numbers for kind in EVENTS_OF_A_JOB],
    }
    with database.transaction() as connection:
        for table, values in rows.items():
            connection.execute(insert(table), values)


def _study(number: int) -> str:
    return f"2.25.{10**30 + number}"


def _job(number: int) -> str:
    return hashlib.sha256(f"job {number}".encode()).hexdigest()


def _state(number: int) -> JobState:
    position = number % 100
    return STATES[position] if position < len(STATES) else JobState.SEGMENTED


def _study_row(number: int) -> Mapping[str, Any]:
    return {
        "study_instance_uid": _study(number),
        "n_instances": 1,
        "n_passed_on": 1,
        "n_indexed": 1,
        "last_received_at": BEGUN_AT + number,
    }


def _attributes_row(number: int) -> Mapping[str, str]:
    name = f"{FAMILIES[number % len(FAMILIES)]}, {GIVEN[number % len(GIVEN)]} {number}"
    patient_id, accession_number = f"PAT-{number:07}", f"A{number:07}"
    return {
        "study_instance_uid": _study(number),
        "patient_name": name,
        "patient_id": patient_id,
        "accession_number": accession_number,
        "study_date": (FIRST_DAY + timedelta(days=number % DAYS)).isoformat(),
        "description": "CT thorax",
        "modalities": "CT",
        "patient_words": search_words(name, patient_id),
        "accession_words": search_words(accession_number),
    }


def _instance_row(number: int, sha256: str) -> Mapping[str, Any]:
    return {
        "sop_instance_uid": f"2.25.{10**35 + number}",
        "sha256": sha256,
        "sop_class_uid": CT,
        "study_instance_uid": _study(number),
        "series_instance_uid": f"{_study(number)}.1",
        "size_bytes": 8192,
        "sender": "CT1",
        "transfer": str(number),
        "received_at": BEGUN_AT + number,
        "arrival": 1,
    }


def _job_row(number: int) -> Mapping[str, Any]:
    state = _state(number)
    has_ended = state is not JobState.QUEUED
    return {
        "job_id": _job(number),
        "study_instance_uid": _study(number),
        "rule": "ct",
        "sender": "CT1",
        "content_digest": _job(number),
        "content_until": 1.0,
        "n_images": 1,
        "is_urgent": False,
        "application": "{}",
        "destinations": json.dumps({verdict: ["pacs"] for verdict in ("ok", "review", "reject")}),
        "state": state,
        "attempts": 1 if has_ended else 0,
        "run": 1,
        "not_before": 0.0,
        "is_enqueued": not has_ended,
        "created_at": BEGUN_AT + number,
        "started_at": BEGUN_AT + number + 1 if has_ended else None,
        "ended_at": BEGUN_AT + number + 60 if has_ended else None,
        "worker": "box-1" if has_ended else None,
    }


def _result_row(number: int) -> Mapping[str, Any]:
    return {
        "job_id": _job(number),
        "path": "results/seg.dcm",
        "kind": "seg",
        "sop_instance_uid": f"2.25.{10**36 + number}",
    }


def _delivery_row(number: int) -> Mapping[str, Any]:
    return {
        "job_id": _job(number),
        "destination": "pacs",
        "state": DeliveryState.DELIVERED,
        "attempts": 1,
        "run": 1,
        "not_before": 0.0,
        "is_enqueued": False,
        "created_at": BEGUN_AT + number + 60,
        "delivered_at": BEGUN_AT + number + 62,
        "is_asked": False,
    }


def _event_row(number: int, kind: EventKind) -> Mapping[str, Any]:
    return {
        "at": BEGUN_AT + number,
        "study_instance_uid": _study(number),
        "job_id": _job(number),
        "kind": kind,
        "object_kind": ObjectKind.JOB,
        "outcome": Outcome.SUCCESS,
        "who": "CT1",
        "detail": "one instance",
        "transfer": str(number),
    }


if __name__ == "__main__":
    main()
