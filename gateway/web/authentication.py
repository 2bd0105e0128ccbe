"""Logs users in, by the password or through a reverse proxy, and keeps their sessions."""

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
from gateway.store.audit_events import record_logged_in, record_login_failed
from gateway.store.database import Database
from gateway.web.forms import TOKEN_FIELD, read_form, with_query
from gateway.web.password import check_password

Networks = Sequence[IPv4Network | IPv6Network]
TOKEN_BYTES = 32
LOGIN_PATH = "/login"
# A query parameter of the requests by which a page refreshes itself.
AUTOMATIC = "automatic"
USER_CHARACTERS = 64
SECONDS_PER_MINUTE = 60

_COOKIE = "totalmap"
_OUT_OF_DATE = "This page was out of date. Go back, load it again, and repeat what you did."


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The origin of a request.

    Attributes:
        address: The address of the client, as far as it is known.
        is_by_proxy: Whether it came through one of `web.proxies`.
        is_https: Whether the browser uses HTTPS.
    """

    address: str
    is_by_proxy: bool
    is_https: bool


def origin_of(connection: HTTPConnection, proxies: Networks) -> Origin:
    """Returns the origin of a request.

    Args:
        connection: The request.
        proxies: Proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted.
    """
    peer = connection.client.host if connection.client else ""
    scheme = connection.url.scheme
    if not _is_in(peer, proxies):
        return Origin(address=peer, is_by_proxy=False, is_https=scheme == "https")
    said = connection.headers.get("x-forwarded-for", "").split(",")
    # Our proxy has added the last address; the client may have invented the earlier ones.
    address = said[-1].strip() if parse_address(said[-1].strip()) else peer
    scheme = connection.headers.get("x-forwarded-proto", scheme)
    return Origin(address=address, is_by_proxy=True, is_https=scheme == "https")


def _is_in(address: str, networks: Networks) -> bool:
    parsed = parse_address(address)
    return parsed is not None and any(parsed in network for network in networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The session of a user; a client with the token acts as that user."""

    token: str
    user: str


class Sessions:
    """The open sessions of users; safe to use from many threads."""

    def __init__(
        self, idle_seconds: float, now_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._idle_seconds = idle_seconds
        self._now_seconds = now_seconds
        self._lock = Lock()
        self._open: dict[str, tuple[Session, float]] = {}

    def open(self, user: str) -> Session:
        """Opens a session, and removes those that have ended."""
        session = Session(token=new_token(), user=user)
        now = self._now_seconds()
        with self._lock:
            self._open = {
                token: (kept, seen_at)
                for token, (kept, seen_at) in self._open.items()
                if now - seen_at <= self._idle_seconds
            }
            self._open[session.token] = (session, now)
        return session

    def find(self, token: str, *, is_acting: bool) -> Session | None:
        """Returns a session that has not ended.

        Args:
            token: Of the session.
            is_acting: Whether the user does something. A page that refreshes itself does not extend
                a session.
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
        """Logs a user out."""
        with self._lock:
            self._open.pop(token, None)


class FormTokens:
    """Tokens that prove that a form was made by this page for the browser that sends it (CSRF)."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(TOKEN_BYTES)

    def of(self, token: str) -> str:
        """Returns the token of forms for a browser with this cookie."""
        return hmac.new(self._key, token.encode(), hashlib.sha256).hexdigest()

    def fits(self, token: str, given: str) -> bool:
        """Returns whether a form was made for a browser with this cookie."""
        return hmac.compare_digest(self.of(token).encode(), given.encode())


def new_token() -> str:
    """Returns a random token."""
    return secrets.token_urlsafe(TOKEN_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request of a user who is logged in.

    Attributes:
        user: The name of the user.
        form_token: The token of forms for this user.
    """

    user: str
    form_token: str


class WrongPassword(Exception):
    """A user gave a wrong password."""


class Authenticator:
    """Logs users in and out; safe to use from many threads."""

    def __init__(self, settings: WebSection, storage_folder: Path, database: Database) -> None:
        self._settings = settings
        self._storage_folder = storage_folder
        self._database = database
        self._attempts = LoginAttempts()
        self._sessions = Sessions(settings.session_minutes * SECONDS_PER_MINUTE)
        self.form_tokens = FormTokens()

    def log_in(self, connection: HTTPConnection, user: str, password: str) -> Session:
        """Opens a session for a user who gives the right password.

        Raises:
            WrongPassword: The password is wrong.
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
        """Returns the session of a request; None: the user has to log in.

        If a proxy names the user, there is always a session.

        Raises:
            HTTPException: The request names a user but does not come from a proxy, or the reverse.
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
            raise HTTPException(HTTPStatus.FORBIDDEN, "Log in through the hospital's portal.")
        # The proxy decides how long its user stays logged in.
        known = self._sessions.find(cookie_of(connection), is_acting=True)
        if known is not None and known.user == user:
            return known
        record_logged_in(self._database, user, origin.address)
        return self._sessions.open(user)

    def give_cookie(self, headers: MutableHeaders, connection: HTTPConnection, token: str) -> None:
        """Sets the cookie with a token, which a browser sends only from our own pages."""
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
        """Notes a try to log in, and returns the address of the client."""
        address = origin_of(connection, self._settings.proxies).address
        if not self._attempts.begin(address):
            record_login_failed(self._database, user, address, is_locked_out=True)
            raise HTTPException(
                HTTPStatus.TOO_MANY_REQUESTS,
                "Too many attempts. Wait a minute.",
                headers={"Retry-After": f"{WITHIN_SECONDS:.0f}"},
            )
        return address


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
    """Returns the name that a user gave, without unprintable characters; it may be empty."""
    return "".join(filter(str.isprintable, given)).strip()[:USER_CHARACTERS]


def cookie_of(connection: HTTPConnection) -> str:
    """Returns the token in the cookie of a browser; empty: there is none."""
    return connection.cookies.get(_COOKIE, "")


def _ask_to_log_in(request: Request) -> Response:
    here = request.url.remove_query_params(AUTOMATIC) if request.method == "GET" else None
    path = f"{here.path}?{here.query}".removesuffix("?") if here else "/"
    where = with_query(LOGIN_PATH, next=path)
    if "hx-request" in request.headers:  # it would put the login page into the middle of the page
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": where})
    return RedirectResponse(where, HTTPStatus.SEE_OTHER)
