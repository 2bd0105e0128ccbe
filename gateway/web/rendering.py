"""Renders templates as pages, and formats the moments, durations and sizes in them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from gateway.web.access_control import Visit
from gateway.web.authentication import AUTOMATIC
from gateway.web.forms import with_query
from gateway.web.study_titles import short_uid

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_GB, _MB, _KB = 1e9, 1e6, 1e3
# A query parameter with the outcome of an action, for a message.
SAID = "said"
_SAYINGS = {
    "retried": "The job is queued again.",
    "cancelled": "The job is cancelled.",
    "urgent": "The job is urgent now.",
    "delivering": "The delivery is tried again at once.",
    "first-kept": "The first content of the study is kept.",
    "new-taken": "The new content is taken, and the study is segmented again.",
    "study-rejected": "The study is rejected, and is not segmented.",
    "clock-confirmed": "The clock is confirmed, and retention goes on.",
    "paused": "No more jobs are started.",
    "resumed": "Studies are received, and jobs are started again.",
    "account-added": "The account is added.",
    "account-removed": "The account is removed, and its sessions have ended.",
    "role-changed": "The role is changed, and the sessions of the account have ended.",
    "password-changed": "The password is changed, and the other sessions have ended.",
    "password-reset": "The password is changed, and the sessions of the account have ended.",
    "sessions-ended": "The sessions of the account have ended.",
    "unchanged": "Nothing was changed, because the state has changed meanwhile.",
}


def moment(seconds: float) -> str:
    """Returns a time in the local time zone.

    Args:
        seconds: Since 1970, UTC.
    """
    return _local(seconds).strftime("%Y-%m-%d %H:%M")


def exact_moment(seconds: float) -> str:
    """Returns a time with seconds, in the local time zone."""
    return _local(seconds).strftime("%Y-%m-%d %H:%M:%S")


def iso_moment(seconds: float) -> str:
    """Returns a time with its time zone, for programs (ISO 8601)."""
    return _local(seconds).isoformat(timespec="seconds")


def time_zone() -> str:
    """Returns the name of the local time zone, and its offset from UTC."""
    now = _local(time.time())
    return f"{now.tzname()} (UTC{now.isoformat()[-6:]})"


def duration(seconds: float) -> str:
    """Returns a duration in its two largest units."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def count(n: int, noun: str, plural: str = "") -> str:
    """Returns a number with its noun; without a plural, an s is added."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural or f'{noun}s'}"


def size(n_bytes: float) -> str:
    """Returns a number of bytes in the largest unit."""
    for unit, name in ((_GB, "GB"), (_MB, "MB"), (_KB, "kB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.1f} {name}"
    return f"{n_bytes:.0f} bytes"


def _local(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The data that each page for a user needs.

    Attributes:
        here: The path and query of the page.
    """

    visit: Visit
    here: str


def render(name: str, status: HTTPStatus = HTTPStatus.OK, **values: Any) -> HTMLResponse:
    """Renders a template as a page."""
    return HTMLResponse(_ENVIRONMENT.get_template(name).render(**values), status)


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
    """
    url = request.url.remove_query_params([AUTOMATIC, SAID])
    here = f"{url.path}?{url.query}".removesuffix("?")
    page = Page(visit=request.state.visit, here=here)
    return render(
        name,
        status,
        page=page,
        visit=page.visit,
        view=view,
        problem=problem,
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
        "count": count,
        "duration": duration,
        "exact_moment": exact_moment,
        "iso_moment": iso_moment,
        "moment": moment,
        "short_uid": short_uid,
        "size": size,
    }
    environment.filters.update(filters)
    environment.globals["time_zone"] = time_zone
    return environment


_ENVIRONMENT = _environment()
