"""Tests the pages of accounts: a user's own, and all of them for administrators."""

import httpx
import pytest

from gateway.config import Role
from gateway.store.accounts import AccountList
from tests.accounts import PASSWORD, USER, add_account
from tests.unit.gateway.web.browsing import log_in, press
from tests.unit.gateway.web.filling import Filled

NEW = "eleven swans a-swimming"


@pytest.fixture
def accounts(gateway: Filled) -> AccountList:
    return AccountList(gateway.database)


def use_cookies(client: httpx.Client, cookies: dict[str, str]) -> None:
    """Makes a client the browser of another session."""
    client.cookies.clear()
    client.cookies.update(cookies)


def test_an_administrator_adds_changes_and_removes_an_account_on_the_gateway_page(
    user: httpx.Client, accounts: AccountList
) -> None:
    added = press(user, "/accounts", name="anna <b>", role="viewer", password=NEW)
    assert added.status_code == 422, "the name can't be one"
    added = press(user, "/accounts", name="anna", role="viewer", password=NEW)
    assert added.headers["location"] == "/accounts?said=account-added"
    page = user.get("/accounts?said=account-added").text
    assert "The account is added." in page
    assert '<th scope="row">anna</th>' in page
    press(user, "/accounts/role", name="anna", role="operator")
    assert accounts.require("anna").role is Role.OPERATOR
    before = accounts.require("anna")
    press(user, "/accounts/reset", name="anna", password=NEW + "!")
    press(user, "/accounts/end-sessions", name="anna")
    after = accounts.require("anna")
    assert before.password_hash != after.password_hash
    assert before.stamp != after.stamp
    press(user, "/accounts/remove", name="anna")
    assert accounts.find("anna") is None


@pytest.mark.parametrize(
    ("path", "fields", "says"),
    [
        ("/accounts/remove", {"name": USER}, f"{USER} is the last administrator"),
        ("/accounts/role", {"name": USER, "role": "viewer"}, "is the last administrator"),
        ("/accounts/remove", {"name": "nobody"}, "There is no account nobody"),
        ("/accounts/reset", {"name": USER, "password": "short"}, "has 5 characters, 12 are needed"),
        ("/accounts", {"name": USER, "role": "viewer", "password": NEW}, "There is an account"),
    ],
)
def test_a_change_of_an_account_that_is_refused_says_why(
    user: httpx.Client, accounts: AccountList, path: str, fields: dict[str, str], says: str
) -> None:
    answer = press(user, path, **fields)
    assert answer.status_code == 422
    assert says in answer.text.replace("&#39;", "'")
    assert "short" not in answer.text
    assert [account.name for account in accounts.accounts()] == [USER]


def test_an_unknown_role_of_an_account_is_refused(user: httpx.Client) -> None:
    assert press(user, "/accounts/role", name=USER, role="king").status_code == 400


def test_a_user_changes_the_password_and_stays_logged_in_here_alone(user: httpx.Client) -> None:
    elsewhere = dict(user.cookies)
    log_in(user)
    assert "<dd>2</dd>" in user.get("/account").text, "the open sessions"
    changed = press(user, "/account/password", old=PASSWORD, new=NEW, again=NEW)
    assert changed.headers["location"] == "/account?said=password-changed"
    assert user.get("/account").status_code == 200
    assert "<dd>1</dd>" in user.get("/account").text
    use_cookies(user, elsewhere)
    assert user.get("/").status_code == 303
    assert log_in(user).status_code == 401
    assert log_in(user, NEW).status_code == 303


@pytest.mark.parametrize(
    ("old", "new", "again", "says"),
    [
        ("wrong", NEW, NEW, "The present password is wrong."),
        (PASSWORD, NEW, NEW + "x", "The new passwords differ."),
        (PASSWORD, "dr. example 26", "dr. example 26", "besides common words"),
    ],
)
def test_the_account_page_changes_a_password_only_with_the_present_and_a_good_new_one(
    user: httpx.Client, accounts: AccountList, old: str, new: str, again: str, says: str
) -> None:
    before = accounts.require(USER).password_hash
    answer = press(user, "/account/password", old=old, new=new, again=again)
    assert answer.status_code == 422
    assert says in answer.text
    assert accounts.require(USER).password_hash == before


def test_log_out_everywhere_ends_all_sessions_of_the_user_only(
    user: httpx.Client, gateway: Filled
) -> None:
    add_account(gateway.database, "other")
    mine = dict(user.cookies)
    log_in(user, user="other")
    others = dict(user.cookies)
    log_in(user)
    assert press(user, "/account/logout-everywhere").headers["location"] == "/login"
    use_cookies(user, mine)
    assert user.get("/").status_code == 303
    use_cookies(user, others)
    assert user.get("/").status_code == 200


def test_a_viewer_has_a_gateway_page_of_the_own_account(
    stranger: httpx.Client, gateway: Filled
) -> None:
    add_account(gateway.database, "anna", Role.VIEWER)
    log_in(stranger, user="anna")
    page = stranger.get("/account").text
    assert "<dd>viewer</dd>" in page
    assert "Change the password" in page
