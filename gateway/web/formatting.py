"""How moments, times and sizes are written on the page."""

import time
from datetime import datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_GB, _MB, _KB = 1e9, 1e6, 1e3


def moment(seconds: float) -> str:
    """Returns a moment in the local time zone.

    Args:
        seconds: Since 1970, UTC.
    """
    return _local(seconds).strftime("%Y-%m-%d %H:%M")


def exact_moment(seconds: float) -> str:
    """Returns a moment to the second, in the local time zone."""
    return _local(seconds).strftime("%Y-%m-%d %H:%M:%S")


def iso_moment(seconds: float) -> str:
    """Returns a moment for programs, with its time zone (ISO 8601)."""
    return _local(seconds).isoformat(timespec="seconds")


def time_zone() -> str:
    """Returns what the local time zone is called, and how far it is from UTC."""
    now = _local(time.time())
    return f"{now.tzname()} (UTC{now.isoformat()[-6:]})"


def duration(seconds: float) -> str:
    """Returns a time in its two largest units."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def count(n: int, noun: str, plural: str = "") -> str:
    """Returns how many there are of something; without a plural, an s is added."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural or f'{noun}s'}"


def size(n_bytes: float) -> str:
    """Returns a number of bytes in its largest unit."""
    for unit, name in ((_GB, "GB"), (_MB, "MB"), (_KB, "kB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:.1f} {name}"
    return f"{n_bytes:.0f} bytes"


def _local(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()
