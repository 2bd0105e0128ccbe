"""Templates become pages; everything in them is escaped."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from gateway.web import formatting
from gateway.web.authentication import AUTOMATIC, Visit
from gateway.web.forms import with_query
from gateway.web.patients import short_uid

# In the query, after something was done, so that a page can say so.
SAID = "said"
_SAYINGS = {
    "retried": "The job is queued again.",
    "cancelled": "The job is cancelled.",
    "urgent": "The job comes before all that are not urgent.",
    "delivering": "The delivery is tried again at once.",
    "first-kept": "The study stays as it was first.",
    "new-taken": "The new content is taken, and the study is segmented again.",
    "study-rejected": "The study is rejected. Nothing is made of it.",
    "clock-confirmed": "The clock is confirmed, and retention goes on.",
    "paused": "No further job is begun.",
    "resumed": "Jobs are begun again.",
    "unchanged": "Nothing was changed: it was done or decided otherwise meanwhile.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What each page for a user needs, besides what it shows.

    Attributes:
        here: Its path and query.
    """

    visit: Visit
    here: str


def render(name: str, status: HTTPStatus = HTTPStatus.OK, **values: Any) -> HTMLResponse:
    """Returns a page."""
    return HTMLResponse(_ENVIRONMENT.get_template(name).render(**values), status)


def render_inside(name: str, request: Request, view: Any, *, may_log_out: bool) -> HTMLResponse:
    """Returns a page for a user, which keeps itself up to date.

    Args:
        name: Of its template.
        request: By the user.
        view: What it shows.
        may_log_out: Whether it is here that users log in and out.
    """
    url = request.url.remove_query_params([AUTOMATIC, SAID])
    here = f"{url.path}?{url.query}".removesuffix("?")
    page = Page(visit=request.state.visit, here=here)
    return render(
        name,
        page=page,
        visit=page.visit,
        view=view,
        may_log_out=may_log_out,
        refresh=with_query(here, **{AUTOMATIC: "1"}),
        said=_SAYINGS.get(request.query_params.get(SAID, ""), ""),
    )


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gateway.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: Mapping[str, Any] = {
        "capitalise": _capitalise,
        "count": formatting.count,
        "duration": formatting.duration,
        "exact_moment": formatting.exact_moment,
        "iso_moment": formatting.iso_moment,
        "moment": formatting.moment,
        "short_uid": short_uid,
        "size": formatting.size,
    }
    environment.filters.update(filters)
    environment.globals["time_zone"] = formatting.time_zone
    return environment


_ENVIRONMENT = _environment()
