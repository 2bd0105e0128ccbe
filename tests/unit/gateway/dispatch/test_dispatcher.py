"""Tests the dispatcher with a real queue, also after interruptions at any step."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from gateway.config import GatewaySettings, RuleSection
from gateway.conflict_detection import ConflictDetector
from gateway.dispatch.completeness import QuietTimes
from gateway.dispatch.dispatcher import (
    CRASHED_WAIT_SECONDS,
    CRASHES_ALLOWED,
    CRASHES_FILE,
    CrashingStudies,
    Dispatcher,
)
from gateway.dispatch.source_query import ExpectedCounts
from gateway.heartbeat import UnpausedClock
from gateway.job_queue import DELIVER, QUEUE_FILE, SEGMENT, Handlers, running_queue
from gateway.lost_worker_detection import LostWorkers
from gateway.store.conflicts import ConflictList
from gateway.store.database import Database, open_database
from gateway.store.deliveries import DeliveryList
from gateway.store.events import EventKind, history
from gateway.store.file_storage import Storage
from gateway.store.job import Job, JobState
from gateway.store.jobs import JobList
from gateway.store.ledger import EndedTransfer, KeptInstance, Ledger
from gateway.store.schema import JOBS
from gateway.store.workers import LOST_SECONDS, WorkerList
from tests.clocks import HandSetClock
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.instances import ONE
from tests.unit.gateway.queue_process import lines, running_process
from tests.unit.gateway.store.test_jobs import SEG
from tests.unit.gateway.test_heartbeat import SetClock
from tests.unit.gateway.test_job_queue import DELIVERY, PAUSE_SECONDS
from tests.waiting import wait_until
from totalmap.errors import ResourceError

LONG_AGO = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchBench:
    """A dispatcher and the studies of a test."""

    dispatcher: Dispatcher
    database: Database
    file: Path
    clock: HandSetClock

    def tick(self) -> None:
        """Looks at what has come, and again when it has been quiet for long enough."""
        self.dispatcher.tick()
        self.clock.advance(self.dispatcher.settings.complete.quiet_seconds)
        self.dispatcher.tick()

    def receive(self, study: str, number: int = 1, *, is_over: bool = True) -> KeptInstance:
        """Puts an instance into storage and ledger; its transfer ended at once, or goes on."""
        one = replace(
            ONE,
            study_instance_uid=study,
            sop_instance_uid=f"{study}.{number}",
            sha256=f"{number:064x}",
            transfer=f"{study}.{number}",
            received_at=LONG_AGO,
        )
        path = self.dispatcher.storage.path(one)
        path.parent.mkdir(exist_ok=True)
        path.hardlink_to(self.file)
        self.dispatcher.ledger.add([one])
        if is_over:
            ended = EndedTransfer(transfer=one.transfer, ended_at=LONG_AGO, is_whole=True)
            self.dispatcher.ledger.end_transfer(ended)
        return one

    def jobs(self, study: str) -> Sequence[Job]:
        return self.dispatcher.jobs.of_study(study)

    def is_known(self, job: Job) -> bool:
        return self.dispatcher.queue.knows_jobs([job]) == [True]

    def told(self, study: str) -> list[EventKind]:
        return [event.kind for event in history(self.database, study)]


@contextmanager
def dispatching(folder: Path, file: Path) -> Iterator[DispatchBench]:
    rule = RuleSection(destinations=("sender",))
    settings = GatewaySettings(storage_folder=folder, rules=(rule,))
    with (
        open_database(settings) as database,
        running_queue(settings, "dispatcher", Handlers()) as queue,
    ):
        storage, ledger, clock = Storage(folder), Ledger(database), HandSetClock()
        dispatcher = Dispatcher(
            settings=settings,
            storage=storage,
            ledger=ledger,
            jobs=JobList(database),
            deliveries=DeliveryList(database),
            worker_list=WorkerList(database),
            queue=queue,
            expected_counts=ExpectedCounts(None, 1.0),
            conflict_detector=ConflictDetector(ledger, ConflictList(database), storage),
            quiet_times=QuietTimes(clock),
        )
        yield DispatchBench(dispatcher=dispatcher, database=database, file=file, clock=clock)


@pytest.fixture
def file(phantom_series: WrittenSeries, tmp_path: Path) -> Path:
    """A slice on the file system of the storage."""
    copy = tmp_path / "slice.dcm"
    copy.write_bytes(phantom_series.paths[0].read_bytes())
    return copy


@pytest.fixture
def bench(tmp_path: Path, file: Path) -> Iterator[DispatchBench]:
    with dispatching(tmp_path, file) as one:
        yield one


def test_the_dispatcher_makes_one_queued_job_for_a_complete_study(bench: DispatchBench) -> None:
    bench.receive("1.2")
    bench.receive("1.3", is_over=False)
    for _ in range(2):
        bench.tick()
    (job,) = bench.jobs("1.2")
    assert bench.is_known(job)
    assert (job.state, job.run) == (JobState.QUEUED, 1)
    assert bench.dispatcher.jobs.unfinished() == [job]
    assert bench.jobs("1.3") == [], "more of it may come"
    assert bench.told("1.2") == [EventKind.RECEIVED, EventKind.COMPLETE, EventKind.QUEUED]


def test_the_dispatcher_supersedes_the_job_of_a_study_that_grows_by_a_new_job(
    bench: DispatchBench,
) -> None:
    bench.receive("1.2", 1)
    bench.tick()
    bench.receive("1.2", 2)
    bench.tick()
    old, new = bench.jobs("1.2")
    assert (old.state, new.state) == (JobState.SUPERSEDED, JobState.QUEUED)
    assert (old.n_images, new.n_images) == (1, 2)
    assert bench.is_known(new)


def test_the_dispatcher_records_a_study_that_no_rule_matches_as_not_wanted_once(
    bench: DispatchBench,
) -> None:
    bench.receive("1.2")
    settings = GatewaySettings(rules=(RuleSection(modalities=("MR",)),))
    other = replace(bench.dispatcher, settings=settings)
    for _ in range(2):
        replace(bench, dispatcher=other).tick()
    assert bench.told("1.2") == [EventKind.RECEIVED, EventKind.COMPLETE, EventKind.NOT_WANTED]


def test_a_queued_job_that_is_not_recorded_as_queued_runs_once(
    bench: DispatchBench, tmp_path: Path
) -> None:
    bench.receive("1.2")
    bench.tick()
    (job,) = bench.jobs("1.2")
    with bench.database.transaction() as connection:
        connection.execute(update(JOBS).values(is_enqueued=False))
    bench.tick()
    assert bench.dispatcher.jobs.unqueued() == []
    bench.receive("1.3")
    bench.tick()
    with running_process(tmp_path, "host-1", SEGMENT):
        wait_until(lambda: len(lines(tmp_path, "done")) == 2)
    assert lines(tmp_path, "begun")[0] == f"{job.job_id} 1 host-1"


def test_the_dispatcher_queues_results_for_their_destinations(bench: DispatchBench) -> None:
    bench.receive("1.2")
    bench.tick()
    (job,) = bench.jobs("1.2")
    bench.dispatcher.jobs.succeed(job.job_id, [SEG])
    bench.tick()
    (delivery,) = bench.dispatcher.deliveries.unfinished()
    assert bench.dispatcher.queue.knows_deliveries([delivery]) == [True]


def test_the_dispatcher_queues_jobs_and_deliveries_that_the_queue_has_lost_again(
    tmp_path: Path, file: Path
) -> None:
    with dispatching(tmp_path, file) as bench:
        for study in ("1.2", "1.3"):
            bench.receive(study)
        bench.tick()
        bench.dispatcher.sweep()
        (job,), (done,) = bench.jobs("1.2"), bench.jobs("1.3")
        assert job.run == 1, "the queue knows it"
        bench.dispatcher.jobs.succeed(done.job_id, [SEG])
        bench.tick()
    for path in tmp_path.glob(f"{QUEUE_FILE}*"):
        path.unlink()
    with dispatching(tmp_path, file) as bench:
        bench.tick()
        assert not bench.is_known(job)
        bench.dispatcher.sweep()
        bench.tick()
        (again,) = bench.jobs("1.2")
        assert again.run == 2
        assert bench.is_known(again)
        (delivery,) = bench.dispatcher.deliveries.unfinished()
        assert delivery.run == 2
        assert bench.dispatcher.queue.knows_deliveries([delivery]) == [True]
        (job,) = bench.jobs("1.3")
        assert job.state is JobState.SEGMENTED


def test_the_job_of_a_lost_worker_is_done_by_another_worker(
    bench: DispatchBench, tmp_path: Path
) -> None:
    bench.receive("1.2")
    bench.tick()
    (job,) = bench.jobs("1.2")
    held = tmp_path / f"hold-{job.job_id}"
    held.touch()
    worker_list = bench.dispatcher.worker_list
    with running_process(tmp_path, "host-1", SEGMENT) as process:
        wait_until(lambda: len(lines(tmp_path, "begun")) == 1)
        process.kill()
    held.unlink()
    moment = SetClock()
    lost_workers = LostWorkers(UnpausedClock(15.0, moment))
    dispatcher = replace(bench.dispatcher, lost_workers=lost_workers)
    with running_process(tmp_path, "host-2", SEGMENT):
        worker_list.see("host-1", "cpu", job.job_id)
        worker_list.see("host-2", "cpu", None)
        for _ in range(int(LOST_SECONDS / 10) + 1):
            dispatcher.sweep()
            assert bench.dispatcher.queue.executors() == {"host-1"}, "it may be slow"
            moment.seconds += 10.0
        dispatcher.sweep()
        wait_until(lambda: lines(tmp_path, "done") == [f"{job.job_id} 1 host-2"])
    (job,) = bench.jobs("1.2")
    assert job.run == 1, "the queue has never forgotten it"


def test_a_study_that_crashes_the_dispatcher_is_set_aside_and_others_go_on(
    bench: DispatchBench, tmp_path: Path
) -> None:
    bench.receive("1.2")
    bench.receive("1.3")
    for _ in range(CRASHES_ALLOWED):
        assert CrashingStudies(tmp_path).begin("1.2")  # and here the dispatcher is killed
    started_again = replace(bench.dispatcher, crashing_studies=CrashingStudies(tmp_path))
    with capture_logs() as events:
        replace(bench, dispatcher=started_again).tick()
    assert not bench.jobs("1.2")
    assert len(bench.jobs("1.3")) == 1
    assert [event["event"] for event in events].count("study_set_aside") == 1
    begun = json.loads((tmp_path / CRASHES_FILE).read_text())
    assert len(begun) == 1
    later = {key: [attempts, at - CRASHED_WAIT_SECONDS] for key, (attempts, at) in begun.items()}
    (tmp_path / CRASHES_FILE).write_text(json.dumps(later))
    started_again = replace(bench.dispatcher, crashing_studies=CrashingStudies(tmp_path))
    replace(bench, dispatcher=started_again).tick()
    assert len(bench.jobs("1.2")) == 1
    assert json.loads((tmp_path / CRASHES_FILE).read_text()) == {}


def test_a_broken_header_does_not_delay_the_dispatch_of_other_studies(bench: DispatchBench) -> None:
    broken = bench.receive("1.2")
    bench.receive("1.3")
    path = bench.dispatcher.storage.path(broken)
    path.unlink()
    path.write_bytes(b"no DICOM")
    bench.tick()
    assert bench.told("1.2") == [EventKind.RECEIVED, EventKind.COMPLETE, EventKind.NOT_WANTED]
    assert len(bench.jobs("1.3")) == 1


def test_a_missing_file_does_not_delay_the_dispatch_of_other_studies(bench: DispatchBench) -> None:
    away = bench.receive("1.2")
    bench.receive("1.3")
    path = bench.dispatcher.storage.path(away)
    path.unlink()
    bench.tick()
    (job,) = bench.jobs("1.3")
    assert bench.is_known(job)
    assert bench.told("1.2") == [EventKind.RECEIVED], "it is tried again"
    path.hardlink_to(bench.file)
    bench.tick()
    assert len(bench.jobs("1.2")) == 1


def test_a_pause_of_the_gateway_stops_the_queue_from_starting_jobs(
    bench: DispatchBench, tmp_path: Path
) -> None:
    bench.receive("1.2")
    bench.dispatcher.worker_list.pause("anna", is_paused=True)
    bench.tick()
    (job,) = bench.jobs("1.2")
    assert bench.is_known(job)
    with running_process(tmp_path, "host-1", SEGMENT, DELIVER):
        # When this is done, the job would have been begun long ago, were there no pause.
        later = replace(DELIVERY, not_before=time.time() + PAUSE_SECONDS)
        bench.dispatcher.queue.put_delivery(later)
        wait_until(lambda: lines(tmp_path, "done") == ["one pacs 1 host-1"])
        bench.dispatcher.worker_list.pause("anna", is_paused=False)
        bench.tick()
        wait_until(lambda: len(lines(tmp_path, "done")) == 2)


def test_the_dispatcher_goes_on_after_a_part_of_a_sweep_fails(bench: DispatchBench) -> None:
    stop = Event()
    acted: list[str] = []

    def fail() -> None:
        acted.append("failed")
        raise ResourceError("the disk is full")

    def end() -> None:
        acted.append("ended")
        stop.set()

    bench.receive("1.2")
    bench.dispatcher.tick()
    bench.clock.advance(LONG_AGO)
    bench.dispatcher.run(stop, [fail, end])
    assert acted == ["failed", "ended"]
    assert len(bench.jobs("1.2")) == 1
