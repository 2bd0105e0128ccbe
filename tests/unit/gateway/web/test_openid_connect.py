"""Tests logins by OpenID Connect against a small real provider, also when it is away."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import select

from gateway.config import OidcSection, Role, WebSection
from gateway.store.accounts import AccountList
from gateway.store.events import EventKind
from gateway.store.schema import EVENTS
from gateway.web.server import running_web
from tests.accounts import PASSWORD, USER, add_account
from tests.openid_provider import (
    CLIENT_ID,
    SECRET,
    TOKEN_METHODS,
    Provider,
    new_key,
    running_provider,
)
from tests.servers import LOOPBACK, free_port
from tests.unit.gateway.web.browsing import log_in, press
from tests.unit.gateway.web.filling import Filled
from tests.waiting import WAIT_SECONDS
from totalmap.errors import ConfigError

CLAIMS = {"sub": "user-7", "preferred_username": "Carla Clinic", "groups": ["staff", "pacs"]}
ROLES = {"staff": Role.VIEWER, "pacs": Role.OPERATOR}


@dataclass
class Browser:
    """A browser that follows redirects between the gateway and the provider.

    Attributes:
        page: The gateway, with the cookies of the browser.
        trust: The authority of the provider.
    """

    page: httpx.Client
    trust: ssl.SSLContext

    def begin(self, path: str = "/") -> str:
        """Presses the button of the login page; returns the URL of the provider."""
        answer = self.page.get("/login/oidc/begin", params={"next": path})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def agree(self, url: str) -> str:
        """Agrees on the page of the provider; returns where it sends the browser."""
        with httpx.Client(verify=self.trust, timeout=WAIT_SECONDS) as client:
            answer = client.get(url)
        assert answer.status_code == 302, answer.text
        location: str = answer.headers["location"]
        return location

    def log_in(self, path: str = "/") -> httpx.Response:
        """Logs in; returns the answer of the gateway."""
        return self.page.get(self.agree(self.begin(path)))


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def provider(tmp_path: Path, port: int) -> Iterator[Provider]:
    with running_provider(tmp_path, f"http://{LOOPBACK}:{port}", CLAIMS) as provider:
        yield provider


@pytest.fixture
def web(tmp_path: Path, port: int, provider: Provider) -> WebSection:
    return section(tmp_path, port, provider.url, ca_file=provider.ca_file)


def section(folder: Path, port: int, issuer: str, **values: object) -> WebSection:
    secret_file = folder / "secret"
    secret_file.write_text(f"{SECRET}\n")
    oidc = {
        "issuer": issuer,
        "client_id": CLIENT_ID,
        "client_secret_file": secret_file,
        **values,
    }
    return WebSection(
        port=port,
        public_url=f"http://{LOOPBACK}:{port}/",
        oidc=OidcSection.model_validate(oidc),
        roles=ROLES,
    )


@pytest.fixture
def browser(stranger: httpx.Client, provider: Provider) -> Browser:
    return Browser(stranger, ssl.create_default_context(cafile=provider.ca_file))


def recorded(gateway: Filled) -> list[tuple[str, str, str | None]]:
    is_shown = EVENTS.c.who != "tests"
    columns = (EVENTS.c.kind, EVENTS.c.who, EVENTS.c.detail)
    with gateway.database.transaction() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).where(is_shown))]


def test_a_user_of_an_openid_provider_logs_in_with_the_highest_role_of_the_groups(
    browser: Browser, gateway: Filled
) -> None:
    assert "Log in through the hospital&#39;s portal" in browser.page.get("/login").text
    done = browser.log_in("/?group=failed")
    assert done.status_code == 200
    assert 'content="0; url=/?group=failed"' in done.text
    assert "Carla Clinic" in browser.page.get("/").text
    press(browser.page, "/pause")
    assert gateway.worker_list.is_paused()
    assert browser.page.get("/accounts").status_code == 403
    assert "Change the password" not in browser.page.get("/account").text
    account = AccountList(gateway.database).require("carla clinic")
    assert (account.role, account.is_local) == (Role.OPERATOR, False)
    assert recorded(gateway)[:3] == [
        (EventKind.ACCOUNT_ADDED, "Carla Clinic", "as operator"),
        (EventKind.LOGGED_IN, "Carla Clinic", None),
        (EventKind.PAUSED, "Carla Clinic", None),
    ]


def test_the_cookies_of_an_openid_login_are_sent_where_they_are_needed_only(
    browser: Browser,
) -> None:
    started = browser.page.get("/login/oidc/begin")
    cookie = {*started.headers["set-cookie"].split("; ")}
    assert {"HttpOnly", "SameSite=lax", "Path=/login/oidc"} <= cookie
    done = browser.page.get(browser.agree(started.headers["location"]))
    session, state = done.headers.get_list("set-cookie")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {*session.split("; ")}
    assert {'totalmap-oidc=""', "Max-Age=0"} <= {*state.split("; ")}


def test_the_openid_login_request_has_pkce_a_nonce_and_a_state_that_all_differ(
    browser: Browser,
) -> None:
    asked = [parse_qs(urlsplit(browser.begin()).query) for _ in range(2)]
    for query in asked:
        assert query["code_challenge_method"] == ["S256"]
        assert query["scope"] == ["openid profile"]
        assert query["response_type"] == ["code"]
    for name in ("state", "nonce", "code_challenge"):
        assert asked[0][name] != asked[1][name]


@pytest.mark.parametrize("method", TOKEN_METHODS)
def test_the_openid_client_secret_is_shown_as_the_provider_demands(
    browser: Browser, provider: Provider, method: str
) -> None:
    provider.token_method = method
    assert browser.log_in().status_code == 200


def test_an_openid_login_asks_for_claims_that_only_the_user_info_has(
    browser: Browser, provider: Provider
) -> None:
    provider.claims = {"sub": "user-7"}
    provider.user_info = {"preferred_username": "carla", "groups": "staff"}
    assert browser.log_in().status_code == 200
    assert "carla</a>, viewer" in browser.page.get("/").text
    provider.user_info["sub"] = "user-8"
    assert browser.log_in().status_code == 403


def test_a_role_changed_at_the_openid_provider_ends_the_earlier_sessions(
    browser: Browser, provider: Provider
) -> None:
    browser.log_in()
    before = dict(browser.page.cookies)
    provider.claims["groups"] = ["staff"]
    browser.log_in()
    assert "Carla Clinic</a>, viewer" in browser.page.get("/").text
    browser.page.cookies.clear()
    browser.page.cookies.update(before)
    assert browser.page.get("/").status_code == 303


@pytest.mark.parametrize("groups", [[], ["nurses"], ["administrator"], "nurses", [7], None])
def test_an_openid_user_without_a_mapped_role_is_refused(
    browser: Browser, provider: Provider, gateway: Filled, groups: object
) -> None:
    provider.claims["groups"] = groups
    answer = browser.log_in()
    assert answer.status_code == 403
    assert "no role" in answer.text
    assert browser.page.get("/").status_code == 303
    assert recorded(gateway) == [(EventKind.LOGIN_FAILED, "Carla Clinic", "no role")]


def test_an_openid_user_never_gets_a_local_account_of_the_same_name(
    browser: Browser, provider: Provider
) -> None:
    provider.claims["preferred_username"] = USER.lower()
    answer = browser.log_in()
    assert answer.status_code == 403
    assert "Another account has the name" in answer.text


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"aud": ["another client"]},
        {"aud": [CLIENT_ID, "another"], "azp": "another"},
        {"iss": "https://evil.example"},
        {"exp": 1_000_000_000},
        {"iat": 4_000_000_000},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
        {"sub": ""},
        {"sub": "x" * 300},
        {"sub": "x\0"},
        {"sub": 7},
    ],
)
def test_an_openid_id_token_with_a_wrong_claim_is_refused(
    browser: Browser, provider: Provider, claims: dict[str, object]
) -> None:
    provider.wrong_claims = claims
    answer = browser.log_in()
    assert answer.status_code == 403
    assert "an answer that is not valid" in answer.text
    assert browser.page.get("/").status_code == 303


def test_an_openid_id_token_signed_by_somebody_else_is_refused(
    browser: Browser, provider: Provider
) -> None:
    provider.published_key = new_key()
    assert browser.log_in().status_code == 403


def test_new_keys_of_the_openid_provider_are_read_without_a_restart(
    browser: Browser, provider: Provider
) -> None:
    assert browser.log_in().status_code == 200
    provider.key = new_key()
    assert browser.log_in().status_code == 200


def test_an_openid_login_that_began_in_another_browser_is_refused(browser: Browser) -> None:
    where = browser.agree(browser.begin())
    cookies = dict(browser.page.cookies)
    browser.page.cookies.clear()
    for state in (None, "another.%2F", "."):
        if state is not None:
            browser.page.cookies.set("totalmap-oidc", state)
        answer = browser.page.get(where)
        assert answer.status_code == 403
        assert "This login was out of date. Try again." in answer.text
    browser.page.cookies.clear()
    browser.page.cookies.update(cookies)
    assert browser.page.get(where).status_code == 200
    browser.page.cookies.update(cookies)
    assert browser.page.get(where).status_code == 403, "a code is valid once"


def test_a_user_who_does_not_agree_at_the_openid_provider_is_told_so(
    browser: Browser, provider: Provider
) -> None:
    provider.is_refusing = True
    answer = browser.log_in()
    assert answer.status_code == 403
    assert "has refused or cancelled the login" in answer.text


def test_login_by_an_openid_provider_never_leads_to_another_server(browser: Browser) -> None:
    assert 'content="0; url=/"' in browser.log_in("//evil.example").text


def test_the_answer_of_another_openid_provider_is_refused(browser: Browser) -> None:
    where = browser.agree(browser.begin())
    answer = browser.page.get(f"{where}&iss=https%3A%2F%2Fevil.example")
    assert answer.status_code == 403
    assert "Another provider has answered" in answer.text


class TestAProviderThatIsAway:
    @pytest.fixture
    def web(self, tmp_path: Path, port: int) -> WebSection:
        return section(tmp_path, port, f"http://{LOOPBACK}:{free_port()}", label="the portal")

    def test_while_the_openid_provider_is_away_the_page_says_so_and_local_accounts_log_in(
        self, stranger: httpx.Client
    ) -> None:
        assert stranger.get("/login").status_code == 200
        for path in ("/login/oidc/begin", "/login/oidc?state=a&code=b"):
            stranger.cookies.set("totalmap-oidc", "a.%2F", path="/login/oidc")
            answer = stranger.get(path)
            assert answer.status_code == 503
            assert "The portal does not answer." in answer.text
            assert "log in with an account of this gateway" in answer.text
        assert log_in(stranger, PASSWORD).status_code == 303
        assert stranger.get("/").status_code == 200


def test_an_openid_provider_elsewhere_without_encryption_is_refused_in_the_settings() -> None:
    for url in ("http://login.example", "ftp://login.example", "login.example", "https://"):
        with pytest.raises(ValueError, match="issuer"):
            OidcSection(issuer=url, client_id="x")


def test_the_page_needs_an_encrypted_url_for_logins_by_an_openid_provider() -> None:
    oidc = OidcSection(issuer="https://login.example", client_id="x")
    for url, said in ((None, "oidc needs public_url"), ("http://gateway.example", "https://")):
        with pytest.raises(ValueError, match=said):
            WebSection(public_url=url, oidc=oidc)
    assert WebSection(public_url="http://gateway.example/").public_url == "http://gateway.example"


def test_a_proxy_and_an_openid_provider_can_not_both_log_users_in(tmp_path: Path) -> None:
    web = section(tmp_path, 1, "https://login.example")
    with pytest.raises(ValueError, match="user_header and oidc can't both be set"):
        WebSection(user_header="X-Remote-User", oidc=web.oidc)


@pytest.mark.parametrize("name", ["client_secret_file", "ca_file"])
def test_a_file_of_the_openid_settings_that_can_not_be_read_is_named(
    gateway: Filled, tmp_path: Path, name: str
) -> None:
    web = section(tmp_path, 0, f"http://{LOOPBACK}:1", **{name: tmp_path / "missing.pem"})
    settings = gateway.settings.model_copy(update={"web": web})
    with pytest.raises(ConfigError, match=r"web\.oidc"), running_web(settings):
        pass


def test_sessions_end_when_the_openid_provider_is_taken_out_of_the_settings(
    browser: Browser, gateway: Filled
) -> None:
    browser.log_in()
    add_account(gateway.database, "local")
    settings = gateway.settings.model_copy(update={"web": WebSection(port=0)})
    with (
        running_web(settings) as port,
        httpx.Client(
            base_url=f"http://{LOOPBACK}:{port}", cookies=dict(browser.page.cookies)
        ) as client,
    ):
        assert client.get("/").status_code == 303
