"""Answers the requests about accounts: a user's own, and all of them for administrators."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.config import Role
from gateway.store.accounts import Account
from gateway.web.authentication import LOGIN_PATH, Authenticator, WrongPassword
from gateway.web.forms import with_query
from gateway.web.passwords import LEAST_CHARACTERS, hash_password
from gateway.web.rendering import SAID, render_inside, texts_of
from totalmap.errors import ConfigError
from totalmap.texts.catalogue import Message, Texts

ACCOUNT_PATH, ACCOUNTS_PATH = "/account", "/accounts"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAccount:
    """The data of the page of a user's own account.

    Attributes:
        n_sessions: The number of open sessions.
        least_characters: Of a password.
    """

    n_sessions: int
    least_characters: int = LEAST_CHARACTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class AllAccounts:
    """The data of the page of accounts.

    Attributes:
        accounts: By their names, each with the number of its open sessions.
        roles: All roles, each of which may do more than the one before.
        least_characters: Of a password.
    """

    accounts: tuple[tuple[Account, int], ...]
    roles: tuple[Role, ...] = tuple(Role)
    least_characters: int = LEAST_CHARACTERS


class OwnAccountPage:
    """Endpoints of a user's own account."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def show(self, request: Request) -> Response:
        """Shows the account, with a form for another password."""
        return self._show(request)

    def change_password(self, request: Request) -> Response:
        """Changes the password of a user who knows the old one; the user stays logged in here."""
        form, user = request.state.form, request.state.visit.user
        if not request.state.visit.has_password:
            raise HTTPException(HTTPStatus.NOT_FOUND, Message("account.no_password"))
        try:
            self._authenticator.check_password(request, user, form.get("old", ""))
            if form.get("new", "") != form.get("again", ""):
                return self._show(request, Message("account.passwords_differ"))
            hashed = hash_password(user, form.get("new", ""))
        except WrongPassword:
            return self._show(request, Message("account.old_wrong"))
        except ConfigError as error:
            return self._show(request, _sentence(error, texts_of(request)))
        address = self._authenticator.address_of(request)
        self._authenticator.accounts.set_password(user, hashed, user, address)
        account = self._authenticator.accounts.find(user)
        if account is None:
            return RedirectResponse(LOGIN_PATH, HTTPStatus.SEE_OTHER)
        session = self._authenticator.sessions.open(account, address)
        where = with_query(ACCOUNT_PATH, **{SAID: "password-changed"})
        response = RedirectResponse(where, HTTPStatus.SEE_OTHER)
        self._authenticator.give_cookie(response.headers, request, session.token)
        return response

    def log_out_everywhere(self, request: Request) -> Response:
        """Ends all sessions of the user."""
        user = _account_of(request)
        address = self._authenticator.address_of(request)
        self._authenticator.accounts.end_sessions(user, user, address)
        return RedirectResponse(LOGIN_PATH, HTTPStatus.SEE_OTHER)

    def _show(self, request: Request, problem: str = "") -> Response:
        account = self._authenticator.accounts.find(_account_of(request))
        counts = self._authenticator.sessions.counts()
        view = OwnAccount(n_sessions=counts.get(account.key, 0) if account else 0)
        return _page("account.html.jinja", request, view, problem)


class AccountsPage:
    """Endpoints of the page on which administrators manage accounts."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def show(self, request: Request) -> Response:
        """Shows all accounts."""
        return self._show(request)

    def add(self, request: Request) -> Response:
        """Adds a local account."""
        form = request.state.form
        name = _name(request)

        def add(user: str, address: str) -> None:
            hashed = hash_password(name, form.get("password", ""))
            self._authenticator.accounts.add(name, _role(request), hashed, user, address)

        return self._done(request, add, "account-added")

    def set_role(self, request: Request) -> Response:
        """Gives an account another role."""
        name = _name(request)

        def change(user: str, address: str) -> None:
            self._authenticator.accounts.set_role(name, _role(request), user, address)

        return self._done(request, change, "role-changed")

    def reset(self, request: Request) -> Response:
        """Gives an account another password."""
        name = _name(request)

        def change(user: str, address: str) -> None:
            hashed = hash_password(name, request.state.form.get("password", ""))
            self._authenticator.accounts.set_password(name, hashed, user, address)

        return self._done(request, change, "password-reset")

    def end_sessions(self, request: Request) -> Response:
        """Logs the user of an account out everywhere."""
        name = _name(request)

        def change(user: str, address: str) -> None:
            self._authenticator.accounts.end_sessions(name, user, address)

        return self._done(request, change, "sessions-ended")

    def remove(self, request: Request) -> Response:
        """Removes an account."""
        name = _name(request)

        def change(user: str, address: str) -> None:
            self._authenticator.accounts.remove(name, user, address)

        return self._done(request, change, "account-removed")

    def _done(self, request: Request, act: Callable[[str, str], None], said: str) -> Response:
        try:
            act(request.state.visit.user, self._authenticator.address_of(request))
        except ConfigError as error:
            return self._show(request, _sentence(error, texts_of(request)))
        where = with_query(ACCOUNTS_PATH, **{SAID: said})
        return RedirectResponse(where, HTTPStatus.SEE_OTHER)

    def _show(self, request: Request, problem: str = "") -> Response:
        counts = self._authenticator.sessions.counts()
        accounts = self._authenticator.accounts.accounts()
        view = AllAccounts(
            accounts=tuple((account, counts.get(account.key, 0)) for account in accounts)
        )
        return _page("accounts.html.jinja", request, view, problem)


def _page(name: str, request: Request, view: object, problem: str) -> Response:
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
    return render_inside(name, request, view, status=status, problem=problem)


def _account_of(request: Request) -> str:
    if not request.state.visit.has_account:
        raise HTTPException(HTTPStatus.NOT_FOUND, Message("account.none"))
    user: str = request.state.visit.user
    return user


def _name(request: Request) -> str:
    name: str = request.state.form.get("name", "").strip()
    return name


def _role(request: Request) -> Role:
    try:
        return Role(request.state.form.get("role", ""))
    except ValueError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, Message("accounts.no_such_role")) from error


def _sentence(error: ConfigError, texts: Texts) -> str:
    (refusal,) = error.args
    text = texts.told(refusal)
    return f"{text[:1].upper()}{text[1:]}."
