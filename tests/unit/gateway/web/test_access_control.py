"""Goes over all routes of the page: each states the permission that it needs, and is guarded."""

import re
from itertools import pairwise

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from gateway.config import OidcSection, Role, WebSection
from gateway.store.events import EventKind
from gateway.store.schema import EVENTS
from gateway.web.access_control import Guard, PermittedRoute
from gateway.web.context import WebContext
from gateway.web.permissions import PERMISSIONS, Permission, may
from gateway.web.server import create_application
from tests.accounts import add_account
from tests.unit.gateway.web.browsing import form_token, log_in
from tests.unit.gateway.web.filling import Filled

# What everybody may reach: it shows nothing of patients, studies or users.
PUBLIC = {"/health", "/metrics", "/static", "/login", "/login/oidc", "/login/oidc/begin"}
OIDC = OidcSection(issuer="http://127.0.0.1:1", client_id="totalmap")


@pytest.fixture
def web() -> WebSection:
    return WebSection(port=0, public_url="http://127.0.0.1:2", oidc=OIDC)


def application(gateway: Filled) -> Starlette:
    return create_application(WebContext.open(gateway.settings, gateway.database))


def test_every_route_of_the_gateway_page_is_public_on_purpose_or_behind_the_guard(
    gateway: Filled,
) -> None:
    routes = application(gateway).routes
    behind = [route for route in routes if isinstance(route, Mount) and route.path == ""]
    public = {route.path for route in routes if route not in behind}  # type: ignore[attr-defined]
    assert public == PUBLIC
    assert len(behind) == 1
    assert isinstance(behind[0].app, Guard)


def permitted(gateway: Filled) -> list[PermittedRoute]:
    (mount,) = (
        route for route in application(gateway).routes if getattr(route, "path", None) == ""
    )
    assert isinstance(mount, Mount)
    for route in mount.routes:
        assert isinstance(route, PermittedRoute), f"{route} states no permission"
    return [route for route in mount.routes if isinstance(route, PermittedRoute)]


def test_every_change_on_the_gateway_page_needs_more_than_the_permission_to_see_it(
    gateway: Filled,
) -> None:
    own = {"/logout", "/account/password", "/account/logout-everywhere"}
    reading = {"/search"}  # a form, so that no name stands in a URL
    changing = {
        route.path
        for route in permitted(gateway)
        if methods(route) - {"GET"} and route.permission is Permission.VIEW
    }
    assert changing == own | reading


def methods(route: Route) -> set[str]:
    return (route.methods or set()) - {"HEAD"}


def url(route: Route) -> str:
    """Returns a URL of a route, for objects that are not there."""
    return re.sub(r"\{[a-z_]+(:int)?(:path)?\}", "1", route.path)


def statuses(client: httpx.Client, routes: list[PermittedRoute], token: str) -> dict[str, int]:
    """Returns how each route is answered; what a form lacks is refused with 400 or 422."""
    found = {}
    for route in routes:
        for method in sorted(methods(route)):
            data = {"form_token": token} if method == "POST" else None
            answer = client.request(method, url(route), data=data)
            found[f"{method} {route.path}"] = answer.status_code
    return found


def test_nobody_reaches_a_route_of_the_gateway_page_without_login(
    stranger: httpx.Client, gateway: Filled
) -> None:
    token = form_token(stranger.get("/login"))
    assert set(statuses(stranger, permitted(gateway), token).values()) == {303}
    assert not gateway.worker_list.is_paused()


@pytest.mark.parametrize("role", [*Role])
def test_each_role_reaches_exactly_the_routes_of_the_page_that_its_permissions_name(
    stranger: httpx.Client, gateway: Filled, role: Role
) -> None:
    add_account(gateway.database, "somebody", role)
    assert log_in(stranger, user="somebody").status_code == 303
    routes = permitted(gateway)
    leaving = ("/logout", "/account/logout-everywhere")
    staying = [route for route in routes if route.path not in leaving]
    found = statuses(stranger, staying, form_token(stranger.get("/")))
    refused = {where for where, status in found.items() if status == 403}
    expected = {
        f"{method} {route.path}"
        for route in staying
        for method in methods(route)
        if not may(role, route.permission)
    }
    assert refused == expected
    assert gateway.worker_list.is_paused() is False  # resumed after the pause, or neither
    if refused:
        with gateway.database.transaction() as connection:
            rows = connection.execute(EVENTS.select()).all()
        assert (EventKind.REFUSED, "somebody") in {(row.what, row.who) for row in rows}


def test_each_role_of_the_gateway_page_has_all_permissions_of_the_roles_below() -> None:
    roles = sorted(Role, key=lambda role: role.rank)
    for lower, higher in pairwise(roles):
        assert PERMISSIONS[lower] < PERMISSIONS[higher]
    assert PERMISSIONS[Role.ADMINISTRATOR] == set(Permission)


def test_the_gateway_page_does_not_show_the_buttons_of_operators_to_others(
    stranger: httpx.Client, gateway: Filled
) -> None:
    gateway.die(gateway.open_job("1.2.3"), "a reason")
    add_account(gateway.database, "somebody", Role.REVIEWER)
    log_in(stranger, user="somebody")
    for path in ("/", "/studies/1.2.3"):
        page = stranger.get(path).text
        assert "Retry" not in page
        assert 'action="/pause"' not in page
        assert 'href="/accounts"' not in page
    log_in(stranger)
    assert "Retry" in stranger.get("/studies/1.2.3").text
    assert 'href="/accounts"' in stranger.get("/").text


def test_a_refusal_of_the_gateway_page_names_the_role_and_what_it_lacks(
    stranger: httpx.Client, gateway: Filled
) -> None:
    add_account(gateway.database, "somebody", Role.OPERATOR)
    log_in(stranger, user="somebody")
    page = stranger.get("/accounts")
    assert page.status_code == 403
    assert "Your role is operator. It does not allow you to manage accounts." in page.text
