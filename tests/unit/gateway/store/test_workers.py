import time

import pytest
from sqlalchemy import update

from gateway.store.database import Database
from gateway.store.schema import WORKERS
from gateway.store.workers import WorkerList


@pytest.fixture
def worker_list(database: Database) -> WorkerList:
    return WorkerList(database)


def test_a_gateway_worker_is_listed_until_it_ends(worker_list: WorkerList) -> None:
    before = time.time()
    worker_list.see("host-2", "cpu", None)
    worker_list.see("host-1", "cuda:1", "a" * 64)
    first, second = worker_list.workers()
    assert (first.worker, first.device, first.job_id) == ("host-1", "cuda:1", "a" * 64)
    assert (second.worker, second.device, second.job_id) == ("host-2", "cpu", None)
    assert before <= second.seen_at <= first.seen_at <= time.time()
    worker_list.see("host-1", "cuda:0", None)
    (again, _) = worker_list.workers()
    assert (again.device, again.job_id) == ("cuda:0", None)
    assert again.seen_at >= first.seen_at
    worker_list.leave("host-1")
    worker_list.leave("host-9")
    assert [worker.worker for worker in worker_list.workers()] == ["host-2"]


def test_a_silent_gateway_worker_is_lost_until_it_reports_again(
    worker_list: WorkerList, database: Database
) -> None:
    worker_list.see("host-1", "cpu", None)
    worker_list.see("host-2", "cpu", None)
    with database.transaction() as connection:
        connection.execute(
            update(WORKERS).where(WORKERS.c.worker == "host-1").values(seen_at=time.time() - 31)
        )
    assert worker_list.lost(30.0) == {"host-1"}
    assert worker_list.lost(60.0) == set()
    worker_list.see("host-1", "cpu", None)
    assert worker_list.lost(30.0) == set()


def test_a_pause_of_the_gateway_is_stored_for_all_processes(
    worker_list: WorkerList, database: Database
) -> None:
    assert not worker_list.is_paused()
    for is_paused in (True, True, False, False, True):
        worker_list.pause("anna", is_paused=is_paused)
        assert WorkerList(database).is_paused() is is_paused
