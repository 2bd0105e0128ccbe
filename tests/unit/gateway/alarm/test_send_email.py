"""Tests e-mails about alarms with a real mail server, with TLS and certificates."""

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.alarm.message_text import OutgoingMessage
from gateway.alarm.send_email import EmailSender
from gateway.config import EmailSection
from tests.servers import LOOPBACK, free_port
from tests.unit.gateway.alarm.receivers import (
    PASSWORD,
    USER,
    Authority,
    Mailbox,
    mail_server,
    silent_server,
)
from tests.waiting import WAIT_SECONDS
from totalmap.errors import ConfigError, ResourceError

MESSAGE = OutgoingMessage(
    uid="abc",
    created_at=1_700_000_000.0,
    summary="TotalMAP on box: 1 job has failed",
    body="The gateway on box reports: 1 job has failed.\n\n- Müller & Söhne\n",
    document={},
)
RECIPIENTS = ("it@hospital.example", "pacs@hospital.example")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return file


def sender(port: int, **values: Any) -> EmailSender:
    section = {
        "host": LOOPBACK,
        "port": port,
        "sender": "totalmap@hospital.example",
        "recipients": RECIPIENTS,
        "time_out_seconds": WAIT_SECONDS,
        **values,
    }
    return EmailSender(EmailSection.model_validate(section), "box")


def test_an_alarm_email_is_sent_over_starttls_after_a_log_in(
    authority: Authority, password_file: Path
) -> None:
    with mail_server(Mailbox(), starttls=authority.server(), wants_password=True) as mailbox:
        known = {"ca_file": authority.file, "user": USER, "password_file": password_file}
        sender(mailbox.port, **known).send(MESSAGE)
        email = mailbox.next()
    assert mailbox.is_encrypted
    assert email["From"] == "totalmap@hospital.example"
    assert email["To"] == ", ".join(RECIPIENTS)
    assert email["Subject"] == MESSAGE.summary
    assert email["Date"] == "Tue, 14 Nov 2023 22:13:20 +0000"
    assert email["Message-ID"] == "<abc@hospital.example>"
    assert email["Auto-Submitted"] == "auto-generated"
    assert email.get_content().replace("\r\n", "\n") == MESSAGE.body


def test_an_alarm_email_is_sent_over_tls_from_the_first_byte(authority: Authority) -> None:
    with mail_server(Mailbox(), tls=authority.server()) as mailbox:
        sender(mailbox.port, encryption="tls", ca_file=authority.file).send(MESSAGE)
        assert mailbox.next()["Subject"] == MESSAGE.summary
    assert mailbox.is_encrypted


@pytest.mark.parametrize("encryption", ["starttls", "tls"])
def test_a_mail_server_with_the_certificate_of_another_name_gets_no_alarm_email(
    authority: Authority, encryption: str
) -> None:
    server = authority.server("another.example")
    starttls, tls = (server, None) if encryption == "starttls" else (None, server)
    with mail_server(Mailbox(), starttls=starttls, tls=tls) as mailbox:
        given = sender(mailbox.port, encryption=encryption, ca_file=authority.file)
        with pytest.raises(ResourceError, match="certificate verify failed"):
            given.send(MESSAGE)
        assert mailbox.got.empty()


def test_a_mail_server_of_an_unknown_authority_gets_no_alarm_email(authority: Authority) -> None:
    with mail_server(Mailbox(), starttls=authority.server()) as mailbox:
        with pytest.raises(ResourceError, match="certificate verify failed"):
            sender(mailbox.port).send(MESSAGE)
        assert mailbox.got.empty()


def test_no_alarm_email_is_sent_to_a_mail_server_that_does_not_offer_starttls() -> None:
    with mail_server(Mailbox()) as mailbox:
        with pytest.raises(ResourceError, match="does not offer STARTTLS"):
            sender(mailbox.port).send(MESSAGE)
        assert mailbox.got.empty()


def test_a_wrong_password_for_the_mail_server_is_named_without_the_password(
    authority: Authority, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("Hunter2")
    with mail_server(Mailbox(), starttls=authority.server(), wants_password=True) as mailbox:
        given = sender(mailbox.port, ca_file=authority.file, user=USER, password_file=wrong)
        with pytest.raises(ResourceError, match="refuses the user and the password") as raised:
            given.send(MESSAGE)
    assert "Hunter2" not in str(raised.value)
    assert USER not in str(raised.value)


def test_a_refused_alarm_email_is_an_error_with_the_status_of_the_server() -> None:
    with (
        mail_server(Mailbox(refusal="452 out of space for it@hospital.example")) as mailbox,
        pytest.raises(ResourceError, match="answers with status 452") as raised,
    ):
        sender(mailbox.port, encryption="none").send(MESSAGE)
    assert "it@" not in str(raised.value)


def test_an_alarm_email_that_one_of_two_recipients_gets_is_sent() -> None:
    with mail_server(Mailbox(refused=RECIPIENTS[:1])) as mailbox, capture_logs() as events:
        sender(mailbox.port, encryption="none").send(MESSAGE)
        assert mailbox.next()["Subject"] == MESSAGE.summary
    assert {"event": "alarm_recipients_refused", "way": "email", "refused": 1} in [
        {name: event.get(name) for name in ("event", "way", "refused")} for event in events
    ]


def test_an_alarm_email_that_no_recipient_gets_is_an_error() -> None:
    with (
        mail_server(Mailbox(refused=RECIPIENTS)) as mailbox,
        pytest.raises(ResourceError, match=r"refuses all recipients \(status 550\)"),
    ):
        sender(mailbox.port, encryption="none").send(MESSAGE)


def test_an_alarm_email_to_a_mail_server_that_is_away_is_an_error() -> None:
    with pytest.raises(ResourceError, match="Connection refused"):
        sender(free_port(), encryption="none").send(MESSAGE)


@pytest.mark.parametrize("encryption", ["starttls", "tls"])
def test_an_alarm_email_to_a_mail_server_that_hangs_is_an_error_after_the_time_out(
    encryption: str,
) -> None:
    with silent_server() as port:
        given = sender(port, encryption=encryption, time_out_seconds=0.2)
        with pytest.raises(ResourceError, match=r"timed out|does not answer"):
            given.send(MESSAGE)


def test_a_missing_password_file_for_the_mail_server_is_an_error_of_the_alarm_settings(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"alarms\.email\.password_file names can't be read"):
        sender(25, user=USER, password_file=tmp_path / "missing")


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": USER},
        {"user": USER, "password_file": "file", "encryption": "none"},
        {"recipients": []},
        {"recipients": ["it@hospital.example\nBcc: eve@example.org"]},
        {"sender": "nobody"},
    ],
)
def test_alarm_settings_of_a_mail_server_that_cant_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"user|password|recipients|sender"):
        sender(25, **wrong)
