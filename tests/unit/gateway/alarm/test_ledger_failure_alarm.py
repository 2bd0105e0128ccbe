"""Tests the alarm about the ledger itself, which is sent without the ledger."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from threading import Event

import pytest

from gateway.alarm.alarm_watch import sending_alarms
from gateway.alarm.ledger_failure_alarm import FILE_NAME, LedgerAlarm
from gateway.alarm.message_channels import ways_of
from gateway.alarm.message_text import MessageWriter
from gateway.config import GatewaySettings
from tests.servers import LOOPBACK
from tests.unit.gateway.alarm.receivers import Hook, hook_server, silent_server
from tests.waiting import NEVER_SECONDS, WAIT_SECONDS, wait_until

SOON = 0.05


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hook_server(Hook()) as running:
        yield running


def settings_for(
    folder: Path, hook: Hook, retry_seconds: float = SOON, **sections: object
) -> GatewaySettings:
    secret = folder / "secret"
    secret.write_text("a secret")
    webhook = {"name": "pager", "url": f"http://{LOOPBACK}:{hook.port}", "secret_file": secret}
    retries = {"first_retry_seconds": retry_seconds, "longest_retry_seconds": retry_seconds}
    alarms = {"webhooks": [webhook], **retries}
    return GatewaySettings.model_validate({"storage_folder": folder, "alarms": alarms, **sections})


def alarm_of(settings: GatewaySettings, stop: Event) -> LedgerAlarm:
    ways, writer = ways_of(settings.alarms, "box"), MessageWriter(settings, "box")
    return LedgerAlarm(ways, writer, settings.alarms, settings.storage_folder, stop)


def test_an_alarm_about_a_failing_ledger_is_sent_until_it_is_taken_and_then_never_again(
    tmp_path: Path, hook: Hook
) -> None:
    hook.statuses += [HTTPStatus.SERVICE_UNAVAILABLE]
    stop = Event()
    alarm = alarm_of(settings_for(tmp_path, hook), stop)
    for _ in range(3):
        alarm.fails("it is damaged")
    first, second = hook.next(), hook.next()
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    alarm.wait_until_told(WAIT_SECONDS)
    alarm.works()
    assert hook.next().document["text"].endswith("the ledger works again")
    wait_until(lambda: not (tmp_path / FILE_NAME).exists())
    assert hook.got.empty()
    stop.set()


def test_no_alarm_is_sent_about_a_ledger_that_works_again_before_it_could_be_sent(
    tmp_path: Path, hook: Hook
) -> None:
    hook.statuses += [HTTPStatus.SERVICE_UNAVAILABLE]
    stop = Event()
    alarm = alarm_of(settings_for(tmp_path, hook, NEVER_SECONDS), stop)
    alarm.fails("it is damaged")
    assert hook.next().document["kind"] == "ledger_fails"
    alarm.works()
    wait_until(lambda: not (tmp_path / FILE_NAME).exists())
    assert hook.got.empty()
    stop.set()


def test_a_torn_file_of_an_earlier_run_does_not_stop_the_alarm_about_a_failing_ledger(
    tmp_path: Path, hook: Hook
) -> None:
    (tmp_path / FILE_NAME).write_text('{"uid": "a", "told')
    stop = Event()
    alarm = alarm_of(settings_for(tmp_path, hook), stop)
    alarm.fails("it is damaged")
    assert hook.next().document["begun"]["alarms"][0]["detail"] == "it is damaged"
    stop.set()


def test_an_alarm_about_a_database_that_does_not_answer_is_sent_without_the_database(
    tmp_path: Path, hook: Hook
) -> None:
    with silent_server() as port:
        settings = settings_for(
            tmp_path,
            hook,
            ledger_url=f"postgresql+psycopg://totalmap@{LOOPBACK}:{port}/ledger",
            supervise={"start_seconds": SOON},
        )
        with sending_alarms(settings, "box", look_seconds=SOON, patience_seconds=SOON):
            told = hook.next().document
    assert told["kind"] == "ledger_fails"
    assert re.search("does not answer", told["begun"]["alarms"][0]["detail"])
