"""Writes the time of an event as the dates and times of a data set."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from pydicom.dataset import Dataset

from totalmap.dicom.header import Header

# PS3.3 C.12.1: &ZZXX, from -1200 to +1400.
_OFFSET = re.compile(r"([+-])([01]\d)([0-5]\d)")
_LOWEST, _HIGHEST = timedelta(hours=-12), timedelta(hours=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A point in time, to the second.

    Attributes:
        date: VR DA.
        time: VR TM.
        date_time: VR DT with the offset from UTC.
    """

    date: str
    time: str
    date_time: str


def moment_in(dataset: Dataset, seconds: float) -> Moment:
    """Returns a point in time in the time zone of a data set.

    The time zone is Timezone Offset From UTC (0008,0201), which holds for all dates and times of a
    data set. Without a valid one it is UTC: the time zone of the machine is not used, so that every
    machine writes the same bytes.

    Args:
        dataset: The data set.
        seconds: Seconds since 1970 UTC.
    """
    zone = _zone(Header(dataset).text("TimezoneOffsetFromUTC"))
    moment = datetime.fromtimestamp(math.floor(seconds), zone)
    return Moment(
        date=f"{moment:%Y%m%d}", time=f"{moment:%H%M%S}", date_time=f"{moment:%Y%m%d%H%M%S%z}"
    )


def _zone(text: str) -> timezone:
    found = _OFFSET.fullmatch(text)
    if found is None:
        return UTC
    sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    offset = -offset if sign == "-" else offset
    return timezone(offset) if _LOWEST <= offset <= _HIGHEST else UTC
