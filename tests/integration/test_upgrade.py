"""Tests this version on the storage folder of version 0.1.0, with jobs in its queue."""

import stat
from pathlib import Path
from zipfile import ZipFile

from gateway.backup.restore import migrate
from gateway.config import GatewaySettings
from gateway.store.database import LEDGER_FILE, open_database
from gateway.store.events import history
from gateway.store.job import JobState
from gateway.store.jobs import JobList
from tests.conftest import REPOSITORY
from tests.postgres import running_postgres
from tests.service import FEW_RESULTS, running_service

OLD_STORE = REPOSITORY / "tests" / "store-0.1.0.zip"


def test_jobs_that_gateway_version_0_1_0_queued_are_run_once(
    quick_models: Path, tmp_path: Path
) -> None:
    with ZipFile(OLD_STORE) as store:
        store.extractall(tmp_path / "storage")
    with running_service(
        tmp_path, FEW_RESULTS, work={"models_folder": str(quick_models)}
    ) as service:
        jobs = service.jobs.jobs(list(JobState))
        assert len(jobs) == 3
        for job in jobs:
            done = service.wait_for(job, JobState.SEGMENTED)
            events = [
                str(event.kind) for event in history(service.database, job.study_instance_uid)
            ]
            assert events.count("started") == done.attempts
            assert events.count("segmented") == 1
            assert done.attempts == (2 if job.worker else 1) or job.ended_at is not None
        # Folders of version 0.1.0 were open to all users.
        storage = service.settings.storage_folder
        written = [
            path
            for job in jobs
            if not job.ended_at
            for path in (storage / "jobs" / job.job_id).rglob("*")
        ]
        assert written
        assert [path for path in (storage, *storage.iterdir(), *written) if is_open(path)] == []


def is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def test_a_gateway_ledger_that_is_migrated_to_postgres_segments_nothing_again(
    quick_models: Path, tmp_path: Path
) -> None:
    storage = tmp_path / "storage"
    with ZipFile(OLD_STORE) as store:
        store.extractall(storage)
    with open_database(GatewaySettings(storage_folder=storage)) as database:
        before = {job.job_id: job for job in JobList(database).jobs(list(JobState))}
    with running_postgres() as url:
        migrate(GatewaySettings(storage_folder=storage, ledger_url=url))
        with running_service(
            tmp_path, FEW_RESULTS, ledger_url=url, work={"models_folder": str(quick_models)}
        ) as service:
            for job in before.values():
                after = service.wait_for(job, JobState.SEGMENTED)
                if job.state is JobState.SEGMENTED:
                    assert after == job
            assert len(service.jobs.jobs(list(JobState))) == len(before)
    assert not (storage / LEDGER_FILE).exists()
