"""Finds the results that wait for a person, the gravest first, and those that were decided about.

Results wait from their making until a final decision about them that nobody has withdrawn. Those
that retention has deleted, or that a newer job has replaced, wait no longer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    exists,
    func,
    or_,
    select,
    true,
    tuple_,
)

from gateway.store.database import Database
from gateway.store.decision import FINAL_KINDS, DecisionKind
from gateway.store.decisions import DECIDABLE_STATES
from gateway.store.events import EventKind, ObjectKind
from gateway.store.job import JobState
from gateway.store.job_statements import is_outdated
from gateway.store.schema import DECISIONS, EVENTS, JOBS
from totalmap.finding import Verdict

# The gravest first.
_GRAVITY = (Verdict.REJECT, Verdict.REVIEW, Verdict.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingResult:
    """Results that wait for a person.

    Attributes:
        verdict: Of quality control.
        reason: Why, as it was stored with the job; None: quality control has no objection.
        is_held: Whether they are held back until a person decides.
        results_at: When they were made; seconds since 1970, UTC, as all times.
    """

    job_id: str
    study_instance_uid: str
    rule: str
    verdict: Verdict
    reason: str | None
    is_held: bool
    is_urgent: bool
    results_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedResult:
    """A final decision that holds.

    Attributes:
        results_at: When the results were made; None where it is not known.
    """

    job_id: str
    study_instance_uid: str
    rule: str
    verdict: Verdict | None
    kind: DecisionKind
    who: str
    reason: str | None
    results_at: float | None
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeToDecision:
    """How long decisions took, from the results.

    Attributes:
        n_decisions: The number of decisions.
        median_seconds: None: there is none.
    """

    n_decisions: int
    median_seconds: float | None


class ReviewList:
    """The results to be reviewed; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database, verdicts: Sequence[Verdict]) -> None:
        self._database = database
        self._verdicts = tuple(verdicts)

    def waiting(
        self, rule: str = "", *, after: str = "", limit: int = 100, offset: int = 0
    ) -> Sequence[WaitingResult]:
        """Returns the results that wait, the gravest first, of these the oldest.

        Args:
            rule: Only results of this rule; empty: of all.
            after: Only results that come after those of this job, which need not wait any more;
                empty, or a job without results: all.
            limit: How many at most.
            offset: How many to skip.
        """
        statement = self._waiting(rule).order_by(*_order(JOBS))
        if after:
            statement = statement.where(_comes_after(after))
        with self._database.transaction() as connection:
            rows = connection.execute(statement.limit(limit).offset(offset)).all()
        return [WaitingResult(**{**row._mapping, "verdict": Verdict(row.verdict)}) for row in rows]

    def count_waiting(self, rule: str = "") -> int:
        """Returns how many results wait."""
        statement = select(func.count()).select_from(self._waiting(rule).subquery())
        with self._database.transaction() as connection:
            return connection.execute(statement).scalar_one()

    def count_by_verdict(self) -> Mapping[Verdict, int]:
        """Returns how many results wait with each verdict that is reviewed."""
        waiting = self._waiting("").subquery()
        statement = select(waiting.c.verdict, func.count().label("n"))
        with self._database.transaction() as connection:
            found = connection.execute(statement.group_by(waiting.c.verdict))
            counts = {row.verdict: row.n for row in found}
        return {verdict: counts.get(verdict, 0) for verdict in self._verdicts}

    def decided(
        self, rule: str = "", who: str = "", *, limit: int = 100, offset: int = 0
    ) -> Sequence[DecidedResult]:
        """Returns the final decisions that hold, the newest first.

        Args:
            rule: As in `waiting`.
            who: Only decisions of this user; empty: of all.
            limit: As in `waiting`.
            offset: As in `waiting`.
        """
        of = DECISIONS.c
        statement = (
            select(
                of.job_id,
                JOBS.c.study_instance_uid,
                of.rule,
                of.verdict,
                of.kind,
                of.who,
                of.reason,
                of.results_at,
                of.at,
            )
            .join(JOBS, JOBS.c.job_id == of.job_id)
            .where(*_decided(rule, who))
            .order_by(of.at.desc(), of.decision_id.desc())
        )
        with self._database.transaction() as connection:
            rows = connection.execute(statement.limit(limit).offset(offset)).all()
        return [
            DecidedResult(
                **{
                    **row._mapping,
                    "kind": DecisionKind(row.kind),
                    "verdict": Verdict(row.verdict) if row.verdict else None,
                }
            )
            for row in rows
        ]

    def time_to_decision(self, rule: str = "", who: str = "", *, since: float) -> TimeToDecision:
        """Returns how long decisions took that hold.

        Args:
            rule: As in `waiting`.
            who: As in `decided`.
            since: Only decisions from this moment on; seconds since 1970, UTC.
        """
        took = select(DECISIONS.c.at - DECISIONS.c.results_at).where(
            *_decided(rule, who), DECISIONS.c.at >= since, DECISIONS.c.results_at.is_not(None)
        )
        with self._database.transaction() as connection:
            seconds = connection.execute(took).scalars().all()
        return TimeToDecision(
            n_decisions=len(seconds), median_seconds=median(seconds) if seconds else None
        )

    def reviewers(self) -> Sequence[str]:
        """Returns the users who have decided, in the order of their names."""
        statement = select(DECISIONS.c.who).where(DECISIONS.c.kind.in_(FINAL_KINDS)).distinct()
        with self._database.transaction() as connection:
            return connection.execute(statement.order_by(DECISIONS.c.who)).scalars().all()

    def _waiting(self, rule: str) -> Select[str, str, str, str, str, bool, bool, float]:
        is_decided = exists().where(
            DECISIONS.c.job_id == JOBS.c.job_id, DECISIONS.c.run == JOBS.c.run, is_final_and_holds()
        )
        return select(
            JOBS.c.job_id,
            JOBS.c.study_instance_uid,
            JOBS.c.rule,
            JOBS.c.verdict,
            JOBS.c.reason,
            (JOBS.c.state == JobState.HELD).label("is_held"),
            JOBS.c.is_urgent,
            JOBS.c.ended_at.label("results_at"),
        ).where(
            JOBS.c.verdict.in_(self._verdicts),
            JOBS.c.state.in_(DECIDABLE_STATES),
            JOBS.c.rule == rule if rule else true(),
            ~is_decided,
            ~is_outdated(),
            ~_are_deleted(),
        )


def is_final_and_holds() -> ColumnElement[bool]:
    """Returns the condition that a decision is final, and nobody has withdrawn it."""
    later = DECISIONS.alias()
    is_withdrawn = exists().where(later.c.withdraws == DECISIONS.c.decision_id)
    return and_(DECISIONS.c.kind.in_(FINAL_KINDS), ~is_withdrawn)


def _decided(rule: str, who: str) -> Sequence[ColumnElement[bool]]:
    return (
        is_final_and_holds(),
        DECISIONS.c.rule == rule if rule else true(),
        DECISIONS.c.who == who if who else true(),
    )


def _are_deleted() -> ColumnElement[bool]:
    """Returns the condition that retention has deleted the results of a job."""
    return exists().where(
        EVENTS.c.study_instance_uid == JOBS.c.study_instance_uid,
        EVENTS.c.job_id == JOBS.c.job_id,
        EVENTS.c.kind == EventKind.DELETED,
        EVENTS.c.object_kind == ObjectKind.RESULTS,
        EVENTS.c.at >= JOBS.c.ended_at,
    )


def _order(jobs: FromClause) -> tuple[ColumnElement[Any], ...]:
    """Returns the values by which results are in order."""
    ranks = {verdict: rank for rank, verdict in enumerate(_GRAVITY)}
    return case(ranks, value=jobs.c.verdict), jobs.c.ended_at, jobs.c.job_id


def _comes_after(job_id: str) -> ColumnElement[bool]:
    """Returns the condition that results come after those of a job in the order."""
    other = JOBS.alias()
    has_results = and_(other.c.verdict.is_not(None), other.c.ended_at.is_not(None))
    is_other = and_(other.c.job_id == job_id, has_results)
    is_later = tuple_(*_order(JOBS)) > tuple_(*_order(other))
    return or_(~exists().where(is_other), exists().where(is_other, is_later))
