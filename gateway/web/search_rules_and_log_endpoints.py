"""Endpoints of the search, the rules and the log."""

from http import HTTPStatus
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.recent_log import recent_events
from gateway.store.audit_events import record_searched
from gateway.store.schema import UID_CHARACTERS
from gateway.web.context import WebContext
from gateway.web.forms import page_number
from gateway.web.rendering import render_inside
from gateway.web.rules_page_data import rules_page
from gateway.web.saved_searches import SavedSearches
from gateway.web.search_page_data import EXPIRED, WrongQuery, query_of, search_page
from totalmap.texts.catalogue import Message


class SearchRulesAndLogPages:
    """Endpoints that show what is not the state of a job."""

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._searches = SavedSearches()

    def search(self, request: Request) -> Response:
        """Shows the form of the search, and the studies that the last search has found."""
        name, user = request.query_params.get("search", ""), request.state.visit.user
        query = self._searches.find(user, name)
        view = search_page(
            self._context,
            query,
            name=name if query is not None else "",
            page=page_number(request.query_params.get("page", "1")),
            problem=EXPIRED if name and query is None else "",
        )
        return self._show("search.html.jinja", request, view)

    def start_search(self, request: Request) -> Response:
        """Searches for what a user has entered, and redirects to a page that does not name it."""
        fields = request.state.form
        try:
            query = query_of(fields)
        except WrongQuery as wrong:
            view = search_page(self._context, None, problem=wrong.problem, fields=fields)
            return self._show("search.html.jinja", request, view)
        user, address = request.state.visit.user, self._context.authenticator.address_of(request)
        record_searched(self._context.database, user, address, ", ".join(query.conditions()))
        name = self._searches.save(user, query)
        return RedirectResponse(f"/search?search={quote(name)}", HTTPStatus.SEE_OTHER)

    def rules(self, request: Request) -> Response:
        """Shows the rules in words, and which of them would match a study."""
        study = request.query_params.get("study", "").strip()
        if len(study) > UID_CHARACTERS:
            raise HTTPException(HTTPStatus.NOT_FOUND, Message("problem.study"))
        return self._show("rules.html.jinja", request, rules_page(self._context, study))

    def log(self, request: Request) -> Response:
        """Shows the newest warnings and errors of all processes."""
        events = recent_events(self._context.settings.storage_folder)
        return self._show("log.html.jinja", request, events)

    def _show(self, name: str, request: Request, view: object) -> Response:
        return render_inside(name, request, view)
