"""Collects the data of the worklist, of the decisions that were made, and of their rates."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gateway.store.review_list import DecidedResult, TimeToDecision, WaitingResult
from gateway.store.review_rates import Dimension, Rate, review_rates
from gateway.web.context import WebContext
from gateway.web.forms import chosen_name
from gateway.web.result_files import preview
from gateway.web.stored_reasons import told_summary
from gateway.web.study_titles import StudyTitle
from gateway.web.worklist import Worklist, review_path
from totalmap.texts.catalogue import Message

PAGE_RESULTS = 25
# A page shows so many rows of a dimension; the CSV has all.
TABLE_ROWS = 25
# The weeks that a user can choose; the last choice is all decisions.
PERIODS = ("4", "12", "52", "")
DEFAULT_PERIOD = "12"
_TIMED_DAYS = 90
_DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRow:
    """Results that wait for review.

    Attributes:
        path: Of the page on which a person looks at them and decides.
    """

    result: WaitingResult
    study_title: StudyTitle
    has_preview: bool
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingPage:
    """The worklist.

    Attributes:
        rule: Only results of this rule are shown; empty: of all.
        rules: The names of the rules to choose from.
        total: The number of all results that wait.
        page: The number of the page, counted from 1.
        start: Of the first results, as `WaitingRow.path`; None: nothing waits.
    """

    now: float
    rule: str
    rules: Sequence[str]
    rows: Sequence[WaitingRow]
    total: int
    page: int
    start: str | None

    @property
    def first(self) -> int:
        """The number of the first results here, counted from 1."""
        return (self.page - 1) * PAGE_RESULTS + 1

    @property
    def last(self) -> int:
        """The number of the last results here."""
        return self.first + len(self.rows) - 1

    @property
    def pages(self) -> int:
        """The number of pages."""
        return _pages(self.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedRow:
    """A decision that holds.

    Attributes:
        seconds: The time from the results to the decision; None: it is not known.
        path: As in `WaitingRow`.
    """

    result: DecidedResult
    study_title: StudyTitle
    seconds: float | None
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedPage:
    """The decisions that hold.

    Attributes:
        rule: As in `WaitingPage`.
        who: Only decisions of this user are shown; empty: of all.
        reviewers: The users to choose from.
        has_more: Whether there is a further page.
        timed: How long the decisions of the last `timed_days` took.
    """

    rule: str
    rules: Sequence[str]
    who: str
    reviewers: Sequence[str]
    rows: Sequence[DecidedRow]
    page: int
    has_more: bool
    timed: TimeToDecision
    timed_days: int = _TIMED_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRow:
    """A line of a table of rates; `name` is for people."""

    name: str
    rate: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTable:
    """The rates of a dimension.

    Attributes:
        n_more: How many lines are left out.
    """

    dimension: Dimension
    rows: Sequence[RateRow]
    n_more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RatesPage:
    """The rates of decisions.

    Attributes:
        period: One of `periods`: a number of weeks; empty: all decisions.
        rule: As in `WaitingPage`.
        total: Of all decisions; None: there is none.
    """

    period: str
    rule: str
    rules: Sequence[str]
    total: Rate | None
    tables: Sequence[RateTable]
    periods: Sequence[str] = PERIODS


def waiting_page(context: WebContext, *, rule: str, page: int) -> WaitingPage:
    """Returns a page of the worklist; the last one if there are fewer pages.

    Args:
        context: Of the page.
        rule: As in `WaitingPage`.
        page: As in `WaitingPage`.

    Raises:
        ResourceError: The database fails, here and in what follows.
    """
    shown_rule = chosen_name(rule)
    review = context.review_list
    total = review.count_waiting(shown_rule) if shown_rule else context.waiting_count.count()
    shown_page = max(1, min(page, _pages(total)))
    offset = (shown_page - 1) * PAGE_RESULTS
    found = review.waiting(shown_rule, limit=PAGE_RESULTS, offset=offset)
    first = found[:1] if shown_page == 1 else review.waiting(shown_rule, limit=1)
    worklist = Worklist(rule=shown_rule)
    return WaitingPage(
        now=time.time(),
        rule=shown_rule,
        rules=_rules(context, shown_rule),
        rows=[_waiting_row(context, result, worklist) for result in found],
        total=total,
        page=shown_page,
        start=review_path(context, first[0].job_id, worklist) if first else None,
    )


def decided_page(context: WebContext, *, rule: str, who: str, page: int) -> DecidedPage:
    """Returns a page of the decisions that hold, the newest first."""
    shown_rule, shown_who = chosen_name(rule), chosen_name(who)
    offset = (page - 1) * PAGE_RESULTS
    review = context.review_list
    found = review.decided(shown_rule, shown_who, limit=PAGE_RESULTS + 1, offset=offset)
    since = time.time() - _TIMED_DAYS * _DAY
    return DecidedPage(
        rule=shown_rule,
        rules=_rules(context, shown_rule),
        who=shown_who,
        reviewers=_with_chosen(review.reviewers(), shown_who),
        rows=[_decided_row(context, result) for result in found[:PAGE_RESULTS]],
        page=page,
        has_more=len(found) > PAGE_RESULTS,
        timed=review.time_to_decision(shown_rule, shown_who, since=since),
    )


def rates_page(context: WebContext, *, period: str, rule: str) -> RatesPage:
    """Returns the rates of a period."""
    shown_rule, weeks = chosen_name(rule), _weeks_of(period)
    found = review_rates(context.database, now=time.time(), n_weeks=weeks, rule=shown_rule)
    total = found[Dimension.ALL]
    return RatesPage(
        period="" if weeks is None else str(weeks),
        rule=shown_rule,
        rules=_rules(context, shown_rule),
        total=total[0] if total else None,
        tables=[
            RateTable(
                dimension=dimension,
                rows=[_rate_row(context, rate) for rate in rates[:TABLE_ROWS]],
                n_more=max(0, len(rates) - TABLE_ROWS),
            )
            for dimension, rates in found.items()
            if dimension is not Dimension.ALL
        ],
    )


def all_rates(context: WebContext, *, period: str, rule: str) -> Iterable[Rate]:
    """Returns the rates of a period, all of them."""
    weeks = _weeks_of(period)
    found = review_rates(context.database, now=time.time(), n_weeks=weeks, rule=chosen_name(rule))
    return [rate for rates in found.values() for rate in rates]


def _weeks_of(period: str) -> int | None:
    """Returns a number of weeks that a user can choose; None: all decisions.

    Args:
        period: One of `PERIODS`; the default is taken for anything else.
    """
    shown = period if period in PERIODS else DEFAULT_PERIOD
    return int(shown) if shown else None


def _waiting_row(context: WebContext, result: WaitingResult, worklist: Worklist) -> WaitingRow:
    reason = told_summary(context, result.job_id, result.reason)
    return WaitingRow(
        result=replace(result, reason=reason),
        study_title=context.study_titles.of(result.study_instance_uid),
        has_preview=preview(context.storage, result.job_id) is not None,
        path=review_path(context, result.job_id, worklist),
    )


def _decided_row(context: WebContext, result: DecidedResult) -> DecidedRow:
    return DecidedRow(
        result=result,
        study_title=context.study_titles.of(result.study_instance_uid),
        seconds=None if result.results_at is None else result.at - result.results_at,
        path=review_path(context, result.job_id, None),
    )


def _rate_row(context: WebContext, rate: Rate) -> RateRow:
    return RateRow(name=_name(context, rate) or Message("rates.not_known"), rate=rate)


def _name(context: WebContext, rate: Rate) -> str:
    """Returns a value of a dimension in the language of the page."""
    if rate.dimension is Dimension.STRUCTURE:
        return context.texts.structure(rate.value)
    if rate.dimension is Dimension.FINDING:
        return context.texts.entries.get(f"finding_name.{rate.value}", rate.value)
    if rate.dimension is Dimension.WEEK:
        year, _, week = rate.value.partition("-W")
        return Message("rates.week_name", year=year, week=int(week))
    return rate.value


def _rules(context: WebContext, chosen: str) -> Sequence[str]:
    return _with_chosen([rule.name for rule in context.settings.rules], chosen)


def _with_chosen(names: Sequence[str], chosen: str) -> Sequence[str]:
    """Returns names with the one that was chosen, which may be gone since."""
    return names if not chosen or chosen in names else [*names, chosen]


def _pages(total: int) -> int:
    return -(-total // PAGE_RESULTS)
