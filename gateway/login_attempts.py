"""How often somebody may try a password."""

import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Lock

FAILURES = 5
WITHIN_SECONDS = 60.0
# What one subscriber has of IPv6 addresses (RFC 6177): trying them one by one gains nothing.
IPV6_PREFIX_BITS = 64
_IPV6_BITS = 128


class LoginAttempts:
    """Failures of the last minute, by address; may be used by many threads at once."""

    def __init__(self, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._now_seconds = now_seconds
        self._lock = Lock()
        self._failures: dict[str, list[float]] = {}

    def begin(self, address: str) -> bool:
        """Returns whether an address may try; the try counts as a failure until it succeeds.

        So those who try many times at once gain nothing, either.
        """
        now = self._now_seconds()
        with self._lock:
            self._failures = {
                one: recent
                for one, moments in self._failures.items()
                if (recent := _that_count(moments, now))
            }
            failures = self._failures.setdefault(_whose(address), [])
            if len(failures) >= FAILURES:
                return False
            failures.append(now)
            return True

    def succeeded(self, address: str) -> None:
        """Takes back the newest failure of an address, which was none."""
        with self._lock:
            failures = self._failures.get(_whose(address))
            if failures:
                failures.pop()


def _that_count(moments: list[float], now: float) -> list[float]:
    """Returns the failures that still count: too many do until a minute after the last."""
    if len(moments) >= FAILURES:
        return moments if now - moments[-1] < WITHIN_SECONDS else []
    return [moment for moment in moments if now - moment < WITHIN_SECONDS]


def _whose(address: str) -> str:
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return f"{int(parsed) >> (_IPV6_BITS - IPV6_PREFIX_BITS):x}::"
    return address


def parse_address(address: str) -> IPv4Address | IPv6Address | None:
    """Returns an address; one of IPv4 that came by a socket of IPv6 as what it is."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
