"""Who may see anything: those who know the password, or those whom a reverse proxy lets in."""

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.config import WebSection
from gateway.login_attempts import WITHIN_SECONDS, LoginAttempts
from gateway.store.database import Database
from gateway.store.events import record_logged_in, record_login_failed
from gateway.web.forms import TOKEN_FIELD, read_form, with_query
from gateway.web.origin import origin_of
from gateway.web.password import check_password
from gateway.web.sessions import FormTokens, Session, Sessions

LOGIN_PATH = "/login"
# In the query of what a page asks for by itself, to be up to date.
AUTOMATIC = "automatic"
USER_CHARACTERS = 64
SECONDS_PER_MINUTE = 60

_COOKIE = "totalmap"
_OUT_OF_DATE = "This page was out of date. Go back, load it again, and repeat what you did."


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request by somebody who may see things.

    Attributes:
        user: Who it is.
        form_token: What forms have to hold that are shown to this user.
    """

    user: str
    form_token: str


class WrongPassword(Exception):
    """Somebody tried to log in, and did not know the password."""


class Authenticator:
    """Lets people in; the methods may be called by many threads at once."""

    def __init__(self, settings: WebSection, storage_folder: Path, database: Database) -> None:
        self._settings = settings
        self._storage_folder = storage_folder
        self._database = database
        self._attempts = LoginAttempts()
        self._sessions = Sessions(settings.session_minutes * SECONDS_PER_MINUTE)
        self.form_tokens = FormTokens()

    def log_in(self, connection: HTTPConnection, user: str, password: str) -> Session:
        """Opens a session for somebody who knows the password.

        Raises:
            WrongPassword: That is another one.
            HTTPException: There were too many failures from this address.
            ResourceError: The database fails, or there is no password.
        """
        address = self._begin(connection, user)
        if not check_password(self._storage_folder, password):
            record_login_failed(self._database, user, address)
            raise WrongPassword
        self._attempts.succeeded(address)
        record_logged_in(self._database, user, address)
        return self._sessions.open(user)

    def log_out(self, connection: HTTPConnection) -> None:
        """Ends the session of a user."""
        self._sessions.close(cookie_of(connection))

    def find(self, connection: HTTPConnection) -> Session | None:
        """Returns the session that a request belongs to; None: somebody has to log in.

        Where a proxy says who the user is, there always is one.

        Raises:
            HTTPException: The request says who the user is, but does not come from a proxy, or
                comes from it and does not say it.
            ResourceError: The database fails.
        """
        is_acting = AUTOMATIC not in connection.query_params
        header = self._settings.user_header
        if header is None:
            return self._sessions.find(cookie_of(connection), is_acting=is_acting)
        user = user_name(connection.headers.get(header, ""))
        origin = origin_of(connection, self._settings.proxies)
        if user and not origin.is_by_proxy:
            self._begin(connection, user)
            record_login_failed(self._database, user, origin.address)
        if not user or not origin.is_by_proxy:
            raise HTTPException(HTTPStatus.FORBIDDEN, "Come in through the hospital's portal.")
        # The proxy decides for how long: its user stays logged in.
        known = self._sessions.find(cookie_of(connection), is_acting=True)
        if known is not None and known.user == user:
            return known
        record_logged_in(self._database, user, origin.address)
        return self._sessions.open(user)

    def give_cookie(self, headers: MutableHeaders, connection: HTTPConnection, token: str) -> None:
        """Has a browser send a token from now on, with requests that begin on our own pages."""
        response = Response()
        response.set_cookie(
            _COOKIE,
            token,
            httponly=True,
            samesite="strict",
            secure=origin_of(connection, self._settings.proxies).is_https,
        )
        headers.append("set-cookie", response.headers["set-cookie"])

    def _begin(self, connection: HTTPConnection, user: str) -> str:
        """Returns the address of somebody who may try to get in."""
        address = origin_of(connection, self._settings.proxies).address
        if not self._attempts.begin(address):
            record_login_failed(self._database, user, address, is_locked_out=True)
            raise HTTPException(
                HTTPStatus.TOO_MANY_REQUESTS,
                "Too many tries. Wait a minute.",
                headers={"Retry-After": f"{WITHIN_SECONDS:.0f}"},
            )
        return address


class Guard:
    """Middleware: nothing that lies behind it is seen by anybody who is not let in.

    Behind it, `request.state` has the `visit` and, of a POST, the `form`.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or asks to log in."""
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
        form_token = self._authenticator.form_tokens.of(session.token)
        request.state.visit = Visit(user=session.user, form_token=form_token)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and session.token != cookie_of(request):
                self._authenticator.give_cookie(
                    MutableHeaders(scope=message), request, session.token
                )
            await send(message)

        await self._app(scope, receive, send_with_cookie)


def user_name(given: str) -> str:
    """Returns what somebody says who it is, as it can be put on record; it may be empty."""
    return "".join(filter(str.isprintable, given)).strip()[:USER_CHARACTERS]


def cookie_of(connection: HTTPConnection) -> str:
    """Returns the token that a browser sends; empty: it has none."""
    return connection.cookies.get(_COOKIE, "")


def _ask_to_log_in(request: Request) -> Response:
    here = request.url.remove_query_params(AUTOMATIC) if request.method == "GET" else None
    path = f"{here.path}?{here.query}".removesuffix("?") if here else "/"
    where = with_query(LOGIN_PATH, next=path)
    if "hx-request" in request.headers:  # it would put the page to log in into the middle of ours
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": where})
    return RedirectResponse(where, HTTPStatus.SEE_OTHER)
