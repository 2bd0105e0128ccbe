import httpx
import pytest

from gateway.web.forms import FORM_BYTES, own_path, with_query


@pytest.mark.parametrize("path", ["/", "/studies/1.2.3", "/?group=failed&page=2"])
def test_our_own_pages_are_gone_to(path: str) -> None:
    assert own_path(path) == path


@pytest.mark.parametrize(
    "path", ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb", "/\t/evil"]
)
def test_no_other_ones(path: str) -> None:
    assert own_path(path) == "/"


def test_a_query_grows() -> None:
    assert with_query("/", a="1") == "/?a=1"
    assert with_query("/?a=1", b="x&y") == "/?a=1&b=x%26y"


def test_a_form_that_is_too_long_or_does_not_say_how_long_it_is_is_refused(
    stranger: httpx.Client,
) -> None:
    assert stranger.post("/login", data={"user": "x" * FORM_BYTES}).status_code == 413
    assert stranger.post("/login", content=iter([b"user=x"])).status_code == 411
