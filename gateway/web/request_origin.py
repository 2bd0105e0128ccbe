"""Finds out from which address a request comes, and whether through a trusted proxy."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from starlette.requests import HTTPConnection

from gateway.login_attempts import parse_address

Networks = Sequence[IPv4Network | IPv6Network]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The origin of a request.

    Attributes:
        address: The address of the client, as far as it is known.
        is_by_proxy: Whether it came through one of `web.proxies`.
        is_https: Whether the browser uses HTTPS.
    """

    address: str
    is_by_proxy: bool
    is_https: bool


def origin_of(connection: HTTPConnection, proxies: Networks) -> Origin:
    """Returns the origin of a request.

    Args:
        connection: The request.
        proxies: Proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted.
    """
    peer = connection.client.host if connection.client else ""
    scheme = connection.url.scheme
    if not _is_in(peer, proxies):
        return Origin(address=peer, is_by_proxy=False, is_https=scheme == "https")
    said = connection.headers.get("x-forwarded-for", "").split(",")
    # Our proxy has added the last address; the client may have invented the earlier ones.
    address = said[-1].strip() if parse_address(said[-1].strip()) else peer
    scheme = connection.headers.get("x-forwarded-proto", scheme)
    return Origin(address=address, is_by_proxy=True, is_https=scheme == "https")


def _is_in(address: str, networks: Networks) -> bool:
    parsed = parse_address(address)
    return parsed is not None and any(parsed in network for network in networks)
