"""A gateway whose worker starts the image for each study (`work.runner: container`)."""

from pathlib import Path

import pytest
from pydicom.uid import SegmentationStorage

from gateway.store.job import Job, JobState
from gateway.work.application_runner import container_name
from tests.acceptance.docker_engine import DockerEngine
from tests.archive import Archive, running_archive
from tests.integration.test_worker_kills import send_study
from tests.service import Service, running_service
from tests.waiting import wait_until

# The container gets nothing of the worker's environment.
DELIVER_ALL = {"quality": {"rejected": "deliver"}}


def segs_of(archive: Archive, service: Service, job: Job) -> list[str]:
    results = {result.sop_instance_uid for result in service.jobs.results(job.job_id)}
    return [uid for uid in archive.of_class(SegmentationStorage) if uid in results]


def worker_of(service: Service, job: Job) -> str:
    """Returns the worker of a job after its start."""
    running = service.wait_for(job, JobState.RUNNING)
    assert running.worker
    return running.worker


def test_a_gateway_with_containers_survives_killed_workers_and_containers(
    engine: DockerEngine, own_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in engine.environment.items():
        monkeypatch.setenv(name, value)
    with (
        running_archive() as archive,
        running_service(
            tmp_path,
            work={"runner": "container", "container": {"image": own_image}},
            rules=[{"name": "ct", "destinations": ["archive"], "application": DELIVER_ALL}],
            destinations=[{"name": "archive", "dicom": archive.destination}],
        ) as service,
    ):
        first = send_study(service, tmp_path / "first", 1)
        service.wait_until_delivered(first)
        assert len(segs_of(archive, service, first)) == 1
        second = send_study(service, tmp_path / "second", 2)
        name = container_name(worker_of(service, second), service.settings.storage_folder)

        def is_there() -> bool:
            return bool(engine.docker("ps", "--all", "--quiet", "--filter", f"name={name}"))

        wait_until(is_there, "a container that runs")
        service.kill("work")
        service.wait_until_delivered(second)
        assert len(segs_of(archive, service, second)) == 1
        again = service.jobs.job(second.job_id)
        assert again
        assert again.attempts == 2
        wait_until(lambda: not is_there(), "without its container")
