"""Serves the page over HTTP or HTTPS: its paths, and who may reach them."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from threading import Event, Thread

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.config import GatewaySettings, WebSection
from gateway.heartbeat import Heartbeat
from gateway.http_connection_limits import BACKLOG, LimitedProtocol, ListeningSocket
from gateway.store.database import open_database
from gateway.web.access_control import Endpoint, Guard, PermittedRoute
from gateway.web.account_endpoints import (
    ACCOUNT_PATH,
    ACCOUNTS_PATH,
    AccountsPage,
    OwnAccountPage,
)
from gateway.web.alarm_message_links import message_links
from gateway.web.authentication import LOGIN_PATH
from gateway.web.context import WebContext
from gateway.web.decision_endpoints import Decisions
from gateway.web.login_endpoints import BEGIN_PATH, Login
from gateway.web.metrics import metrics
from gateway.web.openid_connect import CALLBACK_PATH
from gateway.web.page_endpoints import Actions, Pages
from gateway.web.permissions import Permission
from gateway.web.rendering import render_problem, use_texts, use_worklist
from gateway.web.review_endpoints import ReviewPages
from gateway.web.search_rules_and_log_endpoints import SearchRulesAndLogPages
from gateway.web.viewer_endpoints import Viewer
from gateway.web.worklist import WORKLIST_PATH
from totalmap.errors import ConfigError, ResourceError
from totalmap.log import get_logger
from totalmap.texts.catalogue import Message as Sentence
from totalmap.texts.catalogue import Texts

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_STATIC = Path(__file__).parent / "static"
STOP_SECONDS = 3
# The time between two heartbeats of the event loop.
NOTIFY_SECONDS = 1

log = get_logger()


class SecurityHeaders:
    """Middleware that adds security headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, and adds the headers to the response."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def create_application(context: WebContext) -> Starlette:
    """Returns the page as an ASGI application."""
    for_users = Mount(
        "/",
        routes=_routes_for_users(context),
        middleware=[Middleware(Guard, context.authenticator)],
    )
    application = Starlette(
        routes=[*_public_routes(context), for_users],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={HTTPException: _refused, ResourceError: _failed},
    )
    use_texts(application, context.texts)
    use_worklist(application, context.waiting_count.count)
    return application


def _public_routes(context: WebContext) -> list[BaseRoute]:
    """Returns the routes that need no login; they show nothing of patients or studies."""

    async def health(_request: Request) -> Response:
        found = await context.health.ask()
        return JSONResponse(
            {
                "status": "failing" if found.reasons else "ok",
                "reasons": [*found.reasons],
                "warnings": [*found.warnings],
                "workers_seen": found.workers_seen,
                "free_bytes": found.free_bytes,
            },
            HTTPStatus.SERVICE_UNAVAILABLE if found.reasons else HTTPStatus.OK,
        )

    def show_metrics(_request: Request) -> Response:
        return Response(metrics(context), media_type=CONTENT_TYPE_LATEST)

    routes: list[BaseRoute] = [
        Route("/health", health),
        Route("/metrics", show_metrics),
        Mount("/static", _Static(directory=_STATIC)),
    ]
    if context.settings.web.user_header is None:
        login = Login(context.authenticator, context.oidc)
        routes += [
            Route(LOGIN_PATH, login.show),
            Route(LOGIN_PATH, login.log_in, methods=["POST"]),
        ]
        if context.oidc is not None:
            routes += [Route(BEGIN_PATH, login.begin_oidc), Route(CALLBACK_PATH, login.finish_oidc)]
    return routes


def _routes_for_users(context: WebContext) -> list[PermittedRoute]:
    """Returns the routes for users who are logged in, each with the permission that it needs."""
    return [*_pages(context), *_actions(context), *_account_routes(context)]


def _pages(context: WebContext) -> list[PermittedRoute]:
    pages, information, view = Pages(context), SearchRulesAndLogPages(context), Permission.VIEW
    viewer, decisions, review = Viewer(context), Decisions(context), ReviewPages(context)
    return [
        PermittedRoute("/", pages.overview, view),
        PermittedRoute(WORKLIST_PATH, review.waiting, view),
        PermittedRoute(f"{WORKLIST_PATH}/decided", review.decided, view),
        PermittedRoute(f"{WORKLIST_PATH}/rates", review.rates, view),
        PermittedRoute(f"{WORKLIST_PATH}/rates.csv", review.rates_csv, view),
        PermittedRoute("/search", information.search, view),
        PermittedRoute("/search", information.start_search, view, methods=["POST"]),
        PermittedRoute("/rules", information.rules, view),
        PermittedRoute("/log", information.log, Permission.OPERATE),
        PermittedRoute("/studies/{study:path}", pages.study, view),
        PermittedRoute("/jobs/{job_id}/view/{number:int}", viewer.page, view),
        PermittedRoute("/jobs/{job_id}/view/{number:int}/prepare", viewer.prepare, view),
        PermittedRoute("/jobs/{job_id}/view/{number:int}/{name}", viewer.file, view),
        PermittedRoute("/jobs/{job_id}/decide", decisions.page, view),
        *message_links(context),
        PermittedRoute("/jobs/{job_id}/thumbnail", pages.thumbnail, view),
        PermittedRoute("/jobs/{job_id}/files/{path:path}", pages.file, view),
    ]


def _actions(context: WebContext) -> list[PermittedRoute]:
    actions, decide = Actions(context), Decisions(context).decide
    endpoints: dict[str, Endpoint] = {
        "/jobs/{job_id}/retry": actions.retry,
        "/jobs/{job_id}/cancel": actions.cancel,
        "/jobs/{job_id}/urgent": actions.make_urgent,
        "/jobs/{job_id}/deliveries/{destination}/{decision_id:int}/retry": actions.retry_delivery,
        "/conflicts/{conflict_id:int}/{n_instances:int}/{choice}": actions.decide,
        "/confirm-clock": actions.confirm_clock,
        "/pause": actions.pause,
        "/resume": actions.resume,
    }
    return [
        PermittedRoute(
            "/jobs/{job_id}/decisions", decide, Permission.DECIDE_RESULTS, methods=["POST"]
        ),
        *(
            PermittedRoute(path, endpoint, Permission.OPERATE, methods=["POST"])
            for path, endpoint in endpoints.items()
        ),
    ]


def _account_routes(context: WebContext) -> list[PermittedRoute]:
    if context.settings.web.user_header is not None:
        return []
    login, own = Login(context.authenticator), OwnAccountPage(context.authenticator)
    accounts = AccountsPage(context.authenticator)
    view, administer = Permission.VIEW, Permission.ADMINISTER
    changes: dict[str, tuple[Endpoint, Permission]] = {
        "/logout": (login.log_out, view),
        f"{ACCOUNT_PATH}/password": (own.change_password, view),
        f"{ACCOUNT_PATH}/logout-everywhere": (own.log_out_everywhere, view),
        ACCOUNTS_PATH: (accounts.add, administer),
        f"{ACCOUNTS_PATH}/role": (accounts.set_role, administer),
        f"{ACCOUNTS_PATH}/reset": (accounts.reset, administer),
        f"{ACCOUNTS_PATH}/end-sessions": (accounts.end_sessions, administer),
        f"{ACCOUNTS_PATH}/remove": (accounts.remove, administer),
    }
    return [
        PermittedRoute(ACCOUNT_PATH, own.show, view),
        PermittedRoute(ACCOUNTS_PATH, accounts.show, administer),
        *(
            PermittedRoute(path, endpoint, permission, methods=["POST"])
            for path, (endpoint, permission) in changes.items()
        ),
    ]


class _Static(StaticFiles):
    """Static files, which a browser may keep, and asks whether they have changed."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        return response


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  for mypy
    status = HTTPStatus(error.status_code)
    page = render_problem(request, status, error.detail)
    page.headers.update(error.headers or {})
    return page


def _failed(request: Request, error: Exception) -> Response:
    log.warning("page_not_shown", reason=str(error))
    return render_problem(request, HTTPStatus.SERVICE_UNAVAILABLE, Sentence("problem.no_database"))


def serve_web(settings: GatewaySettings, heartbeat: Heartbeat, stop: Event) -> None:
    """Serves the page until it is told to stop.

    Args:
        settings: Of the gateway.
        heartbeat: Of this process.
        stop: Set from elsewhere.

    Raises:
        ConfigError: The certificate can't be used, or the ledger is another version's.
        ResourceError: The address can't be listened on, or the database can't be opened.
    """
    with running_web(settings, heartbeat) as port:
        log.info("web_listening", address=settings.web.address, port=port)
        stop.wait()


@contextmanager
def running_web(
    settings: GatewaySettings, heartbeat: Heartbeat | None = None, texts: Texts | None = None
) -> Iterator[int]:
    """Serves the page while the block runs, and yields its port.

    Args:
        settings: Of the gateway.
        heartbeat: Of this process; None: no process watches this one.
        texts: The texts of the page; None: those of `web.language`.

    Raises:
        ConfigError, ResourceError: As `serve_web`.
    """
    beats = heartbeat or Heartbeat()
    with (
        open_database(settings) as database,
        _listening(settings.web) as listener,
        beats.loop("page") as turned,
    ):
        context = WebContext.open(settings, database, beats.table, texts)
        server = uvicorn.Server(_config(settings, context, turned))
        listener.accepted = server.server_state.connections
        thread = Thread(target=server.run, args=[[listener]], name="web")
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def _config(
    settings: GatewaySettings, context: WebContext, turned: Callable[[], None]
) -> uvicorn.Config:
    async def notify() -> None:
        turned()
        context.health.look_at_heartbeats()

    config = uvicorn.Config(
        create_application(context),
        http=LimitedProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # gateway/web/authentication.py believes only web.proxies
        backlog=BACKLOG,
        callback_notify=notify,
        timeout_notify=NOTIFY_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        ssl_certfile=settings.web.certificate_file,
        ssl_keyfile=settings.web.key_file,
    )
    try:
        config.load()
    except OSError as error:
        raise ConfigError(
            f"web.certificate_file and web.key_file can't be used: {error.strerror}"
        ) from error
    return config


@contextmanager
def _listening(web: WebSection) -> Iterator[ListeningSocket]:
    # Connections wait in the backlog until the server is up, so that it may be used at once.
    try:
        family = socket.AF_INET6 if ":" in web.address else socket.AF_INET
        listener = ListeningSocket(
            socket.create_server((web.address, web.port), family=family, backlog=BACKLOG)
        )
    except OSError as error:
        raise ResourceError(
            f"web.address {web.address}, web.port {web.port}: can't listen there: {error.strerror}"
        ) from error
    with listener:
        yield listener
