from pathlib import Path

import pytest

from gateway.config import Role
from gateway.store.accounts import Account, AccountList
from gateway.store.database import Database
from gateway.store.sessions import Session, SessionList, close_all_sessions

IDLE_SECONDS, LONGEST_SECONDS = 100.0, 1000.0


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}")


@pytest.fixture
def sessions(database: Database, clock: Clock) -> SessionList:
    return SessionList(database, IDLE_SECONDS, LONGEST_SECONDS, clock)


def add(database: Database, name: str = "anna") -> Account:
    accounts = AccountList(database)
    accounts.add(name, Role.VIEWER, "a hash", "root")
    return accounts.require(name)


def test_a_login_session_ends_when_its_user_is_idle(
    database: Database, sessions: SessionList, clock: Clock
) -> None:
    begin = clock.now
    token = sessions.open(add(database), "10.0.0.1").token
    for seconds in (90.0, 180.0, 270.0):
        clock.now = begin + seconds
        assert sessions.find(token, is_acting=True)
    clock.now = begin + 360.0
    assert sessions.find(token, is_acting=False)  # a page that refreshes itself
    clock.now = begin + 380.0
    assert sessions.find(token, is_acting=True) is None


def test_a_login_session_ends_after_its_longest_time_although_its_user_acts(
    database: Database, sessions: SessionList, clock: Clock
) -> None:
    begin = clock.now
    token = sessions.open(add(database), "10.0.0.1").token
    found = []
    for seconds in range(50, 1100, 50):
        clock.now = begin + seconds
        found.append(sessions.find(token, is_acting=True) is not None)
    assert found == [True] * 20 + [False]


def test_a_login_session_ends_when_the_clock_is_set_back(
    database: Database, sessions: SessionList, clock: Clock
) -> None:
    token = sessions.open(add(database), "10.0.0.1").token
    clock.now -= 61.0
    assert sessions.find(token, is_acting=True) is None


def test_closing_a_login_session_ends_only_that_session(
    database: Database, sessions: SessionList
) -> None:
    account = add(database)
    one, other = sessions.open(account, "10.0.0.1"), sessions.open(account, "10.0.0.2")
    assert sessions.counts() == {account.key: 2}
    sessions.close(one.token)
    assert sessions.find("", is_acting=True) is None
    assert sessions.find(one.token, is_acting=True) is None
    assert sessions.find(other.token, is_acting=True) == other
    assert sessions.counts() == {account.key: 1}


def test_a_login_session_that_opens_while_its_account_changes_is_never_valid(
    database: Database, sessions: SessionList
) -> None:
    accounts, before = AccountList(database), add(database)
    accounts.set_password("anna", "another hash", "root")
    assert sessions.find(sessions.open(before, "10.0.0.1").token, is_acting=True) is None
    accounts.remove("anna", "root")
    token = sessions.open(before, "10.0.0.1").token
    add(database)  # another user who gets the same name
    assert sessions.find(token, is_acting=True) is None


def test_the_database_holds_no_token_of_a_login_session(
    database: Database, sessions: SessionList
) -> None:
    tokens = [
        sessions.open(add(database), "10.0.0.1").token,
        sessions.open_by_proxy("bert", Role.OPERATOR, "10.0.0.2").token,
    ]
    with database.transaction() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM sessions").all()
    assert len(rows) == 2
    assert not any(token in str(rows) for token in tokens)


def test_a_login_session_by_a_proxy_has_the_user_and_role_of_the_proxy(
    database: Database, sessions: SessionList
) -> None:
    opened = sessions.open_by_proxy("bert", Role.OPERATOR, "10.0.0.2")
    assert sessions.find(opened.token, is_acting=True) == Session(
        token=opened.token, user="bert", role=Role.OPERATOR, is_by_proxy=True
    )
    close_all_sessions(database)
    assert sessions.find(opened.token, is_acting=True) is None
