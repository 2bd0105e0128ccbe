import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.store.database import Database
from gateway.store.deliveries import Delivery, DeliveryList, DeliveryState
from gateway.store.events import EventKind, ObjectKind, history
from gateway.store.jobs import JobList
from tests.unit.gateway.store.test_jobs import NEW, SEG, STUDY

JOB_ID = NEW.job_id


def segmented(database: Database, *job_ids: str) -> DeliveryList:
    """Returns the deliveries of jobs that are done, to `pacs` and `archive`."""
    jobs = JobList(database)
    for job_id in job_ids or (JOB_ID,):
        jobs.open(STUDY, [replace(NEW, job_id=job_id, rule=job_id[-8:])], "")
        jobs.begin(job_id, 1, "host-1")
        jobs.succeed(job_id, [SEG])
    return DeliveryList(database)


@pytest.fixture
def deliveries(database: Database) -> DeliveryList:
    return segmented(database)


def stand(deliveries: DeliveryList, destination: str = "pacs") -> Delivery:
    found = deliveries.delivery(JOB_ID, destination)
    assert found is not None
    return found


def told(database: Database) -> list[tuple[EventKind, str | None, str | None]]:
    events = history(database, STUDY.study_instance_uid)[4:]
    assert {event.object_kind for event in events} == {ObjectKind.DELIVERY}
    assert {event.object_name for event in events} == {"pacs"}
    return [(event.kind, event.who, event.detail) for event in events]


def test_a_job_has_its_own_delivery_for_each_destination(deliveries: DeliveryList) -> None:
    one = stand(deliveries)
    assert (one.state, one.attempts, one.run) == (DeliveryState.WAITING, 0, 1)
    assert one.study_instance_uid == "1.2"
    assert {each.destination for each in deliveries.of_job(JOB_ID)} == {"pacs", "archive"}
    assert deliveries.delivery(JOB_ID, "elsewhere") is None
    assert deliveries.of_job("f" * 64) == []


def test_a_queued_delivery_is_not_queued_again(deliveries: DeliveryList) -> None:
    pacs, archive = stand(deliveries), stand(deliveries, "archive")
    assert [delivery.destination for delivery in deliveries.unqueued()] == ["pacs", "archive"]
    deliveries.enqueued(pacs)
    assert deliveries.unqueued() == [archive]
    assert deliveries.unfinished() == [pacs]
    deliveries.forgotten(pacs)
    assert stand(deliveries) == replace(pacs, run=2)
    assert len(deliveries.unqueued()) == 2


def test_a_finished_delivery_is_neither_repeated_nor_retried(
    deliveries: DeliveryList, database: Database
) -> None:
    one = stand(deliveries)
    deliveries.enqueued(one)
    before = time.time()
    assert deliveries.delivered(one)
    now = stand(deliveries)
    assert (now.state, now.reason) == (DeliveryState.DELIVERED, None)
    assert now.delivered_at is not None
    assert before <= now.delivered_at <= time.time()
    assert stand(deliveries, "archive").state is DeliveryState.WAITING
    assert deliveries.unfinished() == []
    assert not deliveries.delivered(one), "only once"
    assert not deliveries.retry(now, "anna"), "it is there"
    assert told(database) == [(EventKind.DELIVERED, None, None)]


def test_a_delivery_of_results_that_fails_is_postponed_given_up_and_retried(
    deliveries: DeliveryList, database: Database
) -> None:
    assert deliveries.postpone(stand(deliveries), "it is down", 50.0)
    waiting = stand(deliveries)
    assert (waiting.attempts, waiting.run, waiting.not_before) == (1, 2, 50.0)
    assert waiting.reason == "it is down"
    assert deliveries.die(waiting, "it is down still")
    dead = stand(deliveries)
    assert (dead.state, dead.reason) == (DeliveryState.DEAD, "it is down still")
    assert dead not in deliveries.unqueued()
    assert deliveries.retry(dead, "anna")
    again = stand(deliveries)
    assert (again.state, again.attempts, again.run) == (DeliveryState.WAITING, 0, 3)
    assert again.not_before == 0.0
    assert again.created_at > dead.created_at
    assert told(database) == [
        (EventKind.NOT_DELIVERED, None, "it is down"),
        (EventKind.DEAD, None, "it is down still"),
        (EventKind.RETRIED, "anna", None),
    ]


@pytest.mark.parametrize(
    "act",
    [
        DeliveryList.delivered,
        lambda deliveries, one: deliveries.postpone(one, "down", 0.0),
        lambda deliveries, one: deliveries.die(one, "down"),
        lambda deliveries, one: deliveries.retry(one, "anna"),
    ],
)
def test_an_outdated_delivery_of_results_can_not_be_changed(
    deliveries: DeliveryList, database: Database, act: Callable[[DeliveryList, Delivery], bool]
) -> None:
    old = stand(deliveries)
    deliveries.postpone(old, "it is down", 0.0)
    before, story = stand(deliveries), told(database)
    assert not act(deliveries, old)
    deliveries.forgotten(old)
    deliveries.enqueued(old)
    assert stand(deliveries) == before
    assert before in deliveries.unqueued()
    assert told(database) == story


ACTS: dict[str, Callable[[DeliveryList, Delivery], object]] = {
    "enqueued": DeliveryList.enqueued,
    "forgotten": DeliveryList.forgotten,
    "delivered": DeliveryList.delivered,
    "postpone": lambda deliveries, one: deliveries.postpone(one, "down", 1.0),
    "die": lambda deliveries, one: deliveries.die(one, "down"),
    "retry": lambda deliveries, one: deliveries.retry(one, "anna"),
}


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.booleans()), max_size=12))
def test_no_sequence_of_actions_loses_a_delivery_or_sends_it_again(
    steps: list[tuple[str, bool]],
) -> None:
    """Each act comes with the delivery as it stands, or as it stood one act ago."""
    with Database("sqlite://") as database:
        deliveries = segmented(database)
        now = before = stand(deliveries)
        for name, is_late in steps:
            if now.state is DeliveryState.DELIVERED:
                break
            ACTS[name](deliveries, before if is_late else now)
            before, now = now, stand(deliveries)
            waits = now.state is DeliveryState.WAITING
            queued = [*deliveries.unqueued(), *deliveries.unfinished()]
            assert (now in queued) == waits, "it is to be queued, or is"
            assert now.run >= before.run
            assert waits or now.state in (DeliveryState.DELIVERED, DeliveryState.DEAD)
            if name == "postpone" and now.run > before.run:
                assert now.attempts == before.attempts + 1
        assert stand(deliveries, "archive").run == 1
