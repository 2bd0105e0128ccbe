"""Finds the results that wait for a person, the gravest first, and those that were decided about.

Results wait from their making until a final decision about them that nobody has withdrawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, select, true

from gateway.store.database import Database
from gateway.store.decision import FINAL_KINDS, DecisionKind
from gateway.store.decisions import DECIDABLE_STATES
from gateway.store.job_statements import is_outdated
from gateway.store.schema import DECISIONS, JOBS
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


class ReviewList:
    """The results to be reviewed; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database, verdicts: Sequence[Verdict]) -> None:
        self._database = database
        self._verdicts = tuple(verdicts)

    def waiting(
        self, rule: str = "", *, limit: int = 100, offset: int = 0
    ) -> Sequence[WaitingResult]:
        """Returns the results that wait, the gravest first, of these the oldest.

        Args:
            rule: Only results of this rule; empty: of all.
            limit: How many at most.
            offset: How many to skip.
        """
        statement = self._waiting(rule).order_by(_gravity(), JOBS.c.ended_at, JOBS.c.job_id)
        with self._database.transaction() as connection:
            rows = connection.execute(statement.limit(limit).offset(offset)).all()
        return [WaitingResult(**{**row._mapping, "verdict": Verdict(row.verdict)}) for row in rows]

    def count_waiting(self, rule: str = "") -> int:
        """Returns how many results wait."""
        statement = select(func.count()).select_from(self._waiting(rule).subquery())
        with self._database.transaction() as connection:
            return connection.execute(statement).scalar_one()

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
            .where(is_final_and_holds(), of.rule == rule if rule else true())
            .where(of.who == who if who else true())
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
            (JOBS.c.state == "held").label("is_held"),
            JOBS.c.is_urgent,
            JOBS.c.ended_at.label("results_at"),
        ).where(
            JOBS.c.verdict.in_(self._verdicts),
            JOBS.c.state.in_(DECIDABLE_STATES),
            JOBS.c.rule == rule if rule else true(),
            ~is_decided,
            ~is_outdated(),
        )


def is_final_and_holds() -> ColumnElement[bool]:
    """Returns the condition that a decision is final, and nobody has withdrawn it."""
    later = DECISIONS.alias()
    is_withdrawn = exists().where(later.c.withdraws == DECISIONS.c.decision_id)
    return and_(DECISIONS.c.kind.in_(FINAL_KINDS), ~is_withdrawn)


def _gravity() -> ColumnElement[int]:
    ranks = {verdict: rank for rank, verdict in enumerate(_GRAVITY)}
    return case(ranks, value=JOBS.c.verdict)
