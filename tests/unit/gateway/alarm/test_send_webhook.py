"""Tests signed webhooks about alarms with a real HTTP server."""

import base64
import hashlib
import hmac
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from gateway.alarm.message_text import OutgoingMessage
from gateway.alarm.send_webhook import WebhookSender
from gateway.config import WebhookSection
from tests.servers import LOOPBACK, free_port
from tests.unit.gateway.alarm.receivers import Authority, Hook, Post, hook_server, silent_server
from tests.waiting import WAIT_SECONDS
from totalmap.errors import ConfigError, ResourceError

SECRET = b"a secret of the hospital"
DOCUMENT = {"id": "abc", "kind": "job_dead", "text": "1 job has failed"}
MESSAGE = OutgoingMessage(
    uid="abc", created_at=1.7e9, summary="1 job has failed", body="", document=DOCUMENT
)


def sender(folder: Path, url: str, secret: str = SECRET.decode(), **values: Any) -> WebhookSender:
    file = folder / "secret"
    file.write_text(f"{secret}\n")
    section = {
        "name": "pager",
        "url": url,
        "secret_file": file,
        "time_out_seconds": WAIT_SECONDS,
        **values,
    }
    return WebhookSender(WebhookSection.model_validate(section))


def is_signed(post: Post, secret: bytes) -> bool:
    """Checks a request as a receiver does (standardwebhooks.com)."""
    uid, timestamp = post.headers["webhook-id"], post.headers["webhook-timestamp"]
    assert abs(time.time() - int(timestamp)) < WAIT_SECONDS
    digest = hmac.new(secret, f"{uid}.{timestamp}.".encode() + post.body, hashlib.sha256).digest()
    expected = f"v1,{base64.b64encode(digest).decode()}"
    return hmac.compare_digest(expected, post.headers["webhook-signature"])


def test_an_alarm_message_is_posted_over_https_with_a_signature(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with hook_server(Hook(), authority.server()) as hook:
        url = f"https://{LOOPBACK}:{hook.port}/alarms?token=1"
        sender(tmp_path, url, ca_file=authority.file).send(MESSAGE)
        post = hook.next()
    assert post.path == "/alarms?token=1"
    assert post.document == DOCUMENT
    assert post.headers["content-type"] == "application/json"
    assert post.headers["webhook-id"] == "abc"
    assert is_signed(post, SECRET)
    assert not is_signed(post, b"another secret")


def test_an_alarm_webhook_secret_of_standard_webhooks_is_read_as_base64(tmp_path: Path) -> None:
    secret = f"whsec_{base64.b64encode(SECRET).decode()}"
    with hook_server(Hook()) as hook:
        sender(tmp_path, f"http://{LOOPBACK}:{hook.port}", secret).send(MESSAGE)
        assert is_signed(hook.next(), SECRET)


def test_an_alarm_webhook_with_the_certificate_of_another_name_gets_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with hook_server(Hook(), authority.server("another.example")) as hook:
        given = sender(tmp_path, f"https://{LOOPBACK}:{hook.port}", ca_file=authority.file)
        with pytest.raises(ResourceError, match="certificate verify failed"):
            given.send(MESSAGE)
        assert hook.got.empty()


@pytest.mark.parametrize(
    "status", [HTTPStatus.FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE]
)
def test_each_answer_of_an_alarm_webhook_but_2xx_means_that_it_did_not_take_the_message(
    tmp_path: Path, status: HTTPStatus
) -> None:
    with hook_server(Hook(statuses=[status])) as hook:
        url = f"http://{LOOPBACK}:{hook.port}/path-with-a-secret"
        with pytest.raises(ResourceError, match=f"answers with HTTP {status:d}") as raised:
            sender(tmp_path, url).send(MESSAGE)
    assert "path-with-a-secret" not in str(raised.value)


def test_an_alarm_webhook_that_is_away_or_hangs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="Connection refused"):
        sender(tmp_path, f"http://{LOOPBACK}:{free_port()}").send(MESSAGE)
    with silent_server() as port:
        given = sender(tmp_path, f"http://{LOOPBACK}:{port}", time_out_seconds=0.2)
        with pytest.raises(ResourceError, match="timed out"):
            given.send(MESSAGE)


def test_an_alarm_webhook_without_https_is_refused_except_on_this_machine(tmp_path: Path) -> None:
    for url in ("http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "https://far.example"):
        sender(tmp_path, url)
    with pytest.raises(ValueError, match="has to begin with https"):
        sender(tmp_path, "http://far.example")


def test_a_broken_secret_of_an_alarm_webhook_is_an_error_without_the_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="goes on in Base64") as raised:
        sender(tmp_path, "https://far.example", "whsec_Geheim!")
    assert "Geheim" not in str(raised.value)
