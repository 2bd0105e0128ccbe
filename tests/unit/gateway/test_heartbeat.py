"""Tests heartbeats in shared memory, and clocks that do not count pauses."""

from dataclasses import dataclass
from threading import Event, Thread

import pytest
from structlog.testing import capture_logs

from gateway.heartbeat import Heartbeat, HeartbeatTable, ProcessState, Silence, UnpausedClock
from gateway.lost_worker_detection import LostWorkers
from gateway.store.workers import LOST_SECONDS, Worker
from tests.waiting import WAIT_SECONDS, wait_until


@dataclass
class SetClock:
    """A monotonic clock that a test moves."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_pause_of_the_machine_does_not_count_as_silence_of_a_gateway_process() -> None:
    moment, silence = SetClock(), Silence()
    clock = UnpausedClock(1.0, moment)
    assert silence.seconds(7, clock.now()) == 0.0
    for _ in range(20):
        moment.seconds += 0.5
        clock.now()
    assert silence.seconds(7, clock.now()) == pytest.approx(10.0)
    moment.seconds += 120.0
    assert silence.seconds(7, clock.now()) == pytest.approx(11.0)
    assert silence.seconds(8, clock.now()) == 0.0


def test_a_hanging_loop_of_a_gateway_process_is_reported_with_its_line_of_code() -> None:
    table = HeartbeatTable.create(["supervisor", "receive"])
    heartbeat = Heartbeat(table, 1, patience_seconds=0.5)
    hold, turns = Event(), Event()

    def turn() -> None:
        with heartbeat.loop("a loop") as turned:
            turned()
            turns.set()
            hold.wait(WAIT_SECONDS)

    with capture_logs() as events, heartbeat.beating():
        wait_until(lambda: table.beats(1) > 0)
        assert table.state(1) is ProcessState.STARTING
        thread = Thread(target=turn)
        thread.start()
        turns.wait(WAIT_SECONDS)
        wait_until(lambda: table.state(1) is ProcessState.HANGING)
        hold.set()
        thread.join()
        wait_until(lambda: table.state(1) is ProcessState.RUNNING)
    (event,) = [event for event in events if event["event"] == "loop_hangs"]
    assert event["loop"] == "a loop"
    assert event["place"].startswith("threading.py:")
    assert table.beats(0) == 0
    assert table.names == ("supervisor", "receive")


def test_workers_are_lost_after_silence_whatever_their_clocks_say() -> None:
    def seen(moment: float) -> list[Worker]:
        return [Worker(worker="box-1", device="cpu", seen_at=moment, job_id=None)]

    moment = SetClock()
    lost = LostWorkers(UnpausedClock(15.0, moment))
    assert lost.among(seen(5.0)) == set(), "its clock is decades behind"
    moment.seconds += 120.0
    assert lost.among(seen(5.0)) == set(), "the machine was paused"
    for _ in range(int(LOST_SECONDS / 10)):
        moment.seconds += 10.0
        found = lost.among(seen(5.0))
    assert found == {"box-1"}
    assert lost.among(seen(4.0)) == set(), "it has been seen again, by a clock that was set back"
