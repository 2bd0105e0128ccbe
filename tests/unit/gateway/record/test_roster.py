import time

import pytest
from sqlalchemy import update

from gateway.record.database import Database
from gateway.record.roster import Roster
from gateway.record.schema import WORKERS


@pytest.fixture
def roster(database: Database) -> Roster:
    return Roster(database)


def test_a_worker_is_seen_until_it_leaves(roster: Roster) -> None:
    before = time.time()
    roster.see("host-2", "cpu", None)
    roster.see("host-1", "cuda:1", "a" * 64)
    first, second = roster.workers()
    assert (first.worker, first.device, first.job_id) == ("host-1", "cuda:1", "a" * 64)
    assert (second.worker, second.device, second.job_id) == ("host-2", "cpu", None)
    assert before <= second.seen_at <= first.seen_at <= time.time()
    roster.see("host-1", "cuda:0", None)
    (again, _) = roster.workers()
    assert (again.device, again.job_id) == ("cuda:0", None)
    assert again.seen_at >= first.seen_at
    roster.leave("host-1")
    roster.leave("host-9")
    assert [one.worker for one in roster.workers()] == ["host-2"]


def test_a_worker_that_is_silent_is_lost_until_it_is_seen_again(
    roster: Roster, database: Database
) -> None:
    roster.see("host-1", "cpu", None)
    roster.see("host-2", "cpu", None)
    with database.transaction() as connection:
        connection.execute(
            update(WORKERS).where(WORKERS.c.worker == "host-1").values(seen_at=time.time() - 31)
        )
    assert roster.lost(30.0) == {"host-1"}
    assert roster.lost(60.0) == set()
    roster.see("host-1", "cpu", None)
    assert roster.lost(30.0) == set()


def test_a_pause_is_on_record(roster: Roster, database: Database) -> None:
    assert not roster.is_paused()
    for is_paused in (True, True, False, False, True):
        roster.pause("anna", is_paused=is_paused)
        assert Roster(database).is_paused() is is_paused
