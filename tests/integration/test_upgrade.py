"""A gateway of version 0.1.0 that was killed with jobs in its queue is started by this version."""

from pathlib import Path
from zipfile import ZipFile

from gateway.record.history import history
from gateway.record.job import JobState
from tests.conftest import DEMO_MODELS, REPOSITORY
from tests.service import running_service

OLD_STORE = REPOSITORY / "tests" / "store-0.1.0.zip"


def test_jobs_that_version_0_1_0_queued_are_run_once(tmp_path: Path) -> None:
    with ZipFile(OLD_STORE) as store:
        store.extractall(tmp_path / "storage")
    with running_service(tmp_path, work={"models_folder": str(DEMO_MODELS)}) as service:
        jobs = service.jobs.jobs(list(JobState))
        assert len(jobs) == 3
        for job in jobs:
            done = service.wait_for(job, JobState.SEGMENTED)
            events = [
                str(event.what) for event in history(service.database, job.study_instance_uid)
            ]
            assert events.count("started") == done.attempts
            assert events.count("segmented") == 1
            assert done.attempts == (2 if job.worker else 1) or job.ended_at is not None
