"""Logging in and out, where no reverse proxy says who a user is."""

from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.web.authentication import (
    LOGIN_PATH,
    Authenticator,
    WrongPassword,
    cookie_of,
    user_name,
)
from gateway.web.forms import NEXT_FIELD, TOKEN_FIELD, own_path, read_form
from gateway.web.rendering import render
from gateway.web.sessions import new_token


class Login:
    """The endpoints."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def show(self, request: Request) -> Response:
        """Asks who it is, and for the password."""
        return self._ask(request, own_path(request.query_params.get(NEXT_FIELD, "/")))

    async def log_in(self, request: Request) -> Response:
        """Lets somebody in."""
        form = await read_form(request)
        where = own_path(form.get(NEXT_FIELD, "/"))
        if not self._authenticator.form_tokens.fits(cookie_of(request), form.get(TOKEN_FIELD, "")):
            return self._ask(request, where, "This page was out of date. Try again.")
        user = user_name(form.get("user", ""))
        if not user:
            return self._ask(request, where, "Say who you are.")
        try:
            password = form.get("password", "")
            session = await run_in_threadpool(self._authenticator.log_in, request, user, password)
        except WrongPassword:
            return self._ask(request, where, "That is not the password.", user)
        except HTTPException as refused:
            response = self._ask(request, where, refused.detail, user)
            response.status_code = refused.status_code
            response.headers.update(refused.headers or {})
            return response
        response = RedirectResponse(where, HTTPStatus.SEE_OTHER)
        self._authenticator.give_cookie(response.headers, request, session.token)
        return response

    def log_out(self, request: Request) -> Response:
        """Ends a session."""
        self._authenticator.log_out(request)
        return RedirectResponse(LOGIN_PATH, HTTPStatus.SEE_OTHER)

    def _ask(self, request: Request, where: str, problem: str = "", user: str = "") -> Response:
        token = cookie_of(request) or new_token()
        response = render(
            "login.html.jinja",
            HTTPStatus.UNAUTHORIZED if problem else HTTPStatus.OK,
            form_token=self._authenticator.form_tokens.of(token),
            next=where,
            problem=problem,
            user=user,
        )
        if token != cookie_of(request):
            self._authenticator.give_cookie(response.headers, request, token)
        return response
