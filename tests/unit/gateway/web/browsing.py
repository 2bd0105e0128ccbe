"""Logs in and presses buttons as a browser does."""

import re

import httpx

from tests.accounts import PASSWORD, USER

__all__ = ["PASSWORD", "USER", "form_token", "log_in", "press"]


def form_token(page: httpx.Response) -> str:
    """Returns what the forms of a page hold."""
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', page.text)
    assert found
    return found[1]


def log_in(client: httpx.Client, password: str = PASSWORD, **fields: str) -> httpx.Response:
    """Fills in the form to log in; returns the answer."""
    token = form_token(client.get("/login"))
    form = {"form_token": token, "user": USER, "password": password, **fields}
    return client.post("/login", data=form)


def press(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Presses a button of the first page; returns the answer."""
    form = {"form_token": form_token(client.get("/")), "next": "/", **fields}
    return client.post(path, data=form)
