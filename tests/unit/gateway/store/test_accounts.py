"""Tests the accounts in SQLite and in Postgres: names, the last administrator, and who did it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.config import Role
from gateway.store.accounts import AccountList, NameTaken
from gateway.store.database import Database
from gateway.store.schema import EVENTS
from tests.postgres import running_postgres
from totalmap.errors import ConfigError

HASH = "a hash"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}") as database:
        yield database


@pytest.fixture
def accounts(database: Database) -> AccountList:
    return AccountList(database)


def events(database: Database) -> list[tuple[str, str, str, str | None]]:
    columns = (EVENTS.c.kind, EVENTS.c.object_name, EVENTS.c.who, EVENTS.c.detail)
    with database.transaction() as connection:
        return [tuple(row) for row in connection.execute(select(*columns))]


def test_a_gateway_account_is_found_by_its_name_in_any_case(accounts: AccountList) -> None:
    accounts.add("Müller", Role.VIEWER, HASH, "root")
    found = accounts.find("MÜLLER")
    assert found is not None
    assert (found.name, found.role, found.is_local) == ("Müller", Role.VIEWER, True)
    with pytest.raises(ConfigError, match="there is an account müller already"):
        accounts.add("müller", Role.ADMINISTRATOR, HASH, "root")
    assert accounts.find("Mueller") is None
    assert HASH not in repr(found)


@pytest.mark.parametrize("name", ["", " anna", "anna ", "an\nna", "a" * 65, "<b>", "-", "a/b"])
def test_an_account_name_that_would_be_hard_to_read_in_the_history_is_refused(
    accounts: AccountList, name: str
) -> None:
    with pytest.raises(ConfigError, match="an account's name has 1 to 64"):
        accounts.add(name, Role.VIEWER, HASH, "root")


@pytest.mark.parametrize(
    "name", ["a", "Dr. O'Neill-Müller", "anna.b@hospital.example", "山田 太郎"]
)
def test_names_of_people_and_addresses_are_allowed_as_account_names(
    accounts: AccountList, name: str
) -> None:
    accounts.add(name, Role.VIEWER, HASH, "root")
    assert [account.name for account in accounts.accounts()] == [name]


def test_the_last_administrator_is_neither_removed_nor_given_another_role(
    accounts: AccountList,
) -> None:
    assert not accounts.has_administrator()
    accounts.add("anna", Role.ADMINISTRATOR, HASH, "root")
    accounts.add("bert", Role.OPERATOR, HASH, "root")
    # The provider may be away.
    accounts.log_in_provided("issuer 7", "carl", Role.ADMINISTRATOR)
    with pytest.raises(ConfigError, match="anna is the last administrator"):
        accounts.remove("Anna", "root")
    with pytest.raises(ConfigError, match="anna is the last administrator"):
        accounts.set_role("anna", Role.VIEWER, "root")
    accounts.set_role("bert", Role.ADMINISTRATOR, "root")
    accounts.remove("anna", "root")
    assert accounts.find("anna") is None
    assert accounts.has_administrator()


def test_one_of_two_administrators_stays_when_both_accounts_are_removed_at_once(
    tmp_path: Path,
) -> None:
    with running_postgres() as postgres:
        for url in (f"sqlite:///{tmp_path / 'two.sqlite'}", postgres):
            with Database(url) as database:
                accounts = AccountList(database)
                for name in ("anna", "bert"):
                    accounts.add(name, Role.ADMINISTRATOR, HASH, "root")
                with ThreadPoolExecutor(2) as pool:
                    done = [
                        future.exception()
                        for future in [
                            pool.submit(accounts.remove, name, "root") for name in ("anna", "bert")
                        ]
                    ]
                assert sorted(map(type, done), key=str) == [type(None), ConfigError]
                assert len(accounts.accounts()) == 1


def test_an_account_that_does_not_exist_is_named_in_the_error(accounts: AccountList) -> None:
    changes: list[Callable[[], object]] = [
        lambda: accounts.remove("anna", "root"),
        lambda: accounts.set_role("anna", Role.VIEWER, "root"),
        lambda: accounts.set_password("anna", HASH, "root"),
        lambda: accounts.end_sessions("anna", "root"),
        lambda: accounts.require("anna"),
    ]
    for change in changes:
        with pytest.raises(ConfigError, match="there is no account anna"):
            change()


def test_each_change_of_an_account_is_recorded_with_the_user_who_made_it(
    accounts: AccountList, database: Database
) -> None:
    accounts.add("anna", Role.VIEWER, HASH, "root")
    accounts.set_role("anna", Role.OPERATOR, "root", "10.0.0.1")
    accounts.set_role("anna", Role.OPERATOR, "root")  # changes nothing
    accounts.set_password("anna", "another", "anna")
    accounts.end_sessions("anna", "anna")
    accounts.remove("ANNA", "root")
    assert events(database) == [
        ("account added", "anna", "root", "as viewer"),
        ("role changed", "anna", "root", "from viewer to operator"),
        ("password changed", "anna", "anna", None),
        ("sessions ended", "anna", "anna", None),
        ("account removed", "anna", "root", None),
    ]


def test_an_identity_provider_user_keeps_the_account_and_gets_the_role_of_the_last_login(
    accounts: AccountList,
) -> None:
    first = accounts.log_in_provided("issuer 7", "carl", Role.VIEWER)
    assert (first.name, first.is_local) == ("carl", False)
    same = accounts.log_in_provided("issuer 7", "carl married", Role.VIEWER)
    assert same == first
    promoted = accounts.log_in_provided("issuer 7", "carl", Role.OPERATOR)
    assert (promoted.name, promoted.role) == ("carl", Role.OPERATOR)
    assert promoted.stamp != first.stamp, "the earlier sessions have to end"


def test_a_user_of_an_identity_provider_never_gets_the_account_of_somebody_else(
    accounts: AccountList,
) -> None:
    accounts.add("anna", Role.ADMINISTRATOR, HASH, "root")
    accounts.log_in_provided("issuer 7", "carl", Role.VIEWER)
    for name in ("Anna", "carl"):
        with pytest.raises(NameTaken):
            accounts.log_in_provided("issuer 8", name, Role.VIEWER)


def test_the_role_and_password_of_an_identity_provider_s_user_are_changed_there(
    accounts: AccountList,
) -> None:
    accounts.log_in_provided("issuer 7", "carl", Role.VIEWER)
    with pytest.raises(ConfigError, match="gives the account carl its role"):
        accounts.set_role("carl", Role.OPERATOR, "root")
    with pytest.raises(ConfigError, match="gives the account carl its password"):
        accounts.set_password("carl", HASH, "root")
