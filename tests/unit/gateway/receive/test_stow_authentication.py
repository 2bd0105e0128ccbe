"""Tests the password and token of STOW-RS clients."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.config import StowReceiveSection
from gateway.receive.intake import Intake
from gateway.store.file_storage import Storage
from gateway.store.ledger import Ledger
from tests.phantom.study import WrittenSeries
from tests.unit.gateway.receive.test_stow import (
    body,
    kept,
    listening,
    post,
)


@pytest.fixture
def guarded(tmp_path: Path, intake: Intake, storage: Storage) -> Iterator[str]:
    """A service with a password and a token."""
    password, token = tmp_path / "password", tmp_path / "token"
    password.write_text("geheim: ä\nanother line\n")
    token.write_text("t0ken\n")
    settings = StowReceiveSection(port=0, user="ct-1", password_file=password, token_file=token)
    with listening(intake, storage, settings) as address:
        yield address


def test_the_stow_receiver_records_the_authenticated_user_as_sender(
    guarded: str, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    content = body(phantom_series.paths[0].read_bytes())
    answer = post(guarded, content, auth=httpx.BasicAuth("ct-1", "geheim: ä"))
    assert answer.status_code == 200
    assert [instance.sender for instance in ledger.instances()] == ["ct-1"]
    bearer = {"Authorization": "bearer t0ken"}
    assert post(guarded, content, headers=bearer).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Basic",
        "Basic !!!",
        "Bearer geheim",
        "Bearer t0ken2",
        "Digest t0ken",
        "Bearer \xe4",
        "Basic " + b64encode(b"ct-1:geheim").decode(),
        "Basic " + b64encode("ct-2:geheim: ä".encode()).decode(),
    ],
)
def test_wrong_or_missing_credentials_of_a_stow_client_are_answered_with_401(
    guarded: str,
    ledger: Ledger,
    authorization: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    headers = {"Authorization": authorization.encode("latin-1")} if authorization else {}
    answer = post(guarded, body(b"x"), headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == ('Basic realm="TotalMAP", Bearer realm="TotalMAP"')
    said = capsys.readouterr().out
    assert said.count("sender_rejected") == 1
    assert "geheim" not in said
    assert not kept(ledger)


def test_five_wrong_tokens_lock_the_address_of_a_stow_client_out(
    guarded: str, ledger: Ledger, phantom_series: WrittenSeries
) -> None:
    content, right = body(phantom_series.paths[0].read_bytes()), {"Authorization": "Bearer t0ken"}
    for attempt in range(5):
        wrong = {"Authorization": f"Bearer {attempt}"}
        assert post(guarded, content, headers=wrong).status_code == 401
    answer = post(guarded, content, headers=right)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "60"
    assert not kept(ledger)
