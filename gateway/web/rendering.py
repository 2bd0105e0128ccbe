"""Renders templates as pages, in the language of `web.language`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from http import HTTPStatus
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import escape
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse

from gateway.web.access_control import Visit
from gateway.web.authentication import AUTOMATIC
from gateway.web.formatting import (
    count,
    day,
    duration,
    exact_moment,
    iso_moment,
    moment,
    size,
    time_zone,
)
from gateway.web.forms import with_query
from gateway.web.study_titles import short_uid
from totalmap.texts.catalogue import Message, Texts, Value

# A query parameter with the outcome of an action, for a message.
SAID = "said"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The data that each page for a user needs.

    Attributes:
        here: The path and query of the page.
        n_waiting: How many results wait for review.
    """

    visit: Visit
    here: str
    n_waiting: int


def use_texts(application: Starlette, texts: Texts) -> None:
    """Has all pages of an application speak a language."""
    application.state.texts = texts


def use_worklist(application: Starlette, count_waiting: Callable[[], int]) -> None:
    """Has all pages of an application show how many results wait for review."""
    application.state.count_waiting = count_waiting


def texts_of(request: Request) -> Texts:
    """Returns the texts in the language of the page."""
    texts: Texts = request.app.state.texts
    return texts


def render(
    request: Request, name: str, status: HTTPStatus = HTTPStatus.OK, **values: Any
) -> HTMLResponse:
    """Renders a template as a page."""
    template = _environment(texts_of(request)).get_template(name)
    return HTMLResponse(template.render(**values), status)


def render_problem(request: Request, status: HTTPStatus, detail: str) -> HTMLResponse:
    """Renders the page of a request that is refused.

    Args:
        request: The request.
        status: Of the response.
        detail: Why; the phrase of the status if there is nothing to add.
    """
    title = texts_of(request).entries.get(f"status.{status.value}", status.phrase)
    shown = title if detail == status.phrase else detail
    return render(request, "problem.html.jinja", status, title=title, detail=shown)


def render_inside(
    name: str,
    request: Request,
    view: Any,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    problem: str = "",
) -> HTMLResponse:
    """Renders a page for a user.

    Args:
        name: The name of the template.
        request: The request of the user.
        view: The data that it shows.
        status: Of the response.
        problem: Why an action of the user was refused; empty: none was.

    Raises:
        ResourceError: The database fails.
    """
    url = request.url.remove_query_params([AUTOMATIC, SAID])
    here = f"{url.path}?{url.query}".removesuffix("?")
    n_waiting = request.app.state.count_waiting()
    page = Page(visit=request.state.visit, here=here, n_waiting=n_waiting)
    said = f"said.{request.query_params.get(SAID, '')}"
    return render(
        request,
        name,
        status,
        page=page,
        visit=page.visit,
        view=view,
        problem=problem,
        refresh=with_query(here, **{AUTOMATIC: "1"}),
        said=texts_of(request).entries.get(said, ""),
    )


class _TemplateTexts:
    """The texts for templates; values are escaped, unless they are HTML already."""

    def __init__(self, texts: Texts) -> None:
        entries = {key: escape(text) for key, text in texts.entries.items()}
        self._texts = replace(texts, entries=entries)

    def text(self, key: str, /, **values: Value) -> str:
        """Returns the text of a key; most have no values, and need no formatting."""
        return self._texts(key, **values) if values else self._texts.entries[key]

    def counted(self, key: str, number: int, /, **values: Value) -> str:
        """Returns the text of a number of things."""
        return self._texts.counted(key, number, **values)

    def either(self, key: str, other: str) -> str:
        """Returns the text of a key; for one that no catalogue has, the words of its value."""
        return self._texts.entries.get(key) or other.replace("_", " ")


def _told(texts: Texts, value: Any) -> Any:
    """Returns the value of an expression in a template; a message in the language of the page."""
    return texts.told(value) if type(value) is Message else value


def _capitalise(texts: Texts, text: str) -> str:
    told = texts.told(text)
    return told[:1].upper() + told[1:]


@cache
def _environment(texts: Texts) -> Environment:
    """Returns the compiled templates of a language."""
    environment = Environment(
        loader=PackageLoader("gateway.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=partial(_told, texts),
    )
    filters: Mapping[str, Any] = {
        "capitalise": partial(_capitalise, texts),
        "count": partial(count, texts=texts),
        "day": partial(day, texts=texts),
        "duration": partial(duration, texts=texts),
        "exact_moment": partial(exact_moment, texts=texts),
        "iso_moment": iso_moment,
        "moment": partial(moment, texts=texts),
        "short_uid": short_uid,
        "size": partial(size, texts=texts),
    }
    environment.filters.update(filters)
    in_templates = _TemplateTexts(texts)
    environment.globals.update(
        language=texts.language,
        time_zone=time_zone,
        t=in_templates.text,
        counted=in_templates.counted,
        either=in_templates.either,
    )
    return environment
