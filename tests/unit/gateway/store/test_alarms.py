"""Tests alarms and their messages in the database: begins, ends, digests, and kills."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import AlarmKind, GatewaySettings
from gateway.store.alarm_messages import AlarmMessages, MessageState
from gateway.store.alarms import AlarmList
from gateway.store.database import Database
from gateway.store.deliveries import DeliveryList
from tests.postgres import running_postgres
from tests.unit.gateway.web.filling import Filled, open_filled

WAY = "email"
ALL = {WAY: tuple(AlarmKind)}
WINDOW_SECONDS = 3600.0
AWAY = AlarmKind.DESTINATION_AWAY


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Filled]:
    filled = open_filled(GatewaySettings(storage_folder=tmp_path / "storage"))
    with filled.database:
        yield filled


@pytest.fixture
def alarms(gateway: Filled) -> AlarmList:
    return AlarmList(gateway.database)


@pytest.fixture
def messages(gateway: Filled) -> AlarmMessages:
    return AlarmMessages(gateway.database)


def open_subjects(alarms: AlarmList) -> list[tuple[AlarmKind, str]]:
    return [(alarm.kind, alarm.subject) for alarm in alarms.open_alarms()]


def gathered(messages: AlarmMessages, now: float) -> tuple[list[str], list[str]] | None:
    """Gathers, sends the next message, and returns the subjects that have begun and ended."""
    messages.notice(ALL)
    messages.gather(WAY, WINDOW_SECONDS, now)
    message = messages.next(WAY, now)
    if message is None:
        return None
    messages.sent(message)
    return [alarm.subject for alarm in message.begun], [alarm.subject for alarm in message.ended]


def test_a_dead_job_raises_one_alarm_until_it_is_retried(
    gateway: Filled, alarms: AlarmList
) -> None:
    job = gateway.open_job("1.2")
    gateway.die(job, "too thick")
    for _ in range(2):
        alarms.follow_events()
        assert open_subjects(alarms) == [(AlarmKind.JOB_DEAD, job)]
    assert gateway.jobs.retry(job, "anna")
    alarms.follow_events()
    assert open_subjects(alarms) == []
    gateway.die(job, "too thick")
    alarms.follow_events()
    assert open_subjects(alarms) == [(AlarmKind.JOB_DEAD, job)]


def test_an_alarm_reports_a_job_that_fails_and_is_retried_between_two_looks(
    gateway: Filled, alarms: AlarmList, messages: AlarmMessages
) -> None:
    job = gateway.open_job("1.2")
    gateway.die(job, "too thick")
    assert gateway.jobs.retry(job, "anna")
    alarms.follow_events()
    assert gathered(messages, 0.0) == ([job], [job])


def test_a_delivery_that_was_given_up_raises_an_alarm_until_it_is_retried(
    gateway: Filled, alarms: AlarmList
) -> None:
    job = gateway.open_job("1.2")
    gateway.succeed(job)
    deliveries = DeliveryList(gateway.database)
    delivery = deliveries.delivery(job, "pacs")
    assert delivery is not None
    assert deliveries.die(delivery, "it is away for 7 days")
    alarms.follow_events()
    assert open_subjects(alarms) == [(AlarmKind.DELIVERY_DEAD, f"{job} pacs")]
    dead = deliveries.delivery(job, "pacs")
    assert dead is not None
    assert deliveries.retry(dead, "anna")
    alarms.follow_events()
    assert open_subjects(alarms) == []


def test_faults_that_are_found_raise_alarms_and_their_absence_ends_them(alarms: AlarmList) -> None:
    alarms.update(AWAY, {"pacs": None, "archive": None})
    alarms.update(AlarmKind.DISK_SHORT, {"disk": "1.0 GB are free"})
    alarms.update(AWAY, {"archive": None})
    assert open_subjects(alarms) == [(AWAY, "archive"), (AlarmKind.DISK_SHORT, "disk")]
    assert alarms.count_open()[AWAY] == 1
    assert alarms.count_open()[AlarmKind.JOB_DEAD] == 0


def test_a_machine_ends_no_alarm_of_another_machine(alarms: AlarmList) -> None:
    kind = AlarmKind.PROCESS_RESTARTS
    alarms.update(kind, {"box-1 work": None}, "box-1 ")
    alarms.update(kind, {"box-2 work": None}, "box-2 ")
    alarms.update(kind, {}, "box-1 ")
    assert open_subjects(alarms) == [(kind, "box-2 work")]


def test_the_first_alarm_is_sent_at_once_and_a_hundred_others_in_one_message(
    alarms: AlarmList, messages: AlarmMessages
) -> None:
    alarms.update(AWAY, {"0": None})
    assert gathered(messages, 0.0) == (["0"], [])
    for number in range(1, 101):
        alarms.update(AWAY, dict.fromkeys(map(str, range(number + 1))))
        assert gathered(messages, WINDOW_SECONDS - 1) is None
    assert gathered(messages, WINDOW_SECONDS) == ([str(n) for n in range(1, 101)], [])
    assert gathered(messages, 10 * WINDOW_SECONDS) is None


def test_an_alarm_of_another_kind_is_sent_at_once(
    alarms: AlarmList, messages: AlarmMessages
) -> None:
    alarms.update(AWAY, {"pacs": None})
    assert gathered(messages, 0.0) == (["pacs"], [])
    alarms.update(AlarmKind.DISK_SHORT, {"disk": None})
    assert gathered(messages, 1.0) == (["disk"], [])


def test_the_end_of_an_alarm_is_sent_at_once_and_a_flapping_destination_in_one_message(
    alarms: AlarmList, messages: AlarmMessages
) -> None:
    alarms.update(AWAY, {"pacs": None})
    assert gathered(messages, 0.0) == (["pacs"], [])
    alarms.update(AWAY, {})
    assert gathered(messages, 1.0) == ([], ["pacs"])
    for _ in range(3):
        alarms.update(AWAY, {"pacs": None})
        assert gathered(messages, 2.0) is None
        alarms.update(AWAY, {})
        assert gathered(messages, 3.0) is None
    assert gathered(messages, WINDOW_SECONDS) == (["pacs"] * 3, ["pacs"] * 3)


def test_alarms_are_gathered_while_a_message_of_their_kind_can_t_be_sent(
    alarms: AlarmList, messages: AlarmMessages
) -> None:
    alarms.update(AWAY, {"pacs": None})
    messages.notice(ALL)
    messages.gather(WAY, WINDOW_SECONDS, 0.0)
    first = messages.next(WAY, 0.0)
    assert first is not None
    messages.postpone(first, not_before=5 * WINDOW_SECONDS)
    for hour in range(1, 5):
        alarms.update(AWAY, dict.fromkeys(["pacs", *map(str, range(hour))]))
        assert gathered(messages, hour * WINDOW_SECONDS) is None
    assert gathered(messages, 5 * WINDOW_SECONDS) == (["pacs"], [])
    assert gathered(messages, 5 * WINDOW_SECONDS) == (["0", "1", "2", "3"], [])


def test_an_alarm_message_keeps_its_id_and_content_until_it_was_sent(
    alarms: AlarmList, messages: AlarmMessages, gateway: Filled
) -> None:
    alarms.update(AWAY, {"pacs": None})
    messages.notice(ALL)
    messages.gather(WAY, WINDOW_SECONDS, 0.0)
    first = messages.next(WAY, 0.0)
    assert first is not None
    messages.postpone(first, not_before=10.0)
    assert messages.next(WAY, 9.0) is None
    alarms.update(AWAY, {})
    after_a_restart = AlarmMessages(gateway.database)
    again = after_a_restart.next(WAY, 10.0)
    assert again is not None
    assert (again.uid, again.attempts, again.ended) == (first.uid, 1, ())
    assert [alarm.subject for alarm in again.begun] == ["pacs"]
    after_a_restart.sent(again)
    assert after_a_restart.next(WAY, 100.0) is None
    assert after_a_restart.count([WAY])[WAY, MessageState.SENT] == 1


def test_a_clock_that_is_set_back_delays_no_alarm_message_for_long(
    alarms: AlarmList, messages: AlarmMessages
) -> None:
    alarms.update(AWAY, {"pacs": None})
    assert gathered(messages, 1e9) == (["pacs"], [])
    alarms.update(AWAY, {"pacs": None, "archive": None})
    assert gathered(messages, 0.0) == (["archive"], [])
    alarms.update(AlarmKind.DISK_SHORT, {"disk": None})
    messages.notice(ALL)
    messages.gather(WAY, WINDOW_SECONDS, 1e9)
    waiting = messages.next(WAY, 1e9)
    assert waiting is not None
    messages.postpone(waiting, not_before=1e9)
    assert messages.next(WAY, 0.0) is not None


def test_each_way_gets_the_alarms_that_it_sends_and_a_new_way_no_ends_of_old_alarms(
    alarms: AlarmList, messages: AlarmMessages
) -> None:
    alarms.update(AWAY, {"pacs": None})
    alarms.update(AlarmKind.DISK_SHORT, {"disk": None})
    messages.notice({WAY: [AlarmKind.DISK_SHORT]})
    alarms.update(AWAY, {})
    messages.notice({WAY: tuple(AlarmKind), "webhook pager": tuple(AlarmKind)})
    for way in (WAY, "webhook pager"):
        messages.gather(way, WINDOW_SECONDS, 0.0)
    message = messages.next(WAY, 0.0)
    assert message is not None
    assert [alarm.subject for alarm in message.begun] == ["disk"]
    messages.sent(message)
    assert messages.next(WAY, 0.0) is None
    assert messages.next("webhook pager", 0.0) is None


def test_old_alarms_are_forgotten_with_their_messages(
    alarms: AlarmList, messages: AlarmMessages
) -> None:
    alarms.update(AWAY, {"pacs": None, "archive": None})
    assert gathered(messages, 0.0) == (["pacs", "archive"], [])
    alarms.update(AWAY, {"archive": None})
    assert gathered(messages, 1.0) == ([], ["pacs"])
    messages.forget(before=1e12)
    assert open_subjects(alarms) == [(AWAY, "archive")]
    assert messages.count([WAY])[WAY, MessageState.SENT] == 1, "the one about the archive"
    alarms.update(AWAY, {})
    messages.notice(ALL)
    messages.forget(before=1e12)
    assert messages.count([WAY])[WAY, MessageState.SENT] == 0


def test_alarms_and_messages_work_in_postgres() -> None:
    with running_postgres() as url, Database(url) as database:
        alarms, messages = AlarmList(database), AlarmMessages(database)
        alarms.follow_events()
        alarms.update(AWAY, {"pacs": None})
        assert gathered(messages, 0.0) == (["pacs"], [])
        alarms.update(AWAY, {})
        assert gathered(messages, 1.0) == ([], ["pacs"])
        messages.forget(before=1e12)
        assert messages.count([WAY])[WAY, MessageState.SENT] == 0
