"""Answers the requests of users who log in and out, here or by OpenID Connect."""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote, unquote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.store.sessions import new_token
from gateway.web.authentication import (
    LOGIN_PATH,
    Authenticator,
    LoginRefused,
    WrongPassword,
    cookie_of,
    user_name,
)
from gateway.web.forms import NEXT_FIELD, TOKEN_FIELD, own_path, read_form, with_query
from gateway.web.openid_connect import CALLBACK_PATH, OpenIdConnect, ProviderAway
from gateway.web.rendering import render
from totalmap.log import get_logger
from totalmap.texts.catalogue import Message

ADD_FIRST = "totalmap gateway user add NAME --role administrator"
BEGIN_PATH = f"{CALLBACK_PATH}/begin"
# The cookie with the state of a login by OpenID Connect, and the page to go to afterwards.
_STATE_COOKIE = "totalmap-oidc"
_STATE_SECONDS = 600

log = get_logger()


class Login:
    """Endpoints to log in and out."""

    def __init__(self, authenticator: Authenticator, oidc: OpenIdConnect | None = None) -> None:
        self._authenticator = authenticator
        self._oidc = oidc

    def show(self, request: Request) -> Response:
        """Shows the login page."""
        return self._ask(request, own_path(request.query_params.get(NEXT_FIELD, "/")))

    async def log_in(self, request: Request) -> Response:
        """Logs a user in by the password of a local account."""
        form = await read_form(request)
        return await run_in_threadpool(self._log_in, request, form)

    def _log_in(self, request: Request, form: Mapping[str, str]) -> Response:
        where = own_path(form.get(NEXT_FIELD, "/"))
        if not self._authenticator.form_tokens.fits(cookie_of(request), form.get(TOKEN_FIELD, "")):
            return self._ask(request, where, Message("login.out_of_date"))
        user = user_name(form.get("user", ""))
        if not user:
            return self._ask(request, where, Message("login.no_name"))
        try:
            session = self._authenticator.log_in(request, user, form.get("password", ""))
        except WrongPassword:
            return self._ask(request, where, Message("login.wrong"), user)
        except HTTPException as refused:
            response = self._ask(request, where, refused.detail, user)
            response.status_code = refused.status_code
            response.headers.update(refused.headers or {})
            return response
        response = RedirectResponse(where, HTTPStatus.SEE_OTHER)
        self._authenticator.give_cookie(response.headers, request, session.token)
        return response

    def begin_oidc(self, request: Request) -> Response:
        """Sends the browser to the provider."""
        oidc = self._required_oidc()
        where = own_path(request.query_params.get(NEXT_FIELD, "/"))
        try:
            url, state = oidc.begin()
        except ProviderAway as error:
            return self._say_away(request, where, error)
        response = RedirectResponse(url, HTTPStatus.SEE_OTHER)
        self._set_state(response, request, f"{state}.{quote(where, safe='')}", _STATE_SECONDS)
        return response

    def finish_oidc(self, request: Request) -> Response:
        """Logs a user in whom the provider has sent back."""
        oidc = self._required_oidc()
        state, _, where = request.cookies.get(_STATE_COOKIE, "").partition(".")
        where = own_path(unquote(where) or "/")
        try:
            user = oidc.finish(request.query_params, state)
            session = self._authenticator.log_in_provided(request, user)
        except ProviderAway as error:
            return self._say_away(request, where, error)
        except LoginRefused as refused:
            response = self._ask(request, where, refused.problem)
            response.status_code = HTTPStatus.FORBIDDEN
        else:
            # The browser would not send our cookie with a redirect, since the provider began it.
            response = render(request, "logged_in.html.jinja", where=where)
            self._authenticator.give_cookie(response.headers, request, session.token)
        self._set_state(response, request, "", 0)
        return response

    def log_out(self, request: Request) -> Response:
        """Logs a user out."""
        self._authenticator.log_out(request, request.state.visit.user)
        return RedirectResponse(LOGIN_PATH, HTTPStatus.SEE_OTHER)

    def _required_oidc(self) -> OpenIdConnect:
        if self._oidc is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, Message("problem.page"))
        return self._oidc

    def _say_away(self, request: Request, where: str, error: ProviderAway) -> Response:
        log.warning("oidc_provider_away", reason=str(error))
        label = self._required_oidc().label
        response = self._ask(request, where, Message("login.provider_away", provider=label))
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return response

    def _set_state(self, response: Response, request: Request, value: str, seconds: int) -> None:
        self._authenticator.set_cookie(
            response.headers,
            request,
            _STATE_COOKIE,
            value,
            path=CALLBACK_PATH,
            max_age=seconds,
            is_strict=False,  # the provider sends the browser back to us
        )

    def _ask(self, request: Request, where: str, problem: str = "", user: str = "") -> Response:
        token = cookie_of(request) or new_token()
        response = render(
            request,
            "login.html.jinja",
            HTTPStatus.UNAUTHORIZED if problem else HTTPStatus.OK,
            form_token=self._authenticator.form_tokens.of(token),
            next=where,
            problem=problem,
            user=user,
            provider=self._oidc.name if self._oidc else "",
            provider_path=with_query(BEGIN_PATH, next=where),
            add_first="" if self._authenticator.accounts.accounts() else ADD_FIRST,
        )
        if token != cookie_of(request):
            self._authenticator.give_cookie(response.headers, request, token)
        return response
