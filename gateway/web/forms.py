"""Reads forms that a browser sends, and builds URLs of the page."""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from totalmap.texts.catalogue import Message

# Our forms are much shorter; an unknown client must not fill the memory.
FORM_BYTES = 16_384
# Names of rules and users are shorter.
NAME_CHARACTERS = 64
TOKEN_FIELD = "form_token"  # noqa: S105  a name
NEXT_FIELD = "next"
_PAGE_DIGITS = 6


async def read_form(request: Request) -> Mapping[str, str]:
    """Returns the fields of a form.

    Raises:
        HTTPException: It is too long, has no length, or is incomplete.
    """
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        raise HTTPException(HTTPStatus.LENGTH_REQUIRED, Message("problem.no_length"))
    if int(length) > FORM_BYTES:
        raise HTTPException(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            Message("problem.too_long", bytes=length, allowed=FORM_BYTES),
        )
    try:
        async with request.form() as form:
            return {name: value for name, value in form.items() if isinstance(value, str)}
    except ClientDisconnect as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, Message("problem.incomplete")) from error


def page_number(text: str) -> int:
    """Returns the number of a page in a query; 1 for what is no number."""
    digits = text[:_PAGE_DIGITS]
    return max(1, int(digits)) if digits.isascii() and digits.isdecimal() else 1


def chosen_name(text: str) -> str:
    """Returns the name of a rule or user that was chosen; empty for what nothing can be called."""
    return text if text.isprintable() and len(text) <= NAME_CHARACTERS else ""


def own_path(path: str) -> str:
    """Returns a path of our own page; the first page for any other."""
    # A browser takes // and /\\ for the begin of another server's name.
    is_own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_own else "/"


def with_query(path: str, **values: str) -> str:
    """Returns a path with values added to its query."""
    return f"{path}{'&' if '?' in path else '?'}{urlencode(values)}"
