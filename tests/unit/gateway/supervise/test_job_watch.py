"""Tests what happens to jobs of workers that the supervisor ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.config import GatewaySettings, WorkSection
from gateway.store.job import Job, JobState
from gateway.supervise.job_watch import JobWatch
from gateway.supervise.supervised_process import Loss
from tests.unit.gateway.web.filling import Filled, open_filled
from tests.waiting import WAIT_SECONDS, wait_until

WORKER = "box-1"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Filled]:
    filled = open_filled(GatewaySettings(storage_folder=tmp_path / "storage"))
    with filled.database:
        yield filled


def begun(gateway: Filled, attempts: int = 1, worker: str = WORKER) -> str:
    """Returns the id of a job that a worker has begun so often."""
    job_id = gateway.open_job("1.2")
    for _ in range(attempts):
        gateway.begin(job_id, worker)
    return job_id


def settled(gateway: Filled, job_id: str, loss: Loss) -> Job:
    """Returns the job after its worker was ended."""
    watch = JobWatch(gateway.database, WorkSection(attempts=3), [WORKER])
    with watch.looking():
        assert watch.settle(WORKER, loss).wait(WAIT_SECONDS)
    job = gateway.jobs.job(job_id)
    assert job is not None
    return job


def test_a_job_whose_worker_was_stopped_by_a_signal_loses_no_attempt(gateway: Filled) -> None:
    loss = Loss(reason="its worker was stopped by a signal", is_attempt=False)
    job = settled(gateway, begun(gateway), loss)
    assert (job.state, job.attempts, job.reason) == (JobState.QUEUED, 0, loss.reason)


@pytest.mark.parametrize(
    ("attempts", "state", "reason"),
    [
        (1, JobState.QUEUED, "its worker hung"),
        (3, JobState.DEAD, "begun 3 times without success: its worker hung"),
    ],
)
def test_a_job_that_hangs_its_worker_is_dead_after_its_attempts(
    gateway: Filled, attempts: int, state: JobState, reason: str
) -> None:
    job = settled(gateway, begun(gateway, attempts), Loss(reason="its worker hung"))
    assert (job.state, job.attempts, job.reason) == (state, attempts, reason)


def test_the_supervisor_does_not_change_a_job_of_a_worker_on_another_machine(
    gateway: Filled,
) -> None:
    job = settled(gateway, begun(gateway, worker="box-2"), Loss(reason="its worker hung"))
    assert (job.state, job.worker) == (JobState.RUNNING, "box-2")


def test_a_job_that_takes_too_long_is_overdue_until_it_is_dead(gateway: Filled) -> None:
    job_id = begun(gateway)
    watch = JobWatch(gateway.database, WorkSection(time_out_minutes=0.001), [WORKER])
    with watch.looking():
        wait_until(lambda: WORKER in watch.overdue)
        loss = watch.overdue[WORKER]
        assert watch.settle(WORKER, loss).wait(WAIT_SECONDS)
        assert not watch.overdue
    job = gateway.jobs.job(job_id)
    assert job is not None
    assert (job.state, job.reason) == (JobState.DEAD, "it took longer than 0.001 minutes")


def drain_state(watch: JobWatch) -> tuple[bool, bool]:
    with watch.looking():
        return watch.is_draining, watch.is_drained


def test_a_drain_ends_the_gateway_when_its_work_is_done(gateway: Filled) -> None:
    job_id = gateway.open_job("1.2")
    watch = JobWatch(gateway.database, WorkSection(), [WORKER])
    gateway.worker_list.drain("anna")
    assert drain_state(watch) == (True, False)
    gateway.jobs.cancel(job_id, "anna")
    assert drain_state(watch) == (True, True)


def test_a_gateway_that_was_drained_before_its_start_stays_up_until_it_is_resumed(
    gateway: Filled,
) -> None:
    gateway.worker_list.drain("anna")
    watch = JobWatch(gateway.database, WorkSection(), [WORKER])
    with capture_logs() as events:
        assert drain_state(watch) == (True, False)
        assert drain_state(watch) == (True, False)
        gateway.worker_list.pause("anna", is_paused=False)
        assert drain_state(watch) == (False, False)
        gateway.worker_list.drain("anna")
        assert drain_state(watch) == (True, True)
    assert [event["event"] for event in events] == [
        *("gateway_is_drained", "gateway_resumed", "gateway_is_draining")
    ]


def test_a_drain_of_the_gateway_that_a_crash_interrupted_goes_on_at_the_next_start(
    gateway: Filled,
) -> None:
    job_id = gateway.open_job("1.2")
    gateway.worker_list.drain("anna")
    watch = JobWatch(gateway.database, WorkSection(), [WORKER])
    assert drain_state(watch) == (True, False)
    gateway.jobs.cancel(job_id, "anna")
    assert drain_state(watch) == (True, True)
