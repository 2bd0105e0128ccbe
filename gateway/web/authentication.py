"""Logs users in by password, OpenID Connect or a reverse proxy, and finds their sessions."""

import hashlib
import hmac
import secrets
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response

from gateway.config import Role, WebSection
from gateway.login_attempts import FAILURES_OF_ACCOUNT, WITHIN_SECONDS, LoginAttempts
from gateway.store.accounts import AccountList, NameTaken, account_key
from gateway.store.audit_events import (
    record_logged_in,
    record_logged_out,
    record_login_failed,
    record_refused,
)
from gateway.store.database import Database
from gateway.store.sessions import TOKEN_BYTES, Session, SessionList
from gateway.web.openid_claims import ProvidedUser
from gateway.web.passwords import is_right, stronger_hash
from gateway.web.request_origin import origin_of
from totalmap.texts.catalogue import Message

LOGIN_PATH = "/login"
# A query parameter of the requests by which a page refreshes itself.
AUTOMATIC = "automatic"
USER_CHARACTERS = 64
SECONDS_PER_MINUTE = 60
SECONDS_PER_HOUR = 3600

_COOKIE = "totalmap"
_NO_ROLE = Message("login.no_role")


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


class WrongPassword(Exception):
    """A user gave a wrong name or password."""


class LoginRefused(Exception):
    """A user may not log in.

    Attributes:
        problem: Why, for the user.
    """

    def __init__(self, problem: Message) -> None:
        super().__init__(problem)
        self.problem = problem


class Authenticator:
    """Logs users in and out; safe to use from many threads.

    Attributes:
        accounts: Of the users who may log in here.
        sessions: Of the users who are logged in.
        form_tokens: Of the forms of this process.
    """

    def __init__(self, settings: WebSection, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._by_address = LoginAttempts()
        self._by_account = LoginAttempts(failures=FAILURES_OF_ACCOUNT)
        self.accounts = AccountList(database)
        self.sessions = SessionList(
            database,
            settings.session_minutes * SECONDS_PER_MINUTE,
            settings.session_hours * SECONDS_PER_HOUR,
        )
        self.form_tokens = FormTokens()

    def log_in(self, connection: HTTPConnection, name: str, password: str) -> Session:
        """Opens a session for a user who gives the password of a local account.

        Raises:
            WrongPassword: The name or the password is wrong.
            HTTPException: There were too many failures from this address or for this account.
            ResourceError: The database fails.
        """
        address = self.address_of(connection)
        account = self.accounts.find(name)
        self._check(address, name, account.password_hash if account else None, password)
        if account is None or account.password_hash is None:
            raise WrongPassword
        better = stronger_hash(account.password_hash, password)
        if better is not None:
            self.accounts.strengthen(account, better)
        record_logged_in(self._database, account.name, address)
        return self.sessions.open(account, address)

    def check_password(self, connection: HTTPConnection, name: str, password: str) -> None:
        """Makes sure that a user who is logged in knows the password of the account.

        Raises:
            WrongPassword, HTTPException, ResourceError: As `log_in`.
        """
        account = self.accounts.find(name)
        password_hash = account.password_hash if account else None
        self._check(self.address_of(connection), name, password_hash, password)

    def log_in_provided(self, connection: HTTPConnection, user: ProvidedUser) -> Session:
        """Opens a session for a user whom a provider of OpenID Connect has logged in.

        Raises:
            LoginRefused: The user has no role, or another account has the name.
            ResourceError: The database fails.
        """
        address, name = self.address_of(connection), user_name(user.name)
        role = self._settings.role_of(user.roles)
        if role is None or not name:
            record_login_failed(self._database, name or user.subject, address, why="no role")
            raise LoginRefused(_NO_ROLE)
        try:
            account = self.accounts.log_in_provided(user.subject, name, role)
        except NameTaken:
            record_login_failed(self._database, name, address, why="the name is taken")
            raise LoginRefused(Message("login.name_taken", name=name)) from None
        record_logged_in(self._database, account.name, address)
        return self.sessions.open(account, address)

    def log_out(self, connection: HTTPConnection, user: str) -> None:
        """Ends the session of a user."""
        self.sessions.close(cookie_of(connection))
        record_logged_out(self._database, user, self.address_of(connection))

    def find(self, connection: HTTPConnection) -> Session | None:
        """Returns the session of a request; None: the user has to log in.

        If a proxy names the user, there is always a session.

        Raises:
            HTTPException: The request names a user but does not come from a proxy, or the reverse,
                or the user has no role.
            ResourceError: The database fails.
        """
        is_acting = AUTOMATIC not in connection.query_params
        header = self._settings.user_header
        if header is not None:
            return self._find_by_proxy(connection, header)
        found = self.sessions.find(cookie_of(connection), is_acting=is_acting)
        if found is None or found.is_by_proxy:
            return None
        return None if found.is_provided and self._settings.oidc is None else found

    def _find_by_proxy(self, connection: HTTPConnection, header: str) -> Session:
        user = user_name(connection.headers.get(header, ""))
        origin = origin_of(connection, self._settings.proxies)
        if user and not origin.is_by_proxy:
            self._begin(origin.address, user)
            record_login_failed(self._database, user, origin.address)
        if not user or not origin.is_by_proxy:
            raise HTTPException(HTTPStatus.FORBIDDEN, Message("login.portal_only"))
        role = self._role_by_proxy(connection)
        if role is None:
            record_login_failed(self._database, user, origin.address, why="no role")
            raise HTTPException(HTTPStatus.FORBIDDEN, _NO_ROLE)
        # The proxy decides how long its user stays logged in.
        known = self.sessions.find(cookie_of(connection), is_acting=True)
        if known is not None and known.is_by_proxy and (known.user, known.role) == (user, role):
            return known
        record_logged_in(self._database, user, origin.address)
        return self.sessions.open_by_proxy(user, role, origin.address)

    def _role_by_proxy(self, connection: HTTPConnection) -> Role | None:
        header = self._settings.role_header
        if header is None:
            return self._settings.proxy_role
        values = ",".join(connection.headers.getlist(header)).split(",")
        return self._settings.role_of(value.strip() for value in values)

    def refuse(self, connection: HTTPConnection, user: str) -> None:
        """Records that a user tried what the role does not allow."""
        record_refused(
            self._database, user, "tried what the role does not allow", self.address_of(connection)
        )

    def address_of(self, connection: HTTPConnection) -> str:
        """Returns the address of a client, as far as it is known."""
        return origin_of(connection, self._settings.proxies).address

    def give_cookie(self, headers: MutableHeaders, connection: HTTPConnection, token: str) -> None:
        """Sets the cookie with a token, which a browser sends only from our own pages."""
        self.set_cookie(headers, connection, _COOKIE, token)

    def set_cookie(
        self,
        headers: MutableHeaders,
        connection: HTTPConnection,
        name: str,
        value: str,
        *,
        path: str = "/",
        max_age: int | None = None,
        is_strict: bool = True,
    ) -> None:
        """Sets a cookie that scripts can't read.

        Args:
            headers: Of the response.
            connection: The request.
            name: Of the cookie.
            value: Of the cookie.
            path: Of the pages to which it is sent.
            max_age: How long the browser keeps it, in seconds; None: until it is closed.
            is_strict: Whether it is sent only from our own pages; else also with a redirect.
        """
        response = Response()
        response.set_cookie(
            name,
            value,
            path=path,
            max_age=max_age,
            httponly=True,
            samesite="strict" if is_strict else "lax",
            secure=origin_of(connection, self._settings.proxies).is_https,
        )
        headers.append("set-cookie", response.headers["set-cookie"])

    def _check(self, address: str, name: str, password_hash: str | None, password: str) -> None:
        """Makes sure that a password is right; without a hash it takes the same time."""
        self._begin(address, name)
        if not is_right(password_hash, password):
            record_login_failed(self._database, name, address)
            raise WrongPassword
        self._by_address.succeeded(address)
        self._by_account.succeeded(_attempts_of(name))

    def _begin(self, address: str, name: str) -> None:
        """Notes a try to log in."""
        if self._by_address.begin(address) and self._by_account.begin(_attempts_of(name)):
            return
        record_login_failed(self._database, name, address, is_locked_out=True)
        raise HTTPException(
            HTTPStatus.TOO_MANY_REQUESTS,
            Message("login.too_many"),
            headers={"Retry-After": f"{WITHIN_SECONDS:.0f}"},
        )


def _attempts_of(name: str) -> str:
    return f"account {account_key(name)}"


def user_name(given: str) -> str:
    """Returns the name that a user gave, without unprintable characters; it may be empty."""
    return "".join(filter(str.isprintable, given)).strip()[:USER_CHARACTERS].strip()


def cookie_of(connection: HTTPConnection) -> str:
    """Returns the token in the cookie of a browser; empty: there is none."""
    return connection.cookies.get(_COOKIE, "")
