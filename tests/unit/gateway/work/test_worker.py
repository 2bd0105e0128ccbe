"""Tests a worker in its own process, with a stand-in for Docker that can be paused."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.store.job import Job, JobState
from gateway.work.application_runner import container_name
from gateway.work.worker import GAVE_UP
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.dispatch.test_dispatcher import DispatchBench, dispatching
from tests.unit.gateway.work.docker_stand_in import DockerStandIn
from tests.waiting import WAIT_SECONDS, wait_until

SEG = {"path": "results/seg.dcm", "kind": "seg", "sop_instance_uid": "2.25.1"}
STUDY = "1.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class OneWorker:
    """A study that is queued, and where a worker can be started for it."""

    bench: DispatchBench
    docker: DockerStandIn
    folder: Path

    @contextmanager
    def worker(self, **work: Any) -> Iterator[subprocess.Popen[bytes]]:
        """Yields a worker; it is killed at the end."""
        file = self.folder / "gateway.yaml"
        settings = {
            "storage_folder": str(self.folder),
            "work": {
                "runner": "container",
                "container": {"docker": str(self.docker.command)},
                "stop_seconds": 1.0,
                **work,
            },
        }
        file.write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "gateway", "work", "--config", str(file)]
        with subprocess.Popen([*command, "--worker", "host-1", "--device", "cpu"]) as process:
            try:
                yield process
            finally:
                process.kill()

    def job(self) -> Job:
        (found,) = self.bench.jobs(STUDY)
        return found

    def has_started(self) -> bool:
        return self.runs() > 0

    def runs(self) -> int:
        return sum(words[0] == "run" for words in self.docker.calls())

    def is_done(self) -> bool:
        return self.job().state is JobState.SEGMENTED


@pytest.fixture
def one_worker(tmp_path: Path, phantom_series: WrittenSeries) -> Iterator[OneWorker]:
    file = tmp_path / "slice.dcm"
    file.write_bytes(phantom_series.paths[0].read_bytes())
    docker = DockerStandIn(tmp_path / "docker")
    docker.succeeds(SEG)
    with dispatching(tmp_path, file) as bench:
        bench.receive(STUDY)
        bench.tick()
        try:
            yield OneWorker(bench=bench, docker=docker, folder=tmp_path)
        finally:
            docker.hold.unlink(missing_ok=True)  # nobody else ends a container that was given up


def test_a_gateway_worker_is_listed_before_it_takes_a_job_and_removed_when_it_ends(
    one_worker: OneWorker,
) -> None:
    one_worker.docker.hold.touch()
    with one_worker.worker() as process:
        wait_until(one_worker.has_started)
        (seen,) = one_worker.bench.dispatcher.worker_list.workers()
        assert (seen.worker, seen.device) == ("host-1", "cpu")
        assert one_worker.job().worker == "host-1"
        one_worker.docker.hold.unlink()
        wait_until(one_worker.is_done)
        process.terminate()
        assert process.wait(WAIT_SECONDS) == 0
    assert one_worker.bench.dispatcher.worker_list.workers() == []
    assert list((one_worker.folder / "jobs").iterdir()) == [
        one_worker.bench.dispatcher.storage.job_folder(one_worker.job().job_id)
    ]


def test_cancelling_a_gateway_job_ends_its_container(one_worker: OneWorker) -> None:
    one_worker.docker.hold.touch()
    with one_worker.worker() as process:
        wait_until(one_worker.has_started)
        one_worker.bench.dispatcher.jobs.cancel(one_worker.job().job_id, "anna")
        assert process.wait(WAIT_SECONDS) == GAVE_UP
    assert [words[0] for words in one_worker.docker.calls()] == ["rm", "rm", "run", "rm"]
    one_worker.docker.hold.unlink()
    one_worker.bench.receive("1.3")
    one_worker.bench.tick()
    with one_worker.worker():
        wait_until(lambda: one_worker.bench.jobs("1.3")[0].state is JobState.SEGMENTED)
    assert one_worker.job().state is JobState.CANCELLED
    assert one_worker.runs() == 2


def test_a_worker_removes_its_own_container_and_not_that_of_another_worker(
    one_worker: OneWorker,
) -> None:
    one_worker.docker.hold.touch()
    with one_worker.worker() as first:
        wait_until(one_worker.has_started)
        job = one_worker.job()
        assert one_worker.bench.dispatcher.jobs.begin(job.job_id, job.run, "host-2") is not None
        assert first.wait(WAIT_SECONDS) == GAVE_UP
    one_worker.docker.hold.unlink()
    begun, removed = one_worker.docker.calls()[-2:]
    name = container_name("host-1", one_worker.folder)
    assert begun[:4] == ["run", "--rm", "--name", name]
    assert removed == ["rm", "--force", name]


def test_a_gateway_worker_that_is_told_to_stop_returns_its_job_to_the_queue(
    one_worker: OneWorker,
) -> None:
    one_worker.docker.hold.touch()
    with one_worker.worker() as process:
        wait_until(one_worker.has_started)
        process.terminate()
        assert process.wait(WAIT_SECONDS) == GAVE_UP
    job = one_worker.job()
    assert (job.state, job.reason) == (JobState.QUEUED, "the gateway was stopped")
    assert (job.attempts, job.run, job.not_before) == (0, 2, 0.0)
    one_worker.docker.hold.unlink()
    one_worker.bench.tick()
    with one_worker.worker():
        wait_until(one_worker.is_done)
    assert one_worker.job().attempts == 1


def test_a_worker_that_was_taken_for_lost_leaves_its_job_to_another_worker(
    one_worker: OneWorker,
) -> None:
    one_worker.docker.hold.touch()
    with one_worker.worker() as process:
        wait_until(one_worker.has_started)
        job = one_worker.job()
        assert one_worker.bench.dispatcher.jobs.begin(job.job_id, job.run, "host-2") is not None
        assert process.wait(WAIT_SECONDS) == GAVE_UP
    job = one_worker.job()
    assert (job.state, job.worker, job.attempts) == (JobState.RUNNING, "host-2", 2)


def test_a_worker_goes_on_after_an_entry_of_a_cancelled_job(one_worker: OneWorker) -> None:
    """An entry comes again for a job that another worker has, or nobody wants: others go on."""
    job = one_worker.job()
    one_worker.bench.dispatcher.jobs.cancel(job.job_id, "anna")
    one_worker.bench.receive("1.3")
    one_worker.bench.tick()
    with one_worker.worker() as process:
        wait_until(lambda: one_worker.bench.jobs("1.3")[0].state is JobState.SEGMENTED)
        assert process.poll() is None
    assert one_worker.runs() == 1


@pytest.mark.parametrize(
    ("work", "words"),
    [
        ({"threads": 3}, ["--env OMP_NUM_THREADS=3"]),
        ({"devices": ["cpu"] * 1000}, ["--env OMP_NUM_THREADS=1"]),
        ({}, []),
    ],
)
def test_a_worker_runs_the_application_with_its_share_of_the_processors(
    one_worker: OneWorker, monkeypatch: pytest.MonkeyPatch, work: dict[str, Any], words: list[str]
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with one_worker.worker(**work):
        wait_until(one_worker.is_done, "done")
    (run,) = [" ".join(words) for words in one_worker.docker.calls() if words[0] == "run"]
    assert [word for word in words if word in run] == words
    assert ("OMP_NUM_THREADS" in run) == bool(words)
