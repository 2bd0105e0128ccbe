"""Tests that each decision is stored and delivered exactly once, although processes are killed.

The longer version: KILLS=100, as `make soak` has it.
"""

import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx
import pydicom
from pydicom.uid import (
    Comprehensive3DSRStorage,
    KeyObjectSelectionDocumentStorage,
    SegmentationStorage,
)

from gateway.store.decision import DecisionKind
from gateway.store.decisions import DecisionList
from gateway.store.events import EventKind, history
from gateway.store.job import Job
from tests.accounts import add_account
from tests.archive import Archive, running_archive
from tests.phantom.study import write_series
from tests.servers import LOOPBACK
from tests.service import FEW_RESULTS, SMALL, Service, running_service
from tests.unit.gateway.web.browsing import form_token, log_in
from tests.waiting import WAIT_SECONDS, wait_until

KILLS = int(os.environ.get("KILLS", "4"))
LONGEST_LIFE_SECONDS = 0.3
SEED = 12
# The page stores decisions, and the dispatcher delivers them.
ROLES = ("web", "dispatch")
CLASSES = (SegmentationStorage, Comprehensive3DSRStorage, KeyObjectSelectionDocumentStorage)
# One after the other, again and again.
CYCLE = (
    {"kind": "accepted", "verify": "1"},
    {"kind": "withdrawn", "reason": "I looked at the wrong patient."},
    {"kind": "rejected", "reason": "The spleen leaks into the stomach."},
    {"kind": "withdrawn", "reason": "It is a second spleen."},
)


@contextmanager
def reviewer(service: Service) -> Iterator[httpx.Client]:
    url = f"http://{LOOPBACK}:{service.settings.web.port}"
    with httpx.Client(base_url=url, timeout=WAIT_SECONDS) as client:
        yield client


def answered(client: httpx.Client, path: str) -> httpx.Response:
    """Returns a page as soon as the page's process answers, after a new login if need be."""
    found: list[httpx.Response] = []

    def is_there() -> bool:
        try:
            page = client.get(path)
            if page.status_code == httpx.codes.SEE_OTHER:
                log_in(client)
                page = client.get(path)
        except httpx.TransportError:
            return False
        if page.status_code == httpx.codes.OK:
            found.append(page)
        return bool(found)

    wait_until(is_there, "a page")
    return found[-1]


def send(client: httpx.Client, job: Job, fields: dict[str, str]) -> None:
    """Sends a form; nobody may answer."""
    try:
        client.post(f"/jobs/{job.job_id}/decisions", data=fields)
    except httpx.TransportError:
        return


def decide_while_killed(service: Service, client: httpx.Client, job: Job, number: int) -> None:
    """Sends a decision, kills a process meanwhile, and sends the same form until it is stored."""
    random = Random(SEED + number)  # noqa: S311  when to kill
    decisions, path = DecisionList(service.database), f"/jobs/{job.job_id}/decide"
    page = answered(client, path)
    hidden = dict(re.findall(r'name="(form|run|seen)" value="(\w+)"', page.text))
    fields = {"next": path, **hidden, **CYCLE[number % len(CYCLE)]}
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send, client, job, {**fields, "form_token": form_token(page)})
        time.sleep(random.uniform(0.0, LONGEST_LIFE_SECONDS))
        role = random.choice(ROLES)
        killed = service.pid(role)
        if killed is not None:
            service.kill(role)
        sending.result()
    while hidden["form"] not in {each.form for each in decisions.of_job(job.job_id)}:
        token = form_token(answered(client, path))
        send(client, job, {**fields, "form_token": token})
    send(client, job, {**fields, "form_token": form_token(answered(client, path))})
    wait_until(lambda: service.pid(role) not in (None, killed), "started again")


def expected_objects(n_decisions: int) -> list[int]:
    """Returns how many SEGs, SRs and notes an archive gets: the results, and what decisions add."""
    kinds = [number % len(CYCLE) for number in range(n_decisions)]
    verified, copied = kinds.count(0), kinds.count(3)
    return [1 + copied, 1 + copied + verified, kinds.count(1) + kinds.count(2)]


def objects(archive: Archive) -> list[int]:
    return [len(archive.of_class(sop_class)) for sop_class in CLASSES]


def test_every_decision_on_results_is_stored_and_delivered_once_despite_killed_processes(
    quick_models: Path, tmp_path: Path
) -> None:
    series = write_series(tmp_path / "study", 300, SMALL)
    study = str(pydicom.dcmread(series.paths[0]).StudyInstanceUID)
    with (
        running_archive() as archive,
        running_service(
            tmp_path,
            FEW_RESULTS,
            work={"models_folder": str(quick_models)},
            rules=[{"name": "ct", "destinations": ["archive"]}],
            destinations=[{"name": "archive", "dicom": archive.destination}],
            review={"verified_reports": True, "organization": "General Hospital"},
            deliver={"first_retry_seconds": 0.2},
        ) as service,
        reviewer(service) as client,
    ):
        add_account(service.database)
        service.send(series.folder)
        job = service.job_of(study)
        service.wait_until_delivered(job)
        for number in range(KILLS):
            decide_while_killed(service, client, job, number)
        stored = DecisionList(service.database).of_job(job.job_id)
        assert [each.kind for each in stored] == [
            DecisionKind(CYCLE[number % len(CYCLE)]["kind"]) for number in range(KILLS)
        ]
        events = [each.kind for each in history(service.database, study)]
        told = (EventKind.ACCEPTED, EventKind.RESULT_REJECTED, EventKind.WITHDRAWN)
        assert sum(kind in told for kind in events) == KILLS
        service.wait_for_deliveries(job)
        assert objects(archive) == expected_objects(KILLS)
        different = {uid for uid, found in archive.contents.items() if len(set(found)) > 1}
        assert not different, "an object was written anew with other content"
