import httpx
import pytest

from gateway.web.forms import FORM_BYTES, own_path, with_query


@pytest.mark.parametrize("path", ["/", "/studies/1.2.3", "/?group=failed&page=2"])
def test_paths_of_the_gateway_are_accepted_as_redirects_after_a_form(path: str) -> None:
    assert own_path(path) == path


@pytest.mark.parametrize(
    "path", ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb", "/\t/evil"]
)
def test_redirects_of_a_form_to_other_addresses_are_replaced_by_the_first_page(path: str) -> None:
    assert own_path(path) == "/"


def test_the_web_page_adds_values_to_the_query_of_a_path() -> None:
    assert with_query("/", a="1") == "/?a=1"
    assert with_query("/?a=1", b="x&y") == "/?a=1&b=x%26y"


def test_a_form_of_the_gateway_page_that_is_too_long_or_has_no_length_is_refused(
    stranger: httpx.Client,
) -> None:
    assert stranger.post("/login", data={"user": "x" * FORM_BYTES}).status_code == 413
    assert stranger.post("/login", content=iter([b"user=x"])).status_code == 411
