"""Limits how often an address may try a password, and how often one of an account is tried."""

import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Lock

FAILURES = 5
# Of one account, from all addresses together: others than its user may cause them.
FAILURES_OF_ACCOUNT = 20
WITHIN_SECONDS = 60.0
# One subscriber has all IPv6 addresses of a /64 network (RFC 6177): they count as one address.
IPV6_PREFIX_BITS = 64
_IPV6_BITS = 128


class LoginAttempts:
    """Counts the failures of the last minute by address; safe to use from many threads.

    The name of an account may take the place of an address.
    """

    def __init__(
        self, now_seconds: Callable[[], float] = time.monotonic, *, failures: int = FAILURES
    ) -> None:
        self._now_seconds = now_seconds
        self._at_most = failures
        self._lock = Lock()
        self._failures: dict[str, list[float]] = {}

    def begin(self, address: str) -> bool:
        """Returns whether an address may try; the try counts as a failure until it succeeds.

        So tries at the same time count, too.
        """
        now = self._now_seconds()
        with self._lock:
            self._failures = {
                peer: recent
                for peer, moments in self._failures.items()
                if (recent := self._counting_failures(moments, now))
            }
            failures = self._failures.setdefault(_subscriber(address), [])
            if len(failures) >= self._at_most:
                return False
            failures.append(now)
            return True

    def succeeded(self, address: str) -> None:
        """Removes the newest try of an address from its failures, because it has succeeded."""
        with self._lock:
            failures = self._failures.get(_subscriber(address))
            if failures:
                failures.pop()

    def _counting_failures(self, moments: list[float], now: float) -> list[float]:
        """Returns the failures that count; too many count until a minute after the last."""
        if len(moments) >= self._at_most:
            return moments if now - moments[-1] < WITHIN_SECONDS else []
        return [moment for moment in moments if now - moment < WITHIN_SECONDS]


def _subscriber(address: str) -> str:
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return f"{int(parsed) >> (_IPV6_BITS - IPV6_PREFIX_BITS):x}::"
    return address


def parse_address(address: str) -> IPv4Address | IPv6Address | None:
    """Returns a parsed address; an IPv4 address that an IPv6 socket has mapped is given as IPv4."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
