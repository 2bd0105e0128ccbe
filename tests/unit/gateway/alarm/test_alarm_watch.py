"""Tests alarms from a fault in the database to a mail server and a webhook, also after a kill."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from threading import Event
from threading import enumerate as threads
from typing import Any

import pytest
import yaml

from gateway.alarm.alarm_watch import AlarmWatch, sending_alarms
from gateway.config import GatewaySettings, load_gateway_settings
from gateway.store.alarm_messages import AlarmMessages, MessageState
from gateway.store.database import LEDGER_FILE
from gateway.store.destination_states import DestinationStates
from gateway.store.ledger_damage import DamagedLedger
from gateway.supervise.ledger_integrity_check import checking_ledger
from tests.servers import LOOPBACK
from tests.unit.gateway.alarm.receivers import (
    Hook,
    Mailbox,
    hook_server,
    mail_server,
    silent_server,
)
from tests.unit.gateway.web.filling import Filled, open_filled
from tests.waiting import NEVER_SECONDS, WAIT_SECONDS, wait_until

LOOK_SECONDS = 0.05
PAGE = "https://totalmap.hospital.example"
# Of a reason in the database, which alarms must not quote.
PATIENT = "Mueller^Eva"


def settings_file(folder: Path, hook: Hook, mail_port: int | None = None, **alarms: Any) -> Path:
    """Writes a gateway.yaml with a webhook and, with a port, a mail server."""
    secret = folder / "secret"
    secret.write_text("a secret\n")
    url = f"http://{LOOPBACK}:{hook.port}"
    webhook = {"name": "pager", "url": url, "secret_file": str(secret)}
    email = {
        "host": LOOPBACK,
        "port": mail_port,
        "encryption": "none",
        "sender": "totalmap@hospital.example",
        "recipients": ["it@hospital.example"],
        "time_out_seconds": alarms.pop("mail_seconds", WAIT_SECONDS),
    }
    alarms = {"first_retry_seconds": 0.1, "longest_retry_seconds": 0.1, **alarms}
    file = folder / "gateway.yaml"
    sections = {
        "storage_folder": str(folder / "storage"),
        "receive": {"keep_free_gb": 0.001},
        "destinations": [
            {"name": name, "dicom": {"ae_title": "PACS", "address": LOOPBACK}}
            for name in ("pacs", "archive")
        ],
        "web": {"public_url": PAGE},
        "alarms": {
            "email": email if mail_port is not None else None,
            "webhooks": [{**webhook, "time_out_seconds": WAIT_SECONDS}],
            **alarms,
        },
    }
    file.write_text(yaml.safe_dump(sections))
    return file


@contextmanager
def watching(settings: GatewaySettings) -> Iterator[AlarmWatch]:
    with sending_alarms(settings, "box", look_seconds=LOOK_SECONDS) as watch:
        yield watch


@contextmanager
def filled(settings: GatewaySettings) -> Iterator[Filled]:
    gateway = open_filled(settings)
    with gateway.database:
        yield gateway


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hook_server(Hook()) as running:
        yield running


def test_an_alarm_reports_a_failed_job_by_every_way_with_a_link_and_without_patient_data(
    tmp_path: Path, hook: Hook
) -> None:
    with mail_server(Mailbox()) as mailbox:
        settings = load_gateway_settings(settings_file(tmp_path, hook, mailbox.port))
        with filled(settings) as gateway, watching(settings):
            study = "1.2.826.0.1.3680043.8.498.1"
            job = gateway.open_job(study)
            gateway.die(job, f"{study} of {PATIENT} is too thick")
            email, post = mailbox.next(), hook.next()
    text = email.get_content()
    assert email["Subject"].endswith(": 1 job has failed")
    assert f"job {job[:12]}  {PAGE}/jobs/{job}" in text
    assert post.document["kind"] == "job_dead"
    assert post.document["begun"]["count"] == 1
    assert post.document["begun"]["alarms"][0]["url"] == f"{PAGE}/jobs/{job}"
    for content in (email.as_string(), post.body.decode()):
        assert study not in content
        assert PATIENT not in content
        assert "too thick" not in content


def test_alarms_report_that_a_destination_is_away_and_that_it_is_back(
    tmp_path: Path, hook: Hook
) -> None:
    settings = load_gateway_settings(settings_file(tmp_path, hook))
    with filled(settings) as gateway, watching(settings):
        states = DestinationStates(gateway.database)
        states.save("pacs", "Connection refused", 1.0)
        states.save("archive", None, 1.0)
        states.save("no longer in the settings", "Connection refused", 1.0)
        away = hook.next().document
        states.save("pacs", None, 2.0)
        back = hook.next().document
    assert away["kind"] == back["kind"] == "destination_away"
    assert [alarm["subject"] for alarm in away["begun"]["alarms"]] == ["pacs"]
    assert (away["ended"]["count"], back["begun"]["count"]) == (0, 0)
    assert back["text"].endswith("1 destination answers again")


def test_an_alarm_reports_a_process_that_is_restarted_repeatedly_with_its_machine(
    tmp_path: Path, hook: Hook
) -> None:
    settings = load_gateway_settings(settings_file(tmp_path, hook))
    with watching(settings) as watch:
        for _ in range(settings.alarms.restarts):
            watch.restarts.note("web")
        told = hook.next().document
    assert told["begun"]["alarms"][0]["subject"] == "box web"
    assert told["begun"]["alarms"][0]["detail"] == "3 times in ten minutes"


def test_an_alarm_reports_a_disk_with_little_free_space(tmp_path: Path, hook: Hook) -> None:
    settings = load_gateway_settings(settings_file(tmp_path, hook, disk_gb=1e9))
    with watching(settings):
        told = hook.next().document
    assert told["kind"] == "disk_short"
    assert told["begun"]["alarms"][0]["detail"].endswith(" GB are free")


def test_a_mail_server_that_hangs_delays_no_alarm_webhook_and_no_end_of_the_gateway(
    tmp_path: Path, hook: Hook
) -> None:
    with silent_server() as port:
        file = settings_file(tmp_path, hook, port, mail_seconds=NEVER_SECONDS)
        settings = load_gateway_settings(file)
        with filled(settings) as gateway, watching(settings):
            gateway.die(gateway.open_job("1.2"), "too thick")
            assert hook.next().document["kind"] == "job_dead"
            DestinationStates(gateway.database).save("pacs", "Connection refused", 1.0)
            assert hook.next().document["kind"] == "destination_away"
        assert any(thread.name == "alarm email" for thread in threads()), "it still waits"


def test_an_alarm_message_that_was_refused_is_sent_again_with_the_same_id(
    tmp_path: Path, hook: Hook
) -> None:
    hook.statuses += [HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS]
    with mail_server(Mailbox(refusal="452 out of space")) as mailbox:
        settings = load_gateway_settings(settings_file(tmp_path, hook, mailbox.port))
        with filled(settings) as gateway, watching(settings):
            gateway.die(gateway.open_job("1.2"), "too thick")
            posts = [hook.next() for _ in range(3)]
            mailbox.refusal = ""
            assert mailbox.next()["Subject"].endswith("1 job has failed")
    assert len({post.headers["webhook-id"] for post in posts}) == 1
    assert hook.got.empty()
    assert mailbox.got.empty()


def test_an_alarm_message_that_is_not_taken_for_days_is_given_up(
    tmp_path: Path, hook: Hook
) -> None:
    hook.statuses += [HTTPStatus.SERVICE_UNAVAILABLE] * 2
    file = settings_file(tmp_path, hook, give_up_days=1e-9)
    settings = load_gateway_settings(file)
    with filled(settings) as gateway, watching(settings):
        gateway.die(gateway.open_job("1.2"), "too thick")
        assert hook.next().document["kind"] == "job_dead"
        DestinationStates(gateway.database).save("pacs", "Connection refused", 1.0)
        assert hook.next().document["kind"] == "destination_away", "the next, not the first again"


def test_new_alarm_settings_hold_for_the_next_alarm_message(tmp_path: Path, hook: Hook) -> None:
    settings = load_gateway_settings(settings_file(tmp_path, hook))
    with (
        mail_server(Mailbox()) as mailbox,
        filled(settings) as gateway,
        watching(settings) as watch,
    ):
        gateway.die(gateway.open_job("1.2"), "too thick")
        assert hook.next().document["kind"] == "job_dead"
        email = settings_file(tmp_path, hook, mailbox.port)
        changed = load_gateway_settings(email)
        alarms = changed.alarms.model_copy(update={"webhooks": ()})
        watch.use(changed.model_copy(update={"alarms": alarms}))
        DestinationStates(gateway.database).save("pacs", "Connection refused", 1.0)
        assert mailbox.next()["Subject"].endswith("1 destination does not answer")
    assert hook.got.empty()


def test_alarm_settings_whose_secret_is_gone_leave_alarms_as_they_are(
    tmp_path: Path, hook: Hook
) -> None:
    settings = load_gateway_settings(settings_file(tmp_path, hook))
    with filled(settings) as gateway, watching(settings) as watch:
        (webhook,) = settings.alarms.webhooks
        gone = webhook.model_copy(update={"secret_file": tmp_path / "gone"})
        alarms = settings.alarms.model_copy(update={"webhooks": (gone,)})
        watch.use(settings.model_copy(update={"alarms": alarms}))
        gateway.die(gateway.open_job("1.2"), "too thick")
        assert hook.next().document["kind"] == "job_dead"


@contextmanager
def alarm_process(file: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "tests.unit.gateway.alarm.alarm_process", str(file)]
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def n_sent(gateway: Filled) -> int:
    way = "webhook pager"
    return AlarmMessages(gateway.database).count([way])[way, MessageState.SENT]


def test_a_kill_loses_no_alarm_and_an_acknowledged_one_is_never_sent_again(
    tmp_path: Path,
) -> None:
    release = Event()
    with hook_server(Hook(holds=release)) as hook:
        file = settings_file(tmp_path, hook)
        settings = load_gateway_settings(file)
        with filled(settings) as gateway:
            with alarm_process(file) as process:
                gateway.die(gateway.open_job("1.2"), "too thick")
                first = hook.next()
                process.kill()  # while it waits for the answer
                process.wait()
            release.set()
            with alarm_process(file):
                again = hook.next()
                DestinationStates(gateway.database).save("pacs", "Connection refused", 1.0)
                assert hook.next().document["kind"] == "destination_away"
                wait_until(lambda: n_sent(gateway) == 2)
            with alarm_process(file):
                DestinationStates(gateway.database).save("archive", "Connection refused", 1.0)
                DestinationStates(gateway.database).save("pacs", None, 1.0)
                back = hook.next().document
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    assert first.body == again.body
    assert back["ended"]["count"] == 1
    assert hook.got.empty()


def test_alarms_report_a_damaged_ledger_before_the_gateway_ends_and_its_repair_afterwards(
    tmp_path: Path, hook: Hook
) -> None:
    settings = load_gateway_settings(settings_file(tmp_path, hook))
    with filled(settings) as gateway:
        gateway.die(gateway.open_job("1.2"), "too thick")
    ledger = settings.storage_folder / LEDGER_FILE
    sound = ledger.read_bytes()
    ledger.write_bytes(b"not a database" * 1000)
    for _ in range(2):  # the second start tells nothing again
        with pytest.raises(DamagedLedger), watching(settings), checking_ledger(settings, Event()):
            pass
    told = hook.next().document
    assert told["kind"] == "ledger_fails"
    assert told["begun"]["alarms"][0]["detail"] == "it is damaged"
    ledger.write_bytes(sound)
    ledger.with_name(f"{LEDGER_FILE}.damaged").unlink(missing_ok=True)
    with watching(settings):
        kinds = {hook.next().document["text"].partition(": ")[2] for _ in range(2)}
    assert kinds == {"the ledger works again", "1 job has failed"}
    wait_until(lambda: not (settings.storage_folder / "ledger-alarm.json").exists())
    assert hook.got.empty()
