"""Tests `totalmap gateway alarm-test` with a real webhook and a mail server that is away."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from cli.__main__ import app
from tests.servers import LOOPBACK, free_port
from tests.unit.gateway.alarm.receivers import Hook, Mailbox, hook_server, mail_server


def run(file: Path) -> Result:
    words = ["gateway", "alarm-test", str(file)]
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, words)


def settings_file(folder: Path, hook_port: int, mail_port: int) -> Path:
    secret = folder / "secret"
    secret.write_text("a secret")
    webhook = {
        "name": "pager",
        "url": f"http://{LOOPBACK}:{hook_port}/secret-path",
        "secret_file": str(secret),
    }
    email = {
        "host": LOOPBACK,
        "port": mail_port,
        "encryption": "none",
        "sender": "totalmap@hospital.example",
        "recipients": ["it@hospital.example", "pacs@hospital.example"],
    }
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump({"alarms": {"email": email, "webhooks": [webhook]}}))
    return file


def test_the_alarm_test_command_sends_a_test_message_by_each_way(tmp_path: Path) -> None:
    with hook_server(Hook()) as hook, mail_server(Mailbox()) as mailbox:
        done = run(settings_file(tmp_path, hook.port, mailbox.port))
        assert done.exit_code == 0, done.output
        assert mailbox.next()["Subject"].endswith("this is a test of alarms")
        assert hook.next().document["kind"] == "test"
    assert f"email: taken by {LOOPBACK}:{mailbox.port} for 2 recipients\n" in done.output
    assert f"webhook pager: taken by {LOOPBACK}:{hook.port}\n" in done.output


def test_the_alarm_test_command_names_a_way_that_does_not_work_and_tests_the_others(
    tmp_path: Path,
) -> None:
    with hook_server(Hook()) as hook:
        done = run(settings_file(tmp_path, hook.port, free_port()))
        assert hook.next().document["kind"] == "test"
    assert done.exit_code == 75
    assert "email: FAULT: the mail server" in done.output
    assert "Connection refused" in done.output
    assert "faults: 1\n" in done.output
    assert "secret-path" not in done.output


@pytest.mark.parametrize("sections", ["{}", "alarms: {digest_minutes: 5}"])
def test_without_a_way_to_send_messages_the_alarm_test_command_says_what_to_set(
    tmp_path: Path, sections: str
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(sections)
    done = run(file)
    assert done.exit_code == 64
    assert "set alarms.email or alarms.webhooks" in done.stderr
