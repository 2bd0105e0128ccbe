"""Lets users in who know the password, or whom a reverse proxy has let in; keeps their sessions."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from threading import Lock

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.config import WebSection
from gateway.login_attempts import WITHIN_SECONDS, LoginAttempts, parse_address
from gateway.store.access_events import record_logged_in, record_login_failed
from gateway.store.database import Database
from gateway.web.forms import TOKEN_FIELD, read_form, with_query
from gateway.web.password import check_password

Networks = Sequence[IPv4Network | IPv6Network]
TOKEN_BYTES = 32
LOGIN_PATH = "/login"
# In the query of what a page asks for by itself, to be up to date.
AUTOMATIC = "automatic"
USER_CHARACTERS = 64
SECONDS_PER_MINUTE = 60

_COOKIE = "totalmap"
_OUT_OF_DATE = "This page was out of date. Go back, load it again, and repeat what you did."


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request comes from.

    Attributes:
        address: Of who asks, as far as it is known.
        is_by_proxy: Whether a proxy of ours passed it on.
        is_https: Whether the browser speaks HTTPS.
    """

    address: str
    is_by_proxy: bool
    is_https: bool


def origin_of(connection: HTTPConnection, proxies: Networks) -> Origin:
    """Returns where a request comes from.

    Args:
        connection: The request.
        proxies: Those whose X-Forwarded-For and X-Forwarded-Proto are believed.
    """
    peer = connection.client.host if connection.client else ""
    scheme = connection.url.scheme
    if not _is_in(peer, proxies):
        return Origin(address=peer, is_by_proxy=False, is_https=scheme == "https")
    said = connection.headers.get("x-forwarded-for", "").split(",")
    # The last was added by our proxy; those before it may be anybody's invention.
    address = said[-1].strip() if parse_address(said[-1].strip()) else peer
    scheme = connection.headers.get("x-forwarded-proto", scheme)
    return Origin(address=address, is_by_proxy=True, is_https=scheme == "https")


def _is_in(address: str, networks: Networks) -> bool:
    parsed = parse_address(address)
    return parsed is not None and any(parsed in network for network in networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A user who is logged in; whoever has the token is that user."""

    token: str
    user: str


class Sessions:
    """May be used by many threads at once."""

    def __init__(
        self, idle_seconds: float, now_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._idle_seconds = idle_seconds
        self._now_seconds = now_seconds
        self._lock = Lock()
        self._open: dict[str, tuple[Session, float]] = {}

    def open(self, user: str) -> Session:
        """Returns a new session, and forgets those that have ended."""
        session = Session(token=new_token(), user=user)
        now = self._now_seconds()
        with self._lock:
            self._open = {
                token: (one, seen_at)
                for token, (one, seen_at) in self._open.items()
                if now - seen_at <= self._idle_seconds
            }
            self._open[session.token] = (session, now)
        return session

    def find(self, token: str, *, is_acting: bool) -> Session | None:
        """Returns a session that has not ended.

        Args:
            token: Of the session.
            is_acting: Whether the user does something; a page that refreshes itself does not
                keep a session from ending.
        """
        now = self._now_seconds()
        with self._lock:
            session, seen_at = self._open.get(token, (None, 0.0))
            if session is None or now - seen_at > self._idle_seconds:
                return None
            if is_acting:
                self._open[token] = (session, now)
            return session

    def close(self, token: str) -> None:
        """Ends a session."""
        with self._lock:
            self._open.pop(token, None)


class FormTokens:
    """What shows that a form was made by this page, for the browser that sends it (CSRF)."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(TOKEN_BYTES)

    def of(self, token: str) -> str:
        """Returns what a form has to hold that a browser with this cookie is shown."""
        return hmac.new(self._key, token.encode(), hashlib.sha256).hexdigest()

    def fits(self, token: str, given: str) -> bool:
        """Returns whether a form was made for a browser with this cookie."""
        return hmac.compare_digest(self.of(token).encode(), given.encode())


def new_token() -> str:
    """Returns what nobody can guess."""
    return secrets.token_urlsafe(TOKEN_BYTES)


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
