"""Tests processes that hang, or are paused with the whole machine.

The longer version: HANG_SECONDS=20 PAUSE_SECONDS=120, as `make soak` has it.
"""

import os
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from gateway.store.job import Job, JobState
from tests.phantom.study import write_series
from tests.service import SMALL, Service, running_service
from tests.unit.gateway.work.docker_stand_in import DockerStandIn
from tests.waiting import wait_until

HANG_SECONDS = float(os.environ.get("HANG_SECONDS", "5"))
PAUSE_SECONDS = float(os.environ.get("PAUSE_SECONDS", "8"))
ROLES = ("receive", "receiver", "dispatch", "web", "work")


@pytest.fixture
def docker(tmp_path: Path) -> DockerStandIn:
    stand_in = DockerStandIn(tmp_path / "docker")
    stand_in.succeeds()
    stand_in.hold.touch()
    return stand_in


@contextmanager
def running(
    folder: Path, docker: DockerStandIn, time_out_minutes: float = 60.0
) -> Iterator[Service]:
    with running_service(
        folder,
        receive={"processes": 2},
        supervise={"hang_seconds": HANG_SECONDS},
        work={
            "runner": "container",
            "container": {"docker": str(docker.command)},
            "time_out_minutes": time_out_minutes,
        },
    ) as service:
        yield service


def send_study(service: Service, folder: Path) -> Job:
    """Sends a study, and returns its job once it is running."""
    series = write_series(folder, 5, SMALL)
    service.send(folder)
    header = pydicom.dcmread(series.paths[0], stop_before_pixels=True)
    return service.wait_for(service.job_of(header.StudyInstanceUID), JobState.RUNNING)


def processes(service: Service) -> dict[str, int | None]:
    return {role: service.pid(role) for role in ROLES}


def test_every_hung_process_of_the_gateway_is_restarted_and_no_attempt_is_lost(
    tmp_path: Path, docker: DockerStandIn
) -> None:
    with running(tmp_path, docker) as service:
        job = send_study(service, tmp_path / "study")
        wait_until(lambda: None not in processes(service).values(), "all up")
        before = processes(service)
        stopped_at = time.monotonic()
        for pid in before.values():
            os.kill(pid or 0, signal.SIGSTOP)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in before.values()))
        assert time.monotonic() - stopped_at < HANG_SECONDS + 10
        wait_until(lambda: None not in processes(service).values(), "all up again")
        docker.hold.unlink()
        done = service.wait_for(job, JobState.SEGMENTED)
        assert done.attempts == 1, "a stop from outside costs no attempt"
        assert done.run == 2
        wait_until(lambda: service.is_receiving)
        storage = service.settings.storage_folder
        assert {path for path in (storage, *storage.rglob("*")) if is_for_others(path)} == set()


def is_for_others(path: Path) -> bool:
    """Returns whether other users than the gateway's may do anything with a file or folder."""
    return bool(stat.S_IMODE(path.lstat().st_mode) & 0o077)


def test_a_pause_of_the_whole_machine_restarts_no_process_of_the_gateway(
    tmp_path: Path, docker: DockerStandIn
) -> None:
    with running(tmp_path, docker) as service:
        job = send_study(service, tmp_path / "study")
        wait_until(lambda: None not in processes(service).values(), "all up")
        before = processes(service)
        os.killpg(service.process.pid, signal.SIGSTOP)
        time.sleep(PAUSE_SECONDS)
        os.killpg(service.process.pid, signal.SIGCONT)
        (worker,) = service.worker_list.workers()
        # Each has had its period, and is still there.
        wait_until(lambda: service.worker_list.workers()[0].seen_at > worker.seen_at + HANG_SECONDS)
        assert processes(service) == before
        docker.hold.unlink()
        done = service.wait_for(job, JobState.SEGMENTED)
        assert (done.attempts, done.run) == (1, 1)


def test_a_gateway_job_that_takes_too_long_is_dead_and_its_container_removed(
    tmp_path: Path, docker: DockerStandIn
) -> None:
    with running(tmp_path, docker, time_out_minutes=0.02) as service:
        series = write_series(tmp_path / "study", 5, SMALL)
        service.send(tmp_path / "study")
        header = pydicom.dcmread(series.paths[0], stop_before_pixels=True)
        dead = service.wait_for(service.job_of(header.StudyInstanceUID), JobState.DEAD)
        assert dead.reason == "it took longer than 0.02 minutes"
        assert dead.attempts == 1
        wait_until(lambda: docker.calls()[-1][0] == "rm", "its container removed")
