"""Where a request comes from, with what reverse proxies say of it believed from those alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from starlette.requests import HTTPConnection

from gateway.login_attempts import parse_address

Networks = Sequence[IPv4Network | IPv6Network]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request comes from.

    Attributes:
        address: Of who asks, as far as it is known.
        is_by_proxy: Whether a proxy of ours passed it on.
        is_https: Whether the browser speaks HTTPS.
    """

    address: str
    is_by_proxy: bool
    is_https: bool


def origin_of(connection: HTTPConnection, proxies: Networks) -> Origin:
    """Returns where a request comes from.

    Args:
        connection: The request.
        proxies: Those whose X-Forwarded-For and X-Forwarded-Proto are believed.
    """
    peer = connection.client.host if connection.client else ""
    scheme = connection.url.scheme
    if not _is_in(peer, proxies):
        return Origin(address=peer, is_by_proxy=False, is_https=scheme == "https")
    said = connection.headers.get("x-forwarded-for", "").split(",")
    # The last was added by our proxy; those before it may be anybody's invention.
    address = said[-1].strip() if parse_address(said[-1].strip()) else peer
    scheme = connection.headers.get("x-forwarded-proto", scheme)
    return Origin(address=address, is_by_proxy=True, is_https=scheme == "https")


def _is_in(address: str, networks: Networks) -> bool:
    parsed = parse_address(address)
    return parsed is not None and any(parsed in network for network in networks)
