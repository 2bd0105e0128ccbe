"""Tests the queue (DBOS on SQLite) with real processes that are killed."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.config import GatewaySettings
from gateway.job_queue import (
    DELIVER,
    QUEUE_FILE,
    QUEUE_VERSION,
    SEGMENT,
    Handlers,
    JobQueue,
    running_queue,
    set_aside_damaged_queue,
)
from gateway.store.deliveries import Delivery, DeliveryState
from gateway.store.job import Job, JobState
from tests.unit.gateway.queue_process import lines, running_process
from tests.unit.gateway.store.test_jobs import NEW
from tests.waiting import NEVER_SECONDS, WAIT_SECONDS, wait_until
from totalmap.errors import ResourceError

JOB = Job(
    **{name: getattr(NEW, name) for name in NEW.__dataclass_fields__ if name != "job_id"},
    job_id="one",
    state=JobState.QUEUED,
    reason=None,
    attempts=0,
    run=1,
    not_before=0.0,
    created_at=0.0,
    started_at=None,
    ended_at=None,
    worker=None,
    stage=None,
    tiles_done=None,
    tiles=None,
)
NO_DELIVERY: dict[str, Any] = dict.fromkeys(Delivery.__dataclass_fields__)
DELIVERY = Delivery(
    **NO_DELIVERY
    | {
        "job_id": "one",
        "destination": "pacs",
        "state": DeliveryState.WAITING,
        "run": 1,
        "not_before": 0.0,
    }
)
# How long it may take until a worker notices a pause.
PAUSE_SECONDS = 1.0
QUEUED = int(os.environ.get("QUEUED", "15"))  # also tried with 100


@pytest.fixture
def settings(tmp_path: Path) -> GatewaySettings:
    return GatewaySettings(storage_folder=tmp_path)


@pytest.fixture
def queue(settings: GatewaySettings) -> Iterator[JobQueue]:
    """The queue as the dispatcher sees it; it runs no entries."""
    with running_queue(settings, "dispatcher", Handlers()) as seen:
        yield seen


def job(name: str, *, is_urgent: bool = False, not_before: float = 0.0, run: int = 1) -> Job:
    return replace(JOB, job_id=name, is_urgent=is_urgent, not_before=not_before, run=run)


def hold(folder: Path, name: str) -> Path:
    path = folder / f"hold-{name}"
    path.touch()
    return path


def has_begun(folder: Path, expected: list[str]) -> bool:
    return lines(folder, "begun") == expected


def test_the_queue_does_each_job_once_and_urgent_jobs_first(
    queue: JobQueue, tmp_path: Path
) -> None:
    for item in (job("a"), job("b"), job("a"), job("u", is_urgent=True), job("c"), job("a", run=2)):
        queue.put_job(item)
    assert queue.knows_jobs([job("a"), job("b"), job("x"), job("b", run=2)]) == [
        True,
        True,
        False,
        False,
    ]
    with running_process(tmp_path, "host-1", SEGMENT):
        wait_until(lambda: len(lines(tmp_path, "done")) == 5)
        queue.put_job(job("a"))
        queue.put_job(job("last"))
        wait_until(lambda: len(lines(tmp_path, "done")) == 6)
        wait_until(lambda: queue.knows_jobs([job("a"), job("last")]) == [False, False])
    begun = [line.rsplit(maxsplit=1)[0] for line in lines(tmp_path, "begun")]
    assert begun == ["u 1", "a 1", "b 1", "c 1", "a 2", "last 1"]
    assert queue.knows_jobs([]) == []


def test_an_urgent_job_starts_before_200_that_wait_in_the_queue(
    queue: JobQueue, tmp_path: Path
) -> None:
    held = hold(tmp_path, "running")
    queue.put_job(job("running"))
    with running_process(tmp_path, "host-1", SEGMENT):
        wait_until(partial(has_begun, tmp_path, ["running 1 host-1"]))
        waiting = [job(f"{n:03}") for n in range(200)]
        for routine in waiting:
            queue.put_job(routine)
        queue.put_job(job("urgent", is_urgent=True))
        assert all(queue.knows_jobs(waiting))
        held.unlink()
        wait_until(lambda: len(lines(tmp_path, "begun")) > 1)
    assert lines(tmp_path, "begun")[1] == "urgent 1 host-1"


def test_a_worker_does_one_job_of_the_queue_at_a_time(queue: JobQueue, tmp_path: Path) -> None:
    held = hold(tmp_path, "a")
    for name in "ab":
        queue.put_job(job(name))
    with running_process(tmp_path, "host-1", SEGMENT):
        wait_until(lambda: len(lines(tmp_path, "begun")) == 1)
        with running_process(tmp_path, "host-2", SEGMENT):
            wait_until(lambda: lines(tmp_path, "done") == ["b 1 host-2"])
        assert lines(tmp_path, "begun") == ["a 1 host-1", "b 1 host-2"]
        held.unlink()
        wait_until(lambda: len(lines(tmp_path, "done")) == 2)


def test_the_job_of_a_killed_worker_begins_again_when_the_worker_restarts(
    queue: JobQueue, tmp_path: Path
) -> None:
    held = hold(tmp_path, "a")
    queue.put_job(job("a"))
    for n in range(1, 3):
        with running_process(tmp_path, "host-1", SEGMENT) as process:
            wait_until(partial(has_begun, tmp_path, ["a 1 host-1"] * n))
            assert queue.executors() == {"host-1"}
            process.kill()
            process.wait()
        assert queue.knows_jobs([job("a")]) == [True]
    held.unlink()
    with running_process(tmp_path, "host-1", SEGMENT):
        wait_until(lambda: lines(tmp_path, "done") == ["a 1 host-1"])
        wait_until(lambda: queue.executors() == set())


def test_another_worker_takes_over_the_job_of_a_killed_worker(
    queue: JobQueue, tmp_path: Path
) -> None:
    held = hold(tmp_path, "a")
    queue.put_job(job("a"))
    with running_process(tmp_path, "host-1", SEGMENT) as process:
        wait_until(lambda: len(lines(tmp_path, "begun")) == 1)
        process.kill()
        process.wait()
    held.unlink()
    with running_process(tmp_path, "host-2", SEGMENT):
        queue.put_job(job("b"))
        wait_until(lambda: lines(tmp_path, "done") == ["b 1 host-2"])
        queue.take_over([])
        wait_until(lambda: queue.executors() == {"host-1"})
        queue.take_over(["host-1", "host-9"])
        queue.take_over(["host-1"])
        wait_until(lambda: lines(tmp_path, "done") == ["b 1 host-2", "a 1 host-2"])
    with running_process(tmp_path, "host-1", SEGMENT):
        queue.put_job(job("c"))
        wait_until(lambda: len(lines(tmp_path, "done")) == 3)
    assert lines(tmp_path, "begun")[1:] == ["b 1 host-2", "a 1 host-2", "c 1 host-1"]


def test_a_worker_that_is_told_to_stop_leaves_waiting_jobs_in_the_queue(
    queue: JobQueue, tmp_path: Path
) -> None:
    for n in range(3):
        queue.put_job(job(str(n)))
    held = hold(tmp_path, "0")
    with running_process(tmp_path, "host-1", SEGMENT) as process:
        wait_until(lambda: len(lines(tmp_path, "begun")) == 1)
        process.terminate()
        held.unlink()
        assert process.wait(WAIT_SECONDS) == 0
    assert lines(tmp_path, "begun") == lines(tmp_path, "done") == ["0 1 host-1"]
    assert queue.knows_jobs([job("1"), job("2")]) == [True, True]


def test_queued_jobs_run_after_an_upgrade(settings: GatewaySettings, tmp_path: Path) -> None:
    """Any later release runs the entries, as long as it reads the same QUEUE_VERSION."""
    with running_queue(settings, "dispatcher", Handlers()) as queue:
        for n in range(QUEUED):
            queue.put_job(job(f"{n:03}"))
    with running_process(tmp_path, "host-1", SEGMENT):
        wait_until(lambda: len(lines(tmp_path, "done")) >= QUEUED)
    assert lines(tmp_path, "begun") == [f"{n:03} 1 host-1" for n in range(QUEUED)]
    assert QUEUE_VERSION == "1", "entries of another version are never begun: move them"


def test_a_postponed_job_does_not_start_before_its_time(queue: JobQueue, tmp_path: Path) -> None:
    never, soon = time.time() + NEVER_SECONDS, time.time() + 2.0
    queue.put_job(job("never", not_before=never))
    queue.put_job(job("soon", not_before=soon))
    queue.put_job(job("past", not_before=time.time() - 60))
    with running_process(tmp_path, "host-1", SEGMENT):
        wait_until(lambda: len(lines(tmp_path, "done")) == 2)
    assert time.time() >= soon
    assert set(lines(tmp_path, "done")) == {"soon 1 host-1", "past 1 host-1"}
    assert queue.knows_jobs([job("never", not_before=never)]) == [True]


def test_no_destination_waits_for_another_one_in_the_delivery_queue(
    queue: JobQueue, tmp_path: Path
) -> None:
    held = hold(tmp_path, "dead")
    never = time.time() + NEVER_SECONDS
    later = replace(DELIVERY, job_id="later", not_before=never)
    queue.put_delivery(later)
    for n in range(4):
        for where in ("dead", "pacs"):
            queue.put_delivery(replace(DELIVERY, job_id=str(n), destination=where))
    with running_process(tmp_path, "dispatcher-2", DELIVER):
        wait_until(lambda: len(lines(tmp_path, "done")) == 4)
        assert {line.split()[1] for line in lines(tmp_path, "done")} == {"pacs"}
        at_once = GatewaySettings().deliver.at_once
        wait_until(lambda: n_begun(tmp_path, "dead") == at_once, "as many begun as may be")
        soon = time.time() + 1.0
        queue.put_delivery(replace(DELIVERY, job_id="soon", not_before=soon))
        wait_until(lambda: len(lines(tmp_path, "done")) == 5)
        assert time.time() >= soon
        assert n_begun(tmp_path, "dead") == at_once
        waiting = [later, replace(DELIVERY, job_id="3", destination="dead")]
        assert queue.knows_deliveries(waiting) == [True, True]
        held.unlink()
        wait_until(lambda: len(lines(tmp_path, "done")) == 9)
    assert len(set(lines(tmp_path, "begun"))) == len(lines(tmp_path, "begun")) == 9


def n_begun(folder: Path, destination: str) -> int:
    return sum(f" {destination} " in line for line in lines(folder, "begun"))


def test_the_delivery_that_a_killed_process_took_from_the_queue_is_begun_again(
    queue: JobQueue, tmp_path: Path
) -> None:
    held = hold(tmp_path, "pacs")
    queue.put_delivery(DELIVERY)
    with running_process(tmp_path, "dispatcher-2", DELIVER) as process:
        wait_until(lambda: len(lines(tmp_path, "begun")) == 1)
        process.kill()
        process.wait()
    held.unlink()
    with running_process(tmp_path, "dispatcher-2", DELIVER):
        wait_until(lambda: lines(tmp_path, "done") == ["one pacs 1 dispatcher-2"])
        wait_until(lambda: queue.knows_deliveries([DELIVERY]) == [False])


def test_a_pause_of_the_queue_stops_new_jobs_and_not_deliveries(
    queue: JobQueue, tmp_path: Path
) -> None:
    """The pause also applies to a worker that is started meanwhile."""
    held = hold(tmp_path, "a")
    with running_process(tmp_path, "host-1", SEGMENT):
        queue.put_job(job("a"))
        wait_until(lambda: len(lines(tmp_path, "begun")) == 1)
        queue.pause(is_paused=True)
        queue.put_job(job("b"))
        with (
            running_process(tmp_path, "host-2", SEGMENT),
            running_process(tmp_path, "dispatcher-2", DELIVER),
        ):
            queue.put_delivery(replace(DELIVERY, not_before=time.time() + PAUSE_SECONDS))
            wait_until(lambda: len(lines(tmp_path, "done")) == 1)
            held.unlink()
            wait_until(lambda: len(lines(tmp_path, "done")) == 2)
            queue.put_delivery(replace(DELIVERY, run=2, not_before=time.time() + PAUSE_SECONDS))
            wait_until(lambda: len(lines(tmp_path, "done")) == 3)
        assert not any(line.startswith("b ") for line in lines(tmp_path, "begun"))
        assert queue.knows_jobs([job("b")]) == [True]
        queue.pause(is_paused=False)
        wait_until(lambda: "b 1 host-1" in lines(tmp_path, "done"))


def test_ended_entries_of_the_queue_are_deleted_after_some_time(
    queue: JobQueue, tmp_path: Path
) -> None:
    held = hold(tmp_path, "b")
    queue.put_job(job("a"))
    queue.put_job(job("b"))
    queue.put_job(job("c", not_before=time.time() + 3600))
    with running_process(tmp_path, "host-1", SEGMENT):
        wait_until(lambda: len(lines(tmp_path, "begun")) == 2)
        wait_until(lambda: queue.knows_jobs([job("a")]) == [False])
        assert queue.forget(3600) == 0
        assert queue.forget(-3600) == 1, "only what is over"
        assert queue.forget(-3600) == 0
        assert queue.knows_jobs([job("b"), job("c")]) == [True, True]
        held.unlink()
        wait_until(lambda: len(lines(tmp_path, "done")) == 2)


def test_a_job_whose_handler_fails_leaves_the_queue(settings: GatewaySettings) -> None:
    """The next sweep queues it again; and the next job begins."""
    done = []

    def segment(job_id: str, _run: int) -> None:
        if job_id == "a":
            raise ResourceError("the ledger does not answer")
        done.append(job_id)

    with running_queue(settings, "host-1", Handlers(segment=segment)) as queue:
        for name in "ab":
            queue.put_job(job(name))
        wait_until(lambda: done == ["b"])
        wait_until(lambda: queue.knows_jobs([job("a"), job("b")]) == [False, False])


def test_a_process_stopped_while_it_reads_the_queue_keeps_nobody_from_writing_to_it(
    queue: JobQueue, tmp_path: Path
) -> None:
    queue.put_job(job("a"))
    file = tmp_path / QUEUE_FILE
    with (
        closing(sqlite3.connect(file)) as reader,
        closing(sqlite3.connect(file, timeout=0)) as writer,
    ):
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM workflow_status").fetchone() == (1,)
        writer.execute("DELETE FROM workflow_status")
        writer.commit()
    assert queue.knows_jobs([job("a")]) == [False]


def test_a_damaged_queue_is_set_aside_and_a_new_one_is_made(
    settings: GatewaySettings, tmp_path: Path
) -> None:
    with running_queue(settings, "dispatcher", Handlers()) as queue:
        queue.put_job(job("a"))
    set_aside_damaged_queue(settings)
    with running_queue(settings, "dispatcher", Handlers()) as queue:
        assert queue.knows_jobs([job("a")]) == [True], "a sound queue stays"
    (tmp_path / QUEUE_FILE).write_bytes(b"no database" * 1000)
    set_aside_damaged_queue(settings)
    with running_queue(settings, "dispatcher", Handlers()) as queue:
        assert queue.knows_jobs([job("a")]) == [False]
    assert (tmp_path / f"{QUEUE_FILE}.damaged").exists()


def test_a_queue_file_that_is_no_database_is_an_error(
    settings: GatewaySettings, tmp_path: Path
) -> None:
    (tmp_path / QUEUE_FILE).write_bytes(b"no database" * 1000)
    with (
        pytest.raises(ResourceError, match="the queue does not answer"),
        running_queue(settings, "dispatcher", Handlers()),
    ):
        pass
