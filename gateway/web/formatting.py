"""Formats the moments, durations, sizes and numbers of a page in its language."""

import time
from datetime import datetime

from totalmap.texts.catalogue import Language, Texts, texts_in

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_GB, _MB, _KB = 1e9, 1e6, 1e3


def moment(seconds: float, texts: Texts | None = None) -> str:
    """Returns a time in the local time zone.

    Args:
        seconds: Since 1970, UTC.
        texts: Of the language; None: English, here and in what follows.
    """
    return _moment(seconds, "%H:%M", texts)


def exact_moment(seconds: float, texts: Texts | None = None) -> str:
    """Returns a time with seconds, in the local time zone."""
    return _moment(seconds, "%H:%M:%S", texts)


def iso_moment(seconds: float) -> str:
    """Returns a time with its time zone, for programs (ISO 8601)."""
    return _local(seconds).isoformat(timespec="seconds")


def time_zone() -> str:
    """Returns the name of the local time zone, and its offset from UTC."""
    now = _local(time.time())
    return f"{now.tzname()} (UTC{now.isoformat()[-6:]})"


def day(iso_date: str, texts: Texts | None = None) -> str:
    """Returns a date in ISO 8601 as people write it; any other text as it is."""
    return _texts(texts).date(iso_date.replace("-", "")) if iso_date.count("-") == 2 else iso_date


def duration(seconds: float, texts: Texts | None = None) -> str:
    """Returns a duration in its two largest units."""
    told, whole = _texts(texts), max(0, round(seconds))
    if whole < _MINUTE:
        return told("duration.seconds", seconds=whole)
    if whole < _HOUR:
        return told("duration.minutes", minutes=whole // _MINUTE, seconds=whole % _MINUTE)
    if whole < _DAY:
        return told("duration.hours", hours=whole // _HOUR, minutes=whole % _HOUR // _MINUTE)
    return told("duration.days", days=whole // _DAY, hours=whole % _DAY // _HOUR)


def count(number: int, noun: str, texts: Texts | None = None) -> str:
    """Returns a number with its noun, which is a key in `count` of the catalogues."""
    return _texts(texts).counted(f"count.{noun}", number)


def size(n_bytes: float, texts: Texts | None = None) -> str:
    """Returns a number of bytes in the largest unit."""
    told = _texts(texts)
    for unit, name in ((_GB, "gb"), (_MB, "mb"), (_KB, "kb")):
        if n_bytes >= unit:
            return told(f"size.{name}", value=n_bytes / unit)
    return told("size.bytes", value=float(n_bytes))


def _moment(seconds: float, clock: str, texts: Texts | None) -> str:
    local, told = _local(seconds), _texts(texts)
    return told("moment.at", date=told.date(f"{local:%Y%m%d}"), time=f"{local:{clock}}")


def _local(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()


def _texts(texts: Texts | None) -> Texts:
    return texts or texts_in(Language.ENGLISH)
