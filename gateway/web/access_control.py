"""Passes requests only from users who are logged in, and to routes that their role may use."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.config import Role
from gateway.web.authentication import AUTOMATIC, LOGIN_PATH, Authenticator, cookie_of
from gateway.web.forms import TOKEN_FIELD, read_form, with_query
from gateway.web.permissions import Permission, may
from totalmap.texts.catalogue import Message as Sentence

_OUT_OF_DATE = Sentence("problem.out_of_date")

Endpoint = Callable[[Request], Response | Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request of a user who is logged in.

    Attributes:
        user: The name of the account, or of the user whom a proxy has named.
        role: What the user may do.
        form_token: The token of forms for this user.
        has_account: Whether the user has an account here.
        has_password: Whether the user logs in here by a password.
    """

    user: str
    role: Role
    form_token: str
    has_account: bool
    has_password: bool

    @property
    def may_operate(self) -> bool:
        """Whether the user may change jobs, deliveries and held studies."""
        return may(self.role, Permission.OPERATE)

    @property
    def may_decide(self) -> bool:
        """Whether the user may accept, reject and release results."""
        return may(self.role, Permission.DECIDE_RESULTS)

    @property
    def may_administer(self) -> bool:
        """Whether the user may manage accounts."""
        return may(self.role, Permission.ADMINISTER)


class NotPermitted(HTTPException):
    """The role of a user does not allow a request."""


class PermittedRoute(Route):
    """A route for users with a permission, which are already logged in.

    Attributes:
        permission: What the role of the user has to allow.
    """

    def __init__(
        self,
        path: str,
        endpoint: Endpoint,
        permission: Permission,
        *,
        methods: Sequence[str] = ("GET",),
    ) -> None:
        super().__init__(path, endpoint, methods=[*methods])
        self.permission = permission
        self.app = _RequirePermission(self.app, permission)


class _RequirePermission:
    """Passes requests of users whose role has a permission."""

    def __init__(self, app: ASGIApp, permission: Permission) -> None:
        self._app = app
        self._permission = permission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit: Visit = Request(scope).state.visit
        if not may(visit.role, self._permission):
            raise NotPermitted(
                HTTPStatus.FORBIDDEN,
                Sentence(
                    "problem.role",
                    role=Sentence(f"role.{visit.role}"),
                    permission=Sentence(f"permission.{self._permission}"),
                ),
            )
        await self._app(scope, receive, send)


class Guard:
    """Middleware that passes only requests of users who are logged in.

    It sets `request.state.visit` and, for a POST, `request.state.form`.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or redirects to the login page."""
        request = Request(scope, receive)
        session = await run_in_threadpool(self._authenticator.find, request)
        if session is None:
            await _ask_to_log_in(request)(scope, receive, send)
            return
        if request.method not in ("GET", "HEAD"):
            form = await read_form(request)
            if not self._authenticator.form_tokens.fits(session.token, form.get(TOKEN_FIELD, "")):
                raise HTTPException(HTTPStatus.FORBIDDEN, _OUT_OF_DATE)
            request.state.form = form
        request.state.visit = Visit(
            user=session.user,
            role=session.role,
            form_token=self._authenticator.form_tokens.of(session.token),
            has_account=not session.is_by_proxy,
            has_password=not session.is_by_proxy and not session.is_provided,
        )

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and session.token != cookie_of(request):
                self._authenticator.give_cookie(
                    MutableHeaders(scope=message), request, session.token
                )
            await send(message)

        try:
            await self._app(scope, receive, send_with_cookie)
        except NotPermitted:
            await run_in_threadpool(self._authenticator.refuse, request, session.user)
            raise


def _ask_to_log_in(request: Request) -> Response:
    here = request.url.remove_query_params(AUTOMATIC) if request.method == "GET" else None
    path = f"{here.path}?{here.query}".removesuffix("?") if here else "/"
    where = with_query(LOGIN_PATH, next=path)
    if "hx-request" in request.headers:  # it would put the login page into the middle of the page
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": where})
    return RedirectResponse(where, HTTPStatus.SEE_OTHER)
