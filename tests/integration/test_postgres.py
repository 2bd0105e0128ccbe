"""Tests the gateway on Postgres, with workers on several machines."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.dispatch.dispatcher import SWEEP_SECONDS, TICK_SECONDS
from gateway.store.job import JobState
from gateway.store.workers import LOST_SECONDS, WorkerList
from tests.conftest import DEMO_MODELS
from tests.integration.test_worker_kills import at_stage, send_study
from tests.postgres import running_postgres
from tests.service import FEW_RESULTS, Service, running_service
from tests.waiting import wait_until

TAKEN_OVER_SECONDS = 60


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with (
        running_postgres() as url,
        running_service(
            tmp_path, FEW_RESULTS, ledger_url=url, work={"models_folder": str(DEMO_MODELS)}
        ) as one,
    ):
        yield one


@contextmanager
def other_host(service: Service, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker as `totalmap serve --only-work` starts it on another host."""
    words = [sys.executable, "-m", "gateway", "work", "--config", str(service.file)]
    process = subprocess.Popen([*words, "--worker", name])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_gateway_on_postgres_takes_over_the_job_of_a_lost_machine_within_a_minute(
    service: Service, tmp_path: Path
) -> None:
    worker_list = WorkerList(service.database)
    worker_list.pause("test", is_paused=True)
    with other_host(service, "lost-host") as lost:
        first = send_study(service, tmp_path / "first", 40)
        second = send_study(service, tmp_path / "second", 41)
        wait_until(
            lambda: "lost-host" in {worker.worker for worker in worker_list.workers()},
            "there, and free too",
        )
        worker_list.pause("test", is_paused=False)
        wait_until(lambda: "lost-host" in workers(service), "work on the other host")
        (taken,) = (
            job
            for job in (service.jobs.job(item.job_id) for item in (first, second))
            if job and job.worker == "lost-host"
        )
        at_stage(service, taken, "segment", "load_models", "write_seg")
        lost.kill()
    wait_until(lambda: workers(service).get("lost-host") is None, "taken over")
    assert LOST_SECONDS + SWEEP_SECONDS + TICK_SECONDS < TAKEN_OVER_SECONDS
    for job in (first, second):
        service.wait_for(job, JobState.SEGMENTED)


def workers(service: Service) -> dict[str, str]:
    """Returns what runs, by worker."""
    return {job.worker: job.job_id for job in service.jobs.jobs([JobState.RUNNING]) if job.worker}
