import os
import time
from collections.abc import Iterator

import pytest

from gateway.web import formatting
from totalmap.texts.catalogue import Language, texts_in

NOON_UTC = 1_795_694_400.0  # 2026-11-26


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(os.environ, "TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_times_on_the_gateway_page_are_shown_in_the_local_time_zone() -> None:
    assert formatting.moment(NOON_UTC) == "2026-11-26 13:00"
    assert formatting.exact_moment(NOON_UTC + 5) == "2026-11-26 13:00:05"
    assert formatting.iso_moment(NOON_UTC) == "2026-11-26T13:00:00+01:00"
    assert formatting.time_zone() in ("CET (UTC+01:00)", "CEST (UTC+02:00)")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_on_the_gateway_page_are_shown_in_their_two_largest_units(
    seconds: float, expected: str
) -> None:
    assert formatting.duration(seconds) == expected


def test_sizes_and_counts_on_the_gateway_page_are_shown_with_their_units() -> None:
    assert [formatting.size(n) for n in (12, 3400, 5.8e6, 78.5e9)] == [
        "12 bytes",
        "3.4 kB",
        "5.8 MB",
        "78.5 GB",
    ]
    assert [formatting.count(n, "image") for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]


def test_the_german_gateway_page_writes_dates_numbers_and_units_as_in_german() -> None:
    german = texts_in(Language.GERMAN)
    assert formatting.moment(NOON_UTC, german) == "26.11.2026, 13:00"
    assert formatting.exact_moment(NOON_UTC + 5, german) == "26.11.2026, 13:00:05"
    assert formatting.day("2026-11-26", german) == "26.11.2026"
    assert formatting.day("unknown", german) == "unknown"
    assert formatting.size(78.5e9, german) == "78,5 GB"
    assert formatting.count(2, "image", german) == "2 Bilder"
