import getpass
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.__main__ import app
from gateway.config import Role, load_gateway_settings
from gateway.store.accounts import AccountList
from gateway.store.database import open_database
from gateway.web.passwords import is_right

PASSWORD = "a tall tree in the park"  # noqa: S105


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(f"storage_folder: {tmp_path / 'storage'}\n")
    return path


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


@pytest.fixture
def accounts(file: Path) -> Iterator[AccountList]:
    with open_database(load_gateway_settings(file)) as database:
        yield AccountList(database)


def run(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["gateway", "user", *map(str, words)])


def test_the_user_command_adds_lists_and_protects_the_first_administrator(
    file: Path, password_file: Path, accounts: AccountList
) -> None:
    add = ("add", "anna", "--role", "administrator", "--password-file", password_file, "-c", file)
    done = run(*add)
    assert done.exit_code == 0, done.output
    assert "anna may log in as administrator." in done.output
    account = accounts.require("anna")
    assert account.role is Role.ADMINISTRATOR
    assert is_right(account.password_hash, PASSWORD)
    said = run("list", file).output
    assert "Accounts: 1" in said
    for expected in ("anna", "administrator", "password", "never"):
        assert expected in said
    for refused in (("remove", "anna"), ("role", "anna", "viewer")):
        done = run(*refused, "-c", file)
        assert done.exit_code == 64
        assert "anna is the last administrator" in done.output
    assert "there is an account anna already" in run(*add).output


def test_the_user_command_adds_an_account_without_role_as_viewer_and_removes_it(
    file: Path, password_file: Path, accounts: AccountList
) -> None:
    assert run("add", "bert", "--password-file", password_file, "-c", file).exit_code == 0
    stamps = [accounts.require("bert").stamp]
    assert accounts.require("bert").role is Role.VIEWER
    for words in (("role", "bert", "operator"), ("logout", "bert")):
        assert run(*words, "-c", file).exit_code == 0
        stamps.append(accounts.require("bert").stamp)
    assert len(set(stamps)) == 3, "all sessions end each time"
    assert accounts.require("bert").role is Role.OPERATOR
    assert run("remove", "bert", "-c", file).exit_code == 0
    assert accounts.find("bert") is None


def test_the_user_command_prints_a_random_password_once(
    file: Path, password_file: Path, accounts: AccountList
) -> None:
    run("add", "anna", "--password-file", password_file, "-c", file)
    done = run("reset", "anna", "--random", "-c", file)
    assert done.exit_code == 0, done.output
    password = done.output.partition("Password: ")[2].strip()
    assert is_right(accounts.require("anna").password_hash, password)
    assert not is_right(accounts.require("anna").password_hash, PASSWORD)


@pytest.mark.parametrize("again", [PASSWORD, "another one"])
def test_the_user_command_asks_for_a_password_twice(
    file: Path, accounts: AccountList, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    typed = iter((PASSWORD, again))
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: next(typed))
    done = run("add", "anna", "-c", file)
    if again == PASSWORD:
        assert is_right(accounts.require("anna").password_hash, PASSWORD)
    else:
        assert done.exit_code == 64
        assert "the two passwords differ" in done.output
        assert accounts.find("anna") is None


def test_without_a_terminal_the_user_command_takes_a_password_only_from_a_file(file: Path) -> None:
    command = [sys.executable, "-m", "cli", "gateway", "user", "add", "anna", "-c", str(file)]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert done.returncode == 64
    assert "give --password-file or --random" in done.stderr


def test_the_user_command_refuses_a_weak_password(
    file: Path, tmp_path: Path, accounts: AccountList
) -> None:
    weak = tmp_path / "weak"
    weak.write_text("Password1234!")
    done = run("add", "anna", "--password-file", weak, "-c", file)
    assert done.exit_code == 64
    assert "besides common words" in done.output
    assert accounts.accounts() == []


def test_the_user_command_names_an_unknown_account_and_an_unknown_role(file: Path) -> None:
    assert "there is no account anna" in run("remove", "anna", "-c", file).output
    assert "king" in run("role", "anna", "king", "-c", file).output
