"""Tests the counts of decisions by week, structure, finding, scanner and version."""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from gateway.store.database import Database
from gateway.store.decision import DecisionKind
from gateway.store.review_rates import Dimension, Rate, review_rates, weeks_between
from tests.unit.gateway.store.reviewed_results import ReviewedResults
from totalmap.finding import Verdict

AN_HOUR = 3600.0


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone of a site, with summer time."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def results(database: Database) -> ReviewedResults:
    return ReviewedResults(database)


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


NOW = at("2026-12-03T12:00+00:00")


def counts(rate: Rate) -> tuple[str, int | None, int, int | None, int]:
    return rate.value, rate.accepted, rate.rejected, rate.released, rate.decisions


@pytest.mark.usefixtures("berlin")
def test_weeks_begin_on_monday_at_midnight_of_the_local_time_zone() -> None:
    first, last = at("2026-03-29T23:59+02:00"), at("2026-03-30T00:00+02:00")
    short, following = weeks_between(first, last)
    assert (short.name, following.name) == ("2026-W13", "2026-W14")
    assert short.begin == at("2026-03-23T00:00+01:00")
    assert short.end == following.begin == at("2026-03-30T00:00+02:00")
    assert short.end - short.begin == (7 * 24 - 1) * AN_HOUR, "summer time begins in it"


@pytest.mark.usefixtures("berlin")
def test_first_days_of_a_year_can_belong_to_the_last_week_of_the_year_before() -> None:
    (week,) = weeks_between(at("2026-12-31T12:00+01:00"), at("2027-01-03T23:59+01:00"))
    assert week.name == "2026-W53"


@pytest.mark.usefixtures("berlin")
def test_decisions_are_counted_by_week_in_the_period(
    results: ReviewedResults, database: Database
) -> None:
    moments = ("2026-11-23T08:00", "2026-11-29T23:59", "2026-11-30T00:01", "2026-12-03T10:00")
    kinds = (
        DecisionKind.ACCEPTED,
        DecisionKind.REJECTED,
        DecisionKind.REJECTED,
        DecisionKind.ACCEPTED,
    )
    for number, (moment, kind) in enumerate(zip(moments, kinds, strict=True)):
        results.decide(results.make(f"a{number}"), kind, at=at(f"{moment}+01:00"))
    results.decide(results.make("old"), DecisionKind.ACCEPTED, at=at("2025-01-02T10:00+01:00"))
    recent = review_rates(database, now=NOW, n_weeks=2)
    assert [*map(counts, recent[Dimension.WEEK])] == [
        ("2026-W49", 1, 1, 0, 2),
        ("2026-W48", 1, 1, 0, 2),
    ]
    assert [*map(counts, recent[Dimension.ALL])] == [("", 2, 2, 0, 4)]
    assert recent[Dimension.ALL][0].reject_rate == 0.5
    everything = review_rates(database, now=NOW)
    assert [rate.value for rate in everything[Dimension.WEEK]] == [
        "2026-W49",
        "2026-W48",
        "2025-W01",
    ]
    assert [*map(counts, everything[Dimension.ALL])] == [("", 3, 2, 0, 5)]


def test_decisions_are_counted_by_scanner_version_and_finding_most_rejections_first(
    results: ReviewedResults, database: Database
) -> None:
    for number, (kind, scanner, findings) in enumerate(
        [
            (DecisionKind.ACCEPTED, "A", ("HU",)),
            (DecisionKind.ACCEPTED, "A", ("HU", "VOLUME")),
            (DecisionKind.REJECTED, "B", ("VOLUME", "HOLE")),
            (DecisionKind.RELEASED, "", ("HOLE",)),
        ]
    ):
        verdict = Verdict.REJECT if kind is DecisionKind.RELEASED else Verdict.REVIEW
        job_id = results.make(f"a{number}", verdict)
        about = {"scanner": scanner, "findings": findings, "version": f"0.{number // 2}"}
        results.decide(job_id, kind, at=NOW, **about)
    rates = review_rates(database, now=NOW, n_weeks=4)
    assert [*map(counts, rates[Dimension.SCANNER])] == [
        ("B", 0, 1, 0, 1),
        ("A", 2, 0, 0, 2),
        ("", 0, 0, 1, 1),
    ]
    assert [*map(counts, rates[Dimension.VERSION])] == [("0.1", 0, 1, 1, 2), ("0.0", 2, 0, 0, 2)]
    assert {counts(rate) for rate in rates[Dimension.FINDING]} == {
        ("VOLUME", 1, 1, 0, 2),
        ("HOLE", 0, 1, 1, 2),
        ("HU", 2, 0, 0, 2),
    }


def test_a_structure_has_the_rejections_that_name_it_of_all_decisions(
    results: ReviewedResults, database: Database
) -> None:
    for number, structures in enumerate([("liver", "spleen"), ("liver",), ()]):
        job_id = results.make(f"a{number}")
        results.decide(job_id, DecisionKind.REJECTED, at=NOW, structures=structures)
    results.decide(results.make("b"), DecisionKind.ACCEPTED, at=NOW)
    rates = review_rates(database, now=NOW)
    assert [*map(counts, rates[Dimension.STRUCTURE])] == [
        ("liver", None, 2, None, 4),
        ("spleen", None, 1, None, 4),
    ]
    assert rates[Dimension.STRUCTURE][0].reject_rate == 0.5


def test_only_final_decisions_that_hold_are_counted(
    results: ReviewedResults, database: Database
) -> None:
    about: dict[str, Any] = {"at": NOW, "structures": ("liver",), "findings": ("HU",)}
    results.decide(results.make("a"), DecisionKind.COMMENTED, **about)
    results.decide(results.make("b"), DecisionKind.REJECTED, **about)
    results.decide("b", DecisionKind.WITHDRAWN, at=NOW)
    none = review_rates(database, now=NOW)
    assert [rates for rates in none.values() if rates] == []
    results.decide("b", DecisionKind.ACCEPTED, at=NOW, findings=("HU",))
    once = review_rates(database, now=NOW)
    assert [*map(counts, once[Dimension.ALL])] == [("", 1, 0, 0, 1)]
    assert [*map(counts, once[Dimension.FINDING])] == [("HU", 1, 0, 0, 1)]
    assert once[Dimension.STRUCTURE] == []


def test_decisions_are_counted_for_one_rule(results: ReviewedResults, database: Database) -> None:
    for job_id, rule in (("a", "ct"), ("b", "mr"), ("c", "mr")):
        results.decide(results.make(job_id, rule=rule), DecisionKind.ACCEPTED, at=NOW)
    rates = review_rates(database, now=NOW, n_weeks=1, rule="mr")
    assert [*map(counts, rates[Dimension.ALL])] == [("", 2, 0, 0, 2)]
    assert [*map(counts, rates[Dimension.WEEK])] == [("2026-W49", 2, 0, 0, 2)]


def test_a_gateway_without_decisions_has_no_rates(database: Database) -> None:
    rates = review_rates(database, now=NOW)
    assert rates == {dimension: [] for dimension in Dimension}
    assert review_rates(database, now=NOW, n_weeks=4) == rates
