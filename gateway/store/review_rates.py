"""Counts the final decisions that hold, by week, structure, finding, scanner and version.

Weeks are those of ISO 8601, in the local time zone of the machine.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Double,
    Select,
    String,
    and_,
    func,
    select,
    true,
    values,
)

from gateway.store.database import Database
from gateway.store.decision import DecisionKind
from gateway.store.decisions import SubjectKind
from gateway.store.review_list import is_final_and_holds
from gateway.store.schema import DECISION_SUBJECTS, DECISIONS

_WEEK = timedelta(weeks=1)


class Dimension(StrEnum):
    """By what decisions are counted."""

    ALL = "all"
    WEEK = "week"
    STRUCTURE = "structure"
    FINDING = "finding"
    SCANNER = "scanner"
    VERSION = "version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The decisions about results with one value of a dimension.

    Attributes:
        value: A week, such as 2026-W49; TotalSegmentator's name of a structure; the code of a
            finding; the scanner or the version. Empty: it is not known, or `Dimension.ALL`.
        accepted: None for a structure: people accept whole results.
        rejected: For a structure, the rejections that name it.
        released: None for a structure.
        decisions: For a structure, all decisions.
    """

    dimension: Dimension
    value: str
    accepted: int | None
    rejected: int
    released: int | None
    decisions: int

    @property
    def reject_rate(self) -> float:
        """The share of rejections, from 0 to 1."""
        return self.rejected / self.decisions


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """A week of ISO 8601.

    Attributes:
        name: Such as 2026-W49.
        begin: Monday 0:00 in the local time zone; seconds since 1970, UTC.
        end: The begin of the next week.
    """

    name: str
    begin: float
    end: float


def weeks_between(first: float, last: float) -> Sequence[Week]:
    """Returns the weeks from the one of a moment to that of another, the oldest first.

    Args:
        first: Seconds since 1970, UTC.
        last: The same.
    """
    monday, found = _monday(first), list[Week]()
    while _begin(monday) <= last:
        year, week, _ = monday.isocalendar()
        begin, end = _begin(monday), _begin(monday + _WEEK)
        found.append(Week(name=f"{year}-W{week:02}", begin=begin, end=end))
        monday += _WEEK
    return found


def review_rates(
    database: Database, *, now: float, n_weeks: int | None = None, rule: str = ""
) -> Mapping[Dimension, Sequence[Rate]]:
    """Returns the rates of each dimension: the newest week first, and the most rejections first.

    Values without a decision are left out.

    Args:
        database: With the decisions.
        now: The end of the period; seconds since 1970, UTC.
        n_weeks: How many weeks the period has, the present one among them; None: all decisions.
        rule: Only results of this rule; empty: of all.

    Raises:
        ResourceError: The database fails.
    """
    with database.transaction() as connection:
        weeks = _weeks(connection, now, n_weeks)
        counts = _counts(connection, weeks, rule) if weeks else {}
    found = [_rate(*name, counts) for name in counts]
    found.sort(key=lambda rate: (-rate.rejected, -rate.decisions, rate.value))
    rates = {each: [rate for rate in found if rate.dimension is each] for each in Dimension}
    rates[Dimension.WEEK].sort(key=lambda rate: rate.value, reverse=True)
    return rates


# How many decisions of each kind a value of a dimension has.
_Counts = Mapping[tuple[Dimension, str], Counter[DecisionKind]]


def _weeks(connection: Connection, now: float, n_weeks: int | None) -> Sequence[Week]:
    if n_weeks is not None:
        first: float | None = _begin(_monday(now) - (n_weeks - 1) * _WEEK)
    else:
        first = connection.execute(select(func.min(DECISIONS.c.at))).scalar()
    return weeks_between(first, now) if first is not None else ()


def _counts(connection: Connection, weeks: Sequence[Week], rule: str) -> _Counts:
    counts: dict[tuple[Dimension, str], Counter[DecisionKind]] = defaultdict(Counter)
    # An expression, so that SQLite looks decisions up by their time and never by their rule.
    is_of_rule = func.coalesce(DECISIONS.c.rule, "") == rule if rule else true()
    is_counted = and_(is_final_and_holds(), is_of_rule)
    for week, scanner, version, kind, n in connection.execute(_by_week(weeks, is_counted)):
        if kind is not None:
            counts[Dimension.ALL, ""][DecisionKind(kind)] += n
            counts[Dimension.WEEK, week][DecisionKind(kind)] += n
            counts[Dimension.SCANNER, scanner][DecisionKind(kind)] += n
            counts[Dimension.VERSION, version][DecisionKind(kind)] += n
    is_counted &= and_(DECISIONS.c.at >= weeks[0].begin, DECISIONS.c.at < weeks[-1].end)
    for subject, name, kind, n in connection.execute(_by_subject(is_counted)):
        if subject == SubjectKind.FINDING or kind == DecisionKind.REJECTED:
            counts[Dimension(subject), name][DecisionKind(kind)] += n
    return counts


def _by_week(
    weeks: Sequence[Week], is_counted: ColumnElement[bool]
) -> Select[str, str, str, str, int]:
    """Returns weeks, scanners and versions; those of a week without decisions are None."""
    columns = (Column("name", String), Column("begin_at", Double), Column("end_at", Double))
    rows = [(week.name, week.begin, week.end) for week in weeks]
    week = values(*columns, name="weeks").data(rows).cte("weeks")
    within = and_(DECISIONS.c.at >= week.c.begin_at, DECISIONS.c.at < week.c.end_at, is_counted)
    of = (week.c.name, DECISIONS.c.scanner, DECISIONS.c.version, DECISIONS.c.kind)
    # An outer join, so that SQLite goes from weeks to decisions; the other way takes seconds.
    source = week.outerjoin(DECISIONS, within)
    return select(*of, func.count()).select_from(source).group_by(*of)


def _by_subject(is_counted: ColumnElement[bool]) -> Select[str, str, str, int]:
    of = (DECISION_SUBJECTS.c.kind, DECISION_SUBJECTS.c.name, DECISIONS.c.kind.label("decision"))
    of_decision = DECISION_SUBJECTS.c.decision_id == DECISIONS.c.decision_id
    source = DECISIONS.join(DECISION_SUBJECTS, of_decision)
    return select(*of, func.count()).select_from(source).where(is_counted).group_by(*of)


def _rate(dimension: Dimension, value: str, counts: _Counts) -> Rate:
    found, is_structure = counts[dimension, value], dimension is Dimension.STRUCTURE
    everything = counts[Dimension.ALL, ""] if is_structure else found
    return Rate(
        dimension=dimension,
        value=value,
        accepted=None if is_structure else found[DecisionKind.ACCEPTED],
        rejected=found[DecisionKind.REJECTED],
        released=None if is_structure else found[DecisionKind.RELEASED],
        decisions=everything.total(),
    )


def _monday(seconds: float) -> date:
    day = datetime.fromtimestamp(seconds).astimezone().date()
    return day - timedelta(days=day.weekday())


def _begin(day: date) -> float:
    """Returns when a day begins in the local time zone; seconds since 1970, UTC."""
    return datetime(day.year, day.month, day.day).astimezone().timestamp()
