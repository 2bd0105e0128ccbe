"""Tests logins by the password of an account and through a reverse proxy, and their sessions."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network

import httpx
import pytest
from sqlalchemy import delete, select

from gateway.config import Role, WebSection
from gateway.store.accounts import AccountList
from gateway.store.events import EventKind
from gateway.store.schema import ACCOUNTS, EVENTS
from gateway.web.authentication import FormTokens
from gateway.web.server import running_web
from tests.accounts import add_account
from tests.servers import LOOPBACK
from tests.unit.gateway.web.browsing import PASSWORD, USER, form_token, log_in, press
from tests.unit.gateway.web.filling import Filled
from tests.waiting import WAIT_SECONDS, wait_until

BEHIND = ("/", "/?group=failed", "/studies/1.2.3", "/jobs/a/thumbnail", "/jobs/a/files/results/x")
ACTIONS = (
    "/jobs/a/retry",
    "/jobs/a/cancel",
    "/jobs/a/urgent",
    "/jobs/a/deliveries/pacs/0/retry",
    "/pause",
    "/resume",
    "/logout",
)


def test_a_form_token_of_the_gateway_page_is_valid_for_one_browser_only() -> None:
    tokens = FormTokens()
    assert tokens.fits("one", tokens.of("one"))
    assert not tokens.fits("one", tokens.of("other"))
    assert not tokens.fits("one", "")
    assert not tokens.fits("one", "ü")
    assert not FormTokens().fits("one", tokens.of("one"))


def recorded(gateway: Filled) -> Sequence[tuple[str, str]]:
    """What happened and who did it, in order, after the account was added."""
    is_shown = EVENTS.c.kind != EventKind.ACCOUNT_ADDED
    statement = select(EVENTS.c.kind, EVENTS.c.who).where(is_shown).order_by(EVENTS.c.event_id)
    with gateway.database.transaction() as connection:
        return [(what, who) for what, who in connection.execute(statement)]


def test_a_visitor_without_login_is_sent_to_the_login_page_of_the_gateway(
    stranger: httpx.Client,
) -> None:
    for path in BEHIND:
        answer = stranger.get(path)
        assert (answer.status_code, answer.text) == (303, "")
        assert answer.headers["location"].startswith("/login?next=")
        assert stranger.get(path, headers={"HX-Request": "true"}).status_code == 401


def test_a_visitor_without_login_can_not_use_any_button_of_the_gateway_page(
    stranger: httpx.Client, gateway: Filled
) -> None:
    token = form_token(stranger.get("/login"))
    for path in ACTIONS:
        answer = stranger.post(path, data={"form_token": token})
        assert answer.headers["location"] == "/login?next=%2F"
    assert not gateway.worker_list.is_paused()


def test_login_leads_to_the_gateway_page_that_was_asked_for(
    stranger: httpx.Client, gateway: Filled
) -> None:
    where = stranger.get("/?group=failed&automatic=1").headers["location"]
    assert 'name="next" value="/?group=failed"' in stranger.get(where).text
    answer = log_in(stranger, next="/?group=failed")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?group=failed")
    assert stranger.get("/").status_code == 200
    assert recorded(gateway) == [(EventKind.LOGGED_IN, USER)]


def test_login_to_the_gateway_page_never_leads_to_another_server(stranger: httpx.Client) -> None:
    assert log_in(stranger, next="//evil.example").headers["location"] == "/"


def test_the_login_session_cookie_is_sent_to_pages_of_the_gateway_only(
    stranger: httpx.Client,
) -> None:
    before = stranger.get("/login").headers["set-cookie"]
    after = log_in(stranger).headers["set-cookie"]
    for cookie in (before, after):
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {*cookie.split("; ")}
        assert "Secure" not in cookie  # without HTTPS, nobody could log in
    assert before.split(";")[0] != after.split(";")[0]


def test_a_wrong_password_at_the_login_is_refused_and_recorded(
    stranger: httpx.Client, gateway: Filled
) -> None:
    answer = log_in(stranger, "another password")
    assert answer.status_code == 401
    assert "Wrong name or password." in answer.text
    assert "another password" not in answer.text
    assert stranger.get("/").status_code == 303
    assert recorded(gateway) == [(EventKind.LOGIN_FAILED, USER)]


def test_a_login_name_without_an_account_is_refused_as_a_wrong_password_is(
    stranger: httpx.Client, gateway: Filled
) -> None:
    assert "Enter your name." in log_in(stranger, user=" \n ").text
    answer = log_in(stranger, user="x\n<b>" + "y" * 100)
    assert answer.status_code == 401
    assert "Wrong name or password." in answer.text
    assert "x&lt;b&gt;yyy" in answer.text
    assert recorded(gateway) == [(EventKind.LOGIN_FAILED, "x<b>" + "y" * 60)]


def test_a_user_logs_in_with_the_name_in_any_case_and_is_named_as_the_account(
    stranger: httpx.Client, gateway: Filled
) -> None:
    assert log_in(stranger, user=USER.upper()).status_code == 303
    assert recorded(gateway) == [(EventKind.LOGGED_IN, USER)]


def test_five_wrong_passwords_lock_an_address_out_of_the_gateway_page(
    stranger: httpx.Client, gateway: Filled
) -> None:
    token = form_token(stranger.get("/login"))
    form = {"form_token": token, "user": USER, "password": "a guess"}
    with ThreadPoolExecutor(8) as pool:
        statuses = [*pool.map(lambda _: stranger.post("/login", data=form).status_code, range(8))]
    assert sorted(statuses) == [401] * 5 + [429] * 3
    refused = log_in(stranger, PASSWORD)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "60"
    failure, alert = (EventKind.LOGIN_FAILED, USER), (EventKind.REFUSED, "127.0.0.1")
    assert set(recorded(gateway)) == {failure, alert}


def test_the_gateway_page_refuses_a_form_without_a_valid_token(
    user: httpx.Client, gateway: Filled
) -> None:
    for data in ({}, {"form_token": "0" * 64}, {"form_token": form_token(user.get("/"))[:-1]}):
        assert user.post("/pause", data=data).status_code == 403
    assert not gateway.worker_list.is_paused()
    user.cookies.clear()
    answer = user.post("/login", data={"user": USER, "password": PASSWORD})
    assert answer.status_code == 401
    assert recorded(gateway) == [(EventKind.LOGGED_IN, USER)]


def test_buttons_of_the_gateway_page_do_not_react_to_a_get_request(
    user: httpx.Client, gateway: Filled
) -> None:
    assert {user.get(path).status_code for path in ACTIONS} == {405}
    assert not gateway.worker_list.is_paused()


def test_the_login_cookie_is_invalid_after_logout(user: httpx.Client) -> None:
    cookies = dict(user.cookies)
    assert press(user, "/logout").headers["location"] == "/login"
    user.cookies.update(cookies)
    assert user.get("/").status_code == 303


def test_an_account_is_locked_for_all_addresses_after_twenty_wrong_passwords(
    gateway: Filled,
) -> None:
    web = WebSection(port=0, proxies=(ip_network("127.0.0.1"),))
    settings = gateway.settings.model_copy(update={"web": web})
    add_account(gateway.database, "other")
    with (
        running_web(settings) as port,
        httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=WAIT_SECONDS) as client,
    ):

        def status(number: int, user: str, password: str) -> int:
            client.headers["X-Forwarded-For"] = f"10.0.0.{number}"
            return log_in(client, password, user=user).status_code

        guesses = [status(n // 4, USER, "a guess") for n in range(20)]
        assert set(guesses) == {401}
        assert status(100, USER.lower(), PASSWORD) == 429
        assert status(100, "other", PASSWORD) == 303


def test_the_account_that_acts_is_named_in_the_history(user: httpx.Client, gateway: Filled) -> None:
    press(user, "/pause")
    assert recorded(gateway)[-1] == (EventKind.PAUSED, USER)
    press(user, "/logout")
    assert recorded(gateway)[-1] == (EventKind.LOGGED_OUT, USER)


@pytest.mark.parametrize("change", ["role", "password", "removal", "logout everywhere"])
def test_a_change_of_the_account_ends_its_login_sessions_at_once(
    user: httpx.Client, gateway: Filled, change: str
) -> None:
    accounts = AccountList(gateway.database)
    add_account(gateway.database, "another administrator")
    assert user.get("/").status_code == 200
    if change == "role":
        accounts.set_role(USER, Role.VIEWER, "root")
    elif change == "password":
        accounts.set_password(USER, "no hash", "root")
    elif change == "removal":
        accounts.remove(USER, "root")
    else:
        accounts.end_sessions(USER, "root")
    assert user.get("/?automatic=1", headers={"HX-Request": "true"}).status_code == 401
    assert user.get("/").status_code == 303


def test_a_login_session_survives_a_restart_of_the_gateway_page(gateway: Filled) -> None:
    cookies: dict[str, str] = {}
    for _ in range(2):
        with (
            running_web(gateway.settings) as port,
            httpx.Client(base_url=f"http://{LOOPBACK}:{port}", cookies=cookies) as client,
        ):
            if not cookies:
                assert log_in(client).status_code == 303
                cookies = dict(client.cookies)
            assert client.get("/").status_code == 200


class TestNoAccount:
    @pytest.fixture(autouse=True)
    def _no_account(self, gateway: Filled) -> None:
        with gateway.database.transaction() as connection:
            connection.execute(delete(ACCOUNTS))

    def test_the_login_page_says_how_to_add_the_first_administrator(
        self, stranger: httpx.Client
    ) -> None:
        page = stranger.get("/login").text
        assert "totalmap gateway user add NAME --role administrator" in page
        assert log_in(stranger).status_code == 401


class TestAShortSession:
    @pytest.fixture
    def web(self) -> WebSection:
        return WebSection(port=0, session_minutes=1 / 60)

    def test_a_login_session_ends_although_the_page_refreshes_itself(
        self, user: httpx.Client
    ) -> None:
        wait_until(lambda: user.get("/?automatic=1").status_code != 200, "the end of the session")
        assert user.get("/").status_code == 303


class TestAProxy:
    @pytest.fixture
    def web(self) -> WebSection:
        proxies = (ip_network("127.0.0.1"),)
        return WebSection(
            port=0, user_header="X-Remote-User", proxies=proxies, proxy_role=Role.OPERATOR
        )

    def test_a_reverse_proxy_names_the_user_of_the_page_and_there_is_no_login_page(
        self, stranger: httpx.Client, gateway: Filled
    ) -> None:
        stranger.headers["X-Remote-User"] = "anna"
        page = stranger.get("/")
        assert "anna" in page.text
        assert "Log out" not in page.text
        press(stranger, "/pause")
        assert gateway.worker_list.is_paused()
        assert recorded(gateway) == [(EventKind.LOGGED_IN, "anna"), (EventKind.PAUSED, "anna")]
        assert stranger.get("/login").status_code == 404

    def test_a_reverse_proxy_that_uses_https_makes_the_login_cookie_secure(
        self, stranger: httpx.Client
    ) -> None:
        headers = {"X-Remote-User": "anna", "X-Forwarded-Proto": "https"}
        assert "Secure" in stranger.get("/", headers=headers).headers["set-cookie"]

    def test_a_proxied_request_to_the_gateway_page_without_the_user_header_is_refused(
        self, stranger: httpx.Client
    ) -> None:
        assert stranger.get("/").status_code == 403

    def test_another_user_of_the_reverse_proxy_gets_another_login_session(
        self, stranger: httpx.Client
    ) -> None:
        token = form_token(stranger.get("/", headers={"X-Remote-User": "anna"}))
        answer = stranger.post(
            "/pause", data={"form_token": token}, headers={"X-Remote-User": "bert"}
        )
        assert answer.status_code == 403

    def test_local_accounts_have_no_page_where_a_reverse_proxy_logs_users_in(
        self, stranger: httpx.Client
    ) -> None:
        headers = {"X-Remote-User": USER}
        for path in ("/account", "/accounts"):
            assert stranger.get(path, headers=headers).status_code == 404
        assert "/account" not in stranger.get("/", headers=headers).text


class TestAProxyWithRoles:
    @pytest.fixture
    def web(self) -> WebSection:
        return WebSection(
            port=0,
            user_header="X-Remote-User",
            role_header="X-Remote-Groups",
            proxies=(ip_network("127.0.0.1"),),
            roles={"all-staff": Role.VIEWER, "pacs-team": Role.OPERATOR},
        )

    def test_the_highest_role_of_the_groups_that_a_proxy_names_counts(
        self, stranger: httpx.Client, gateway: Filled
    ) -> None:
        stranger.headers.update({"X-Remote-User": "anna", "X-Remote-Groups": "all-staff"})
        assert "anna, viewer" in stranger.get("/").text
        stranger.headers["X-Remote-Groups"] = "all-staff, pacs-team"
        token = form_token(stranger.get("/"))
        assert press(stranger, "/pause").status_code == 303
        assert gateway.worker_list.is_paused()
        stranger.headers["X-Remote-Groups"] = "all-staff"
        assert stranger.post("/resume", data={"form_token": token}).status_code == 403
        assert "anna, viewer" in stranger.get("/").text
        assert gateway.worker_list.is_paused()

    @pytest.mark.parametrize("groups", ["", "administrator", "nurses"])
    def test_a_user_of_the_reverse_proxy_without_a_role_is_refused(
        self, stranger: httpx.Client, gateway: Filled, groups: str
    ) -> None:
        headers = {"X-Remote-User": "anna", "X-Remote-Groups": groups}
        answer = stranger.get("/", headers=headers)
        assert answer.status_code == 403
        assert "no role" in answer.text
        assert recorded(gateway) == [(EventKind.LOGIN_FAILED, "anna")]


class TestNoProxy:
    @pytest.fixture
    def web(self) -> WebSection:
        proxies = (ip_network("10.0.0.0/8"),)
        return WebSection(port=0, user_header="X-Remote-User", proxies=proxies)

    def test_the_user_header_of_a_client_that_is_no_proxy_is_refused(
        self, stranger: httpx.Client, gateway: Filled
    ) -> None:
        headers = {"X-Remote-User": "anna", "X-Forwarded-For": "10.0.0.1"}
        statuses = [stranger.get("/", headers=headers).status_code for _ in range(7)]
        assert statuses == [403] * 5 + [429] * 2
        assert set(recorded(gateway)) == {
            (EventKind.LOGIN_FAILED, "anna"),
            (EventKind.REFUSED, "127.0.0.1"),
        }
