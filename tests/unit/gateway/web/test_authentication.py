"""Tests logins by password and through a reverse proxy, and the end of sessions."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network

import httpx
import pytest
from sqlalchemy import select
from starlette.requests import HTTPConnection

from gateway.config import WebSection
from gateway.store.events import EventKind
from gateway.store.schema import EVENTS
from gateway.web.authentication import FormTokens, Origin, Sessions, origin_of
from tests.unit.gateway.web.browsing import PASSWORD, USER, form_token, log_in, press
from tests.unit.gateway.web.filling import Filled
from tests.waiting import wait_until

PROXIES = (ip_network("10.0.0.0/24"), ip_network("fd00::/64"))
BEHIND = ("/", "/?group=failed", "/studies/1.2.3", "/jobs/a/thumbnail", "/jobs/a/files/results/x")
ACTIONS = (
    "/jobs/a/retry",
    "/jobs/a/cancel",
    "/jobs/a/urgent",
    "/jobs/a/deliveries/pacs/retry",
    "/pause",
    "/resume",
    "/logout",
)


def connection(peer: str, **headers: str) -> HTTPConnection:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HTTPConnection(
        {
            "type": "http",
            "scheme": "http",
            "path": "/",
            "server": ("here", 80),
            "headers": raw,
            "client": (peer, 1),
        }
    )


@pytest.mark.parametrize("peer", ["10.0.0.7", "fd00::7", "::ffff:10.0.0.7"])
def test_only_the_address_that_a_trusted_proxy_added_is_used(peer: str) -> None:
    said = connection(peer, x_forwarded_for="1.1.1.1, 192.168.1.5", x_forwarded_proto="https")
    assert origin_of(said, PROXIES) == Origin(
        address="192.168.1.5", is_by_proxy=True, is_https=True
    )


@pytest.mark.parametrize("peer", ["10.0.1.7", "fd01::7", "127.0.0.1"])
def test_forwarding_headers_of_untrusted_peers_are_ignored(peer: str) -> None:
    said = connection(peer, x_forwarded_for="10.0.0.7", x_forwarded_proto="https")
    assert origin_of(said, PROXIES) == Origin(address=peer, is_by_proxy=False, is_https=False)


def test_an_invalid_forwarded_address_is_replaced_by_that_of_the_proxy() -> None:
    assert origin_of(connection("10.0.0.7", x_forwarded_for="nonsense"), PROXIES).address == (
        "10.0.0.7"
    )


def test_a_session_ends_when_its_user_is_idle() -> None:
    now = [0.0]
    sessions = Sessions(10.0, lambda: now[0])
    token = sessions.open("user").token
    for moment in (9.0, 18.0, 27.0):
        now[0] = moment
        assert sessions.find(token, is_acting=True)
    now[0] = 36.0
    assert sessions.find(token, is_acting=False)  # a page that refreshes itself
    now[0] = 38.0
    assert sessions.find(token, is_acting=True) is None


def test_closing_a_session_ends_only_that_session() -> None:
    sessions = Sessions(10.0)
    one, other = sessions.open("one"), sessions.open("other")
    assert sessions.find("", is_acting=True) is None
    sessions.close(one.token)
    assert sessions.find(one.token, is_acting=True) is None
    assert sessions.find(other.token, is_acting=True) == other


def test_a_form_token_is_valid_for_one_browser_only() -> None:
    tokens = FormTokens()
    assert tokens.fits("one", tokens.of("one"))
    assert not tokens.fits("one", tokens.of("other"))
    assert not tokens.fits("one", "")
    assert not tokens.fits("one", "ü")
    assert not FormTokens().fits("one", tokens.of("one"))


def recorded(gateway: Filled) -> Sequence[tuple[str, str]]:
    """What happened and who did it, in order."""
    statement = select(EVENTS.c.kind, EVENTS.c.who).order_by(EVENTS.c.event_id)
    with gateway.database.transaction() as connection:
        return [(what, who) for what, who in connection.execute(statement)]


def test_a_visitor_without_login_is_sent_to_the_login_page(stranger: httpx.Client) -> None:
    for path in BEHIND:
        answer = stranger.get(path)
        assert (answer.status_code, answer.text) == (303, "")
        assert answer.headers["location"].startswith("/login?next=")
        assert stranger.get(path, headers={"HX-Request": "true"}).status_code == 401


def test_a_visitor_without_login_can_not_use_any_button(
    stranger: httpx.Client, gateway: Filled
) -> None:
    token = form_token(stranger.get("/login"))
    for path in ACTIONS:
        answer = stranger.post(path, data={"form_token": token})
        assert answer.headers["location"] == "/login?next=%2F"
    assert not gateway.worker_list.is_paused()


def test_login_leads_to_the_page_that_was_asked_for(
    stranger: httpx.Client, gateway: Filled
) -> None:
    where = stranger.get("/?group=failed&automatic=1").headers["location"]
    assert 'name="next" value="/?group=failed"' in stranger.get(where).text
    answer = log_in(stranger, next="/?group=failed")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?group=failed")
    assert stranger.get("/").status_code == 200
    assert recorded(gateway) == [(EventKind.LOGGED_IN, USER)]


def test_login_never_leads_to_another_server(stranger: httpx.Client) -> None:
    assert log_in(stranger, next="//evil.example").headers["location"] == "/"


def test_the_session_cookie_is_sent_to_pages_of_the_gateway_only(stranger: httpx.Client) -> None:
    before = stranger.get("/login").headers["set-cookie"]
    after = log_in(stranger).headers["set-cookie"]
    for cookie in (before, after):
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {*cookie.split("; ")}
        assert "Secure" not in cookie  # without HTTPS, nobody could log in
    assert before.split(";")[0] != after.split(";")[0]


def test_a_wrong_password_is_refused_and_recorded(stranger: httpx.Client, gateway: Filled) -> None:
    answer = log_in(stranger, "another password")
    assert answer.status_code == 401
    assert "Wrong password." in answer.text
    assert "another password" not in answer.text
    assert stranger.get("/").status_code == 303
    assert recorded(gateway) == [(EventKind.LOGIN_FAILED, USER)]


def test_a_user_name_is_required_and_cut_for_the_record(
    stranger: httpx.Client, gateway: Filled
) -> None:
    assert log_in(stranger, user=" \n ").status_code == 401
    assert log_in(stranger, user="x\n<b>" + "y" * 100).status_code == 303
    assert recorded(gateway) == [(EventKind.LOGGED_IN, "x<b>" + "y" * 60)]
    assert "x&lt;b&gt;yyy" in stranger.get("/").text


def test_five_wrong_passwords_lock_an_address_out(stranger: httpx.Client, gateway: Filled) -> None:
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


def test_a_form_without_a_valid_token_is_refused(user: httpx.Client, gateway: Filled) -> None:
    for data in ({}, {"form_token": "0" * 64}, {"form_token": form_token(user.get("/"))[:-1]}):
        assert user.post("/pause", data=data).status_code == 403
    assert not gateway.worker_list.is_paused()
    user.cookies.clear()
    answer = user.post("/login", data={"user": USER, "password": PASSWORD})
    assert answer.status_code == 401
    assert recorded(gateway) == [(EventKind.LOGGED_IN, USER)]


def test_buttons_do_not_react_to_a_get_request(user: httpx.Client, gateway: Filled) -> None:
    assert {user.get(path).status_code for path in ACTIONS} == {405}
    assert not gateway.worker_list.is_paused()


def test_the_cookie_is_invalid_after_logout(user: httpx.Client) -> None:
    cookies = dict(user.cookies)
    assert press(user, "/logout").headers["location"] == "/login"
    user.cookies.update(cookies)
    assert user.get("/").status_code == 303


class TestAShortSession:
    @pytest.fixture
    def web(self) -> WebSection:
        return WebSection(port=0, session_minutes=1 / 60)

    def test_a_session_ends_although_the_page_refreshes_itself(self, user: httpx.Client) -> None:
        wait_until(lambda: user.get("/?automatic=1").status_code != 200, "the end of the session")
        assert user.get("/").status_code == 303


class TestAProxy:
    @pytest.fixture
    def web(self) -> WebSection:
        proxies = (ip_network("127.0.0.1"),)
        return WebSection(port=0, user_header="X-Remote-User", proxies=proxies)

    def test_a_proxy_names_the_user_and_there_is_no_login_page(
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

    def test_a_proxy_that_uses_https_makes_the_cookie_secure(self, stranger: httpx.Client) -> None:
        headers = {"X-Remote-User": "anna", "X-Forwarded-Proto": "https"}
        assert "Secure" in stranger.get("/", headers=headers).headers["set-cookie"]

    def test_a_request_without_the_user_header_is_refused(self, stranger: httpx.Client) -> None:
        assert stranger.get("/").status_code == 403

    def test_another_user_of_the_proxy_gets_another_session(self, stranger: httpx.Client) -> None:
        token = form_token(stranger.get("/", headers={"X-Remote-User": "anna"}))
        answer = stranger.post(
            "/pause", data={"form_token": token}, headers={"X-Remote-User": "bert"}
        )
        assert answer.status_code == 403


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
