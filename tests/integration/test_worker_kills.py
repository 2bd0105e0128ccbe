"""Tests kill -9 of the processes at every step of a job: no result is lost or becomes two objects.

The longer version: ROUNDS=20 pytest tests/integration/test_worker_kills.py
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import SegmentationStorage

from gateway.store.events import history
from gateway.store.job import Job, JobState
from tests.archive import Archive, running_archive
from tests.conftest import DEMO_MODELS
from tests.phantom.study import SeriesSpec, write_series
from tests.service import SMALL, Service, running_service
from tests.waiting import WAIT_SECONDS, wait_until

ROUNDS = int(os.environ.get("ROUNDS", "1"))
ATTEMPTS = 3
# A stage of milliseconds may be over before it is seen; then another study is sent.
CHANCES = 20
# Reading so many slices takes long enough to be seen, and the network still takes one tile.
MANY_SLICES = replace(SMALL, n_slices=400, slice_spacing_mm=0.25, slice_thickness_mm=0.25)


@pytest.fixture(scope="module")
def archive() -> Iterator[Archive]:
    with running_archive() as listening:
        yield listening


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, archive: Archive) -> Iterator[Service]:
    with running_service(
        tmp_path_factory.mktemp("service"),
        work={"models_folder": str(DEMO_MODELS), "attempts": ATTEMPTS},
        rules=[{"name": "ct", "destinations": ["archive"]}],
        destinations=[{"name": "archive", "dicom": archive.destination}],
        deliver={"first_retry_seconds": 0.5},
    ) as running:
        yield running


def send_study(service: Service, folder: Path, seed: int, spec: SeriesSpec = SMALL) -> Job:
    """Sends a study of its own, and returns its job."""
    series = write_series(folder, seed, spec)
    service.send(folder)
    header = pydicom.dcmread(series.paths[0], stop_before_pixels=True)
    return service.job_of(header.StudyInstanceUID)


def at_stage(service: Service, job: Job, *stages: str) -> bool:
    """Waits for a stage; returns whether it was seen before the job was done."""

    def stands() -> Job:
        found = service.jobs.job(job.job_id)
        assert found is not None
        return found

    def is_there(job: Job) -> bool:
        return job.state is JobState.RUNNING and job.stage in stages

    seen = [stands()]
    wait_until(
        lambda: is_there(seen[-1]) or seen[-1].state is JobState.SEGMENTED,
        f"at {' or '.join(stages)}",
        act=lambda: seen.append(stands()),
    )
    return is_there(seen[-1])


def kill_when_claimed(service: Service, job: Job, _archive: Archive) -> bool:
    service.wait_for(job, JobState.RUNNING)
    service.kill("work")
    return True


def kill_before_inference(service: Service, job: Job, _archive: Archive) -> bool:
    if not at_stage(service, job, "read_study", "select_series", "build_volume"):
        return False
    service.kill("work")
    return True


def kill_during_inference(service: Service, job: Job, _archive: Archive) -> bool:
    if not at_stage(service, job, "segment"):
        return False
    service.kill("work")
    return True


def kill_after_inference(service: Service, job: Job, _archive: Archive) -> bool:
    if not at_stage(service, job, "write_seg", "write_sr", "write_rtstruct", "write_preview"):
        return False
    service.kill("work")
    return True


def kill_while_sending(service: Service, _job: Job, archive: Archive) -> bool:
    archive.hang_at_store.set()
    assert archive.hangs.wait(WAIT_SECONDS)
    service.kill("dispatch")
    archive.go_on.set()
    return True


def kill_before_marked(service: Service, _job: Job, archive: Archive) -> bool:
    archive.hang_at_release.set()
    assert archive.hangs.wait(WAIT_SECONDS)
    service.kill("dispatch")
    archive.go_on.set()
    return True


def kill_everything(service: Service, job: Job, _archive: Archive) -> bool:
    if not at_stage(service, job, "segment"):
        return False
    service.kill_all()
    service.start()
    return True


POINTS = (
    kill_when_claimed,
    kill_before_inference,
    kill_during_inference,
    kill_after_inference,
    kill_while_sending,
    kill_before_marked,
    kill_everything,
)


@pytest.mark.parametrize("number", range(ROUNDS * len(POINTS)))
def test_a_study_is_delivered_once_whichever_gateway_process_is_killed(
    service: Service, archive: Archive, tmp_path: Path, number: int
) -> None:
    kill = POINTS[number % len(POINTS)]
    spec = MANY_SLICES if kill is kill_before_inference else SMALL
    for chance in range(CHANCES):
        before = set(archive.of_class(SegmentationStorage))
        seed = 1000 + number + chance * ROUNDS * len(POINTS)
        job = send_study(service, tmp_path / str(chance), seed, spec)
        if kill(service, job, archive):
            break
        service.wait_until_delivered(job)
    else:
        pytest.fail("the moment was missed")
    done = service.wait_for(job, JobState.SEGMENTED)
    assert done.attempts <= 2
    service.wait_until_delivered(job)
    results = [result.sop_instance_uid for result in service.jobs.results(job.job_id)]
    for uid in filter(None, results):
        assert len(set(archive.contents[uid])) == 1, "two objects have one UID, or it is missing"
    made = set(archive.of_class(SegmentationStorage)) - before
    assert len(made) == 1, "one study has one SEG"


def test_the_gateway_gives_up_a_study_that_kills_its_worker_and_goes_on_with_others(
    service: Service, tmp_path: Path
) -> None:
    poison = send_study(service, tmp_path / "poison", seed=1)
    for attempt in range(1, ATTEMPTS + 1):
        wait_until(lambda n=attempt: is_running(service, poison, n), f"running, attempt {attempt}")  # type: ignore[misc]
        assert at_stage(service, poison, "segment")
        service.kill("work")
    other = send_study(service, tmp_path / "other", seed=2)
    dead = service.wait_for(poison, JobState.DEAD)
    assert dead.reason == (
        "begun 3 times without success: it has ended its worker, the last time at segment"
    )
    service.wait_for(other, JobState.SEGMENTED)
    assert service.jobs.retry(poison.job_id, "somebody")
    service.wait_for(poison, JobState.SEGMENTED)
    events = [str(event.kind) for event in history(service.database, poison.study_instance_uid)]
    assert events[:9] == ["received", "complete", "queued", *["started"] * 4, "dead", "retried"]


def is_running(service: Service, job: Job, attempt: int) -> bool:
    found = service.jobs.job(job.job_id)
    return found is not None and found.state is JobState.RUNNING and found.attempts == attempt
