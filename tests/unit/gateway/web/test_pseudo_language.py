"""No text of any page of the gateway stands outside the catalogues."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount, Route

from gateway.config import GatewaySettings, OidcSection, Role, WebSection
from gateway.web.context import WebContext
from gateway.web.rendering import render
from gateway.web.server import create_application, running_web
from tests.accounts import PASSWORD, USER, add_account
from tests.phantom.study import WrittenSeries
from tests.pseudo_language import pseudo_texts
from tests.servers import LOOPBACK
from tests.unit.gateway.web.browsing import form_token, log_in
from tests.unit.gateway.web.every_state import EveryState, settings_with_everything
from tests.unit.gateway.web.filling import Filled, open_filled
from tests.unit.gateway.web.page_words import PageWords
from tests.waiting import WAIT_SECONDS
from totalmap.texts.catalogue import Language, Texts, texts_in

PSEUDO = replace(pseudo_texts(), language="xx")
OIDC = OidcSection(issuer="http://127.0.0.1:1", client_id="totalmap")
# Paths that answer no page: files, numbers for programs, and links that lead on to a page.
NO_PAGES = {
    "/health",
    "/metrics",
    "/static",
    "/jobs/{job_id}",
    "/jobs/{job_id}/thumbnail",
    "/jobs/{job_id}/files/{path:path}",
    "/jobs/{job_id}/view/{number:int}/prepare",
    "/jobs/{job_id}/view/{number:int}/{name}",
    "/conflicts/{conflict_id:int}",
    "/review/rates.csv",
}
# What is the same in every language: data of the test, names of users, rules, files, attributes,
# tasks, settings and units of DICOM, and errors of the system.
SAME = re.compile(
    r"\bdata\b[-\w.^]*|Dr\. Example|\bCT1?\b|\bMR\b|\bct\b|\bcpu\b|\bpacs\b|\bbox-1\b"
    r"|\b[AFHLMOPR]\b"
    r"|\bUTC\b|TotalMAP|OpenID Connect"
    r"|\b(?:seg|report|preview|status)\.\w+|rejected/|\btotal, fast\b|\btotal\b"
    r"|(?:\b(?:seg.labelmap|seg|sr|rtstruct|preview|report|csv|nifti)\b(?:, )?)+"
    r"|receive\.keep_free_gb|Connection refused|Pixel Data|Patient's \w+(?: \w+)?|Patient ID"
    r"|Other Patient IDs\w*|Issuer of Patient ID",
    re.IGNORECASE,
)


def application(gateway: Filled) -> Starlette:
    return create_application(WebContext.open(gateway.settings, gateway.database, texts=PSEUDO))


@contextmanager
def browsing(gateway: Filled, texts: Texts = PSEUDO, **fields: str) -> Iterator[httpx.Client]:
    """Serves the page in a language, and yields a browser whose user is logged in."""
    with (
        running_web(gateway.settings, texts=texts) as port,
        httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=WAIT_SECONDS) as client,
    ):
        assert log_in(client, **fields).status_code == 303
        yield client


@pytest.fixture(scope="module")
def everything(
    tmp_path_factory: pytest.TempPathFactory, phantom_series: WrittenSeries
) -> Iterator[EveryState]:
    web = WebSection(port=0, public_url="http://127.0.0.1:2", oidc=OIDC)
    folder = tmp_path_factory.mktemp("everything") / "storage"
    settings = settings_with_everything(GatewaySettings(storage_folder=folder, web=web))
    gateway = open_filled(settings)
    with gateway.database:
        add_account(gateway.database)
        yield EveryState(gateway, phantom_series.paths[0])


@pytest.fixture(scope="module")
def client(everything: EveryState) -> Iterator[httpx.Client]:
    with browsing(everything.gateway) as client:
        yield client


def untranslated(html: str) -> list[str]:
    page = PageWords(html)
    assert page.language == "xx"
    return [word for word in page.words if re.search(r"[A-Za-z]", SAME.sub("", word))]


def paths_of_pages(app: Starlette) -> set[str]:
    routes = [route for route in app.routes if not isinstance(route, Mount) or route.path]
    behind = (route.routes for route in app.routes if isinstance(route, Mount) and not route.path)
    routes += [route for inner in behind for route in inner]
    shown = {
        route.path
        for route in routes
        if isinstance(route, Route) and "GET" in (route.methods or ()) and route.path
    }
    return shown - NO_PAGES


def urls(everything: EveryState) -> dict[str, list[str]]:
    """Returns the URLs of each page, in all its forms."""
    study = everything.studies
    groups = ("failed", "running", "waiting", "done", "withdrawn")
    return {
        "/": ["/", "/?said=retried", *(f"/?group={group}" for group in groups)],
        "/search": ["/search", "/search?search=unknown"],
        "/rules": [
            "/rules",
            f"/rules?study={study['review']}",
            f"/rules?study={study['nameless']}",
            "/rules?study=1.2.3",
            f"/rules?study={'1' * 65}",
        ],
        "/log": ["/log"],
        "/review": ["/review", "/review?rule=data&said=accepted"],
        "/review/decided": ["/review/decided", "/review/decided?who=data-nobody&page=2"],
        "/review/rates": ["/review/rates", "/review/rates?weeks=", "/review/rates?rule=data-x"],
        "/studies/{study:path}": [
            "/studies/1.2.3",
            *(f"/studies/{uid}" for uid in study.values()),
        ],
        "/jobs/{job_id}/view/{number:int}": [
            *(f"/jobs/{everything.jobs[name]}/view/0" for name in ("review", "held")),
            "/jobs/unknown/view/0",
        ],
        "/jobs/{job_id}/decide": [
            *(f"/jobs/{everything.jobs[name]}/decide" for name in ("review", "held", "accepted")),
            "/jobs/unknown/decide",
        ],
        "/account": ["/account"],
        "/accounts": ["/accounts"],
        "/login": ["/login"],
        "/login/oidc/begin": ["/login/oidc/begin"],
        "/login/oidc": ["/login/oidc"],
    }


def test_no_gateway_page_has_a_text_outside_the_catalogues(
    client: httpx.Client, everything: EveryState
) -> None:
    pages = urls(everything)
    assert pages.keys() == paths_of_pages(application(everything.gateway))
    for url in (url for of_page in pages.values() for url in of_page):
        assert untranslated(client.get(url).text) == [], url


def test_no_page_of_an_empty_gateway_has_a_text_outside_the_catalogues(gateway: Filled) -> None:
    with browsing(gateway) as client:
        for url in (
            "/",
            "/?group=done",
            "/review",
            "/review/decided",
            "/review/rates",
            "/search",
            "/rules",
            "/log",
        ):
            assert untranslated(client.get(url).text) == [], url


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/search", {"patient": "data"}),
        ("/search", {"patient": "nobody"}),
        ("/search", {"first_date": "yesterday"}),
        ("/search", {"first_date": "2026-11-27", "last_date": "2026-11-26"}),
        ("/search", {"state": "none"}),
        ("/account/password", {"old": "wrong"}),
        ("/account/password", {"old": PASSWORD, "new": "a", "again": "b"}),
        ("/account/password", {"old": PASSWORD, "new": "a", "again": "a"}),
        ("/accounts", {"name": "-", "role": "viewer", "password": "four words of data"}),
        ("/accounts", {"name": "data-viewer", "role": "viewer", "password": "four words of data"}),
        ("/accounts", {"name": "data-x", "role": "none", "password": "four words of data"}),
        ("/accounts", {"name": "data-x", "role": "viewer", "password": "password1234"}),
        ("/accounts/role", {"name": "data-provided", "role": "operator"}),
        ("/accounts/role", {"name": USER, "role": "viewer"}),
        ("/accounts/reset", {"name": "data-provided", "password": "four words of data"}),
        ("/accounts/reset", {"name": "data-viewer", "password": "abababababab"}),
        ("/accounts/remove", {"name": "data-nobody"}),
        ("/jobs/data/deliveries/data/0/retry", {}),
        ("/conflicts/1/1/nothing", {}),
        ("/nothing", {}),
    ],
)
def test_no_answer_of_the_gateway_page_to_a_form_has_a_text_outside_the_catalogues(
    client: httpx.Client, path: str, fields: dict[str, str]
) -> None:
    if path == "/accounts/role" and fields["name"] == USER:
        other = {"form_token": form_token(client.get("/")), "name": "data-administrator"}
        client.post("/accounts/remove", data=other)
    form = {"form_token": form_token(client.get("/")), **fields}
    answer = client.post(path, data=form, follow_redirects=True)
    assert untranslated(answer.text) == []
    assert untranslated(client.post(path, data={**form, "form_token": "old"}).text) == []


def test_no_refusal_of_the_gateway_page_has_a_text_outside_the_catalogues(
    client: httpx.Client, everything: EveryState
) -> None:
    with browsing(everything.gateway, user=f"data-{Role.VIEWER}") as viewer:
        assert viewer.get("/log").status_code == 403
        assert untranslated(viewer.get("/log").text) == []
        assert untranslated(viewer.get("/").text) == []
    for answer in (
        client.request("PUT", "/log"),
        client.post("/login", data={"user": ""}),
        log_in(client, password="wrong"),  # noqa: S106  a wrong one
        client.post("/login", data={"user": "a" * 20_000}),
        *(log_in(client, password="wrong") for _ in range(6)),  # noqa: S106
    ):
        assert answer.status_code >= 400
        assert untranslated(answer.text) == []
    request = Request({"type": "http", "app": application(everything.gateway)})
    logged_in = render(request, "logged_in.html.jinja", where="/")
    assert untranslated(bytes(logged_in.body).decode()) == []


@pytest.mark.parametrize("language", Language)
def test_gateway_pages_show_results_with_the_notice_about_ai_in_their_language(
    everything: EveryState, language: Language
) -> None:
    texts = texts_in(language)
    with browsing(everything.gateway, texts) as client:
        for path in ("/", f"/studies/{everything.studies['review']}"):
            page = client.get(path).text
            assert texts("notice.ai") in page
            assert f'<html lang="{language}">' in page


def test_german_gateway_pages_show_findings_numbers_and_dates_in_german(
    everything: EveryState,
) -> None:
    with browsing(everything.gateway, texts_in(Language.GERMAN)) as client:
        page = client.get(f"/studies/{everything.studies['review']}").text
        overview = client.get("/?group=done").text
        worklist = client.get("/review").text
    for expected in ("26.11.2026", "Niere links", "mehrere Teile", "144", "50,0 kB"):
        assert expected in page
    finding = "Leber: unvollst\u00e4ndig, ber\u00fchrt den Rand des Bildfelds (links und oben)."
    assert finding in page
    assert f"Pr\u00fcfung n\u00f6tig: {finding}" in overview
    assert f"Pr\u00fcfung n\u00f6tig: {finding}" in worklist
