from ipaddress import ip_network

import pytest
from starlette.requests import HTTPConnection

from gateway.web.request_origin import Origin, origin_of

PROXIES = (ip_network("10.0.0.0/24"), ip_network("fd00::/64"))


def connection(peer: str, **headers: str) -> HTTPConnection:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HTTPConnection(
        {
            "type": "http",
            "scheme": "http",
            "path": "/",
            "server": ("here", 80),
            "headers": raw,
            "client": (peer, 1),
        }
    )


@pytest.mark.parametrize("peer", ["10.0.0.7", "fd00::7", "::ffff:10.0.0.7"])
def test_the_web_server_uses_only_the_client_address_that_a_trusted_proxy_added(peer: str) -> None:
    said = connection(peer, x_forwarded_for="1.1.1.1, 192.168.1.5", x_forwarded_proto="https")
    assert origin_of(said, PROXIES) == Origin(
        address="192.168.1.5", is_by_proxy=True, is_https=True
    )


@pytest.mark.parametrize("peer", ["10.0.1.7", "fd01::7", "127.0.0.1"])
def test_the_web_server_ignores_forwarding_headers_of_untrusted_peers(peer: str) -> None:
    said = connection(peer, x_forwarded_for="10.0.0.7", x_forwarded_proto="https")
    assert origin_of(said, PROXIES) == Origin(address=peer, is_by_proxy=False, is_https=False)


def test_an_invalid_forwarded_client_address_is_replaced_by_that_of_the_proxy() -> None:
    assert origin_of(connection("10.0.0.7", x_forwarded_for="nonsense"), PROXIES).address == (
        "10.0.0.7"
    )
