"""Puts the page together: which path leads to which endpoint, and who may reach it."""

from http import HTTPStatus
from pathlib import Path

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

from gateway.web.authentication import LOGIN_PATH, Guard
from gateway.web.context import WebContext
from gateway.web.endpoints import Actions, Login, Pages
from gateway.web.metrics import metrics
from gateway.web.rendering import render
from totalmap.errors import ResourceError
from totalmap.log import get_logger

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

log = get_logger()


class SecurityHeaders:
    """Middleware: adds to every response what it does not say itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def create_application(context: WebContext) -> Starlette:
    """Returns the page as an ASGI application."""
    behind = Mount(
        "/", routes=_behind_the_door(context), middleware=[Middleware(Guard, context.authenticator)]
    )
    return Starlette(
        routes=[*_for_everybody(context), behind],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={HTTPException: _refused, ResourceError: _failed},
    )


def _for_everybody(context: WebContext) -> list[BaseRoute]:
    """Returns what nobody has to log in for: nothing here knows of a patient or a study."""

    async def health(_request: Request) -> Response:
        found = await context.health.ask()
        return JSONResponse(
            {
                "status": "failing" if found.reasons else "ok",
                "reasons": [*found.reasons],
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
        login = Login(context.authenticator)
        routes += [
            Route(LOGIN_PATH, login.show),
            Route(LOGIN_PATH, login.log_in, methods=["POST"]),
        ]
    return routes


def _behind_the_door(context: WebContext) -> list[BaseRoute]:
    pages, actions, login = Pages(context), Actions(context), Login(context.authenticator)
    delivery = "/jobs/{job_id}/deliveries/{destination}"
    return [
        Route("/", pages.overview),
        Route("/studies/{study:path}", pages.study),
        Route("/jobs/{job_id}/thumbnail", pages.thumbnail),
        Route("/jobs/{job_id}/files/{path:path}", pages.file),
        Route("/jobs/{job_id}/retry", actions.retry, methods=["POST"]),
        Route("/jobs/{job_id}/cancel", actions.cancel, methods=["POST"]),
        Route("/jobs/{job_id}/urgent", actions.make_urgent, methods=["POST"]),
        Route(f"{delivery}/retry", actions.retry_delivery, methods=["POST"]),
        Route(
            "/conflicts/{conflict_id:int}/{n_instances:int}/{choice}",
            actions.decide,
            methods=["POST"],
        ),
        Route("/confirm-clock", actions.confirm_clock, methods=["POST"]),
        Route("/pause", actions.pause, methods=["POST"]),
        Route("/resume", actions.resume, methods=["POST"]),
        Route("/logout", login.log_out, methods=["POST"]),
    ]


class _Static(StaticFiles):
    """Files without secrets: a browser may keep them, and asks whether they have changed."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        return response


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  for mypy
    status = HTTPStatus(error.status_code)
    page = render("problem.html.jinja", status, title=status.phrase, detail=error.detail)
    page.headers.update(error.headers or {})
    return page


def _failed(_request: Request, error: Exception) -> Response:
    log.warning("page_not_shown", reason=str(error))
    detail = "The database or the disk does not answer. The log says more."
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return render("problem.html.jinja", status, title=status.phrase, detail=detail)
