"""Stores what people decide about results, and opens the deliveries of each decision.

A decision, its event and its deliveries are stored in one transaction: after a crash there is all
of it or nothing. A form that is sent again is found by its number, and decides nothing twice.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, select

from gateway.store.database import Database
from gateway.store.decision import (
    Decision,
    DecisionKind,
    DeliveredObjects,
    NewDecision,
    Parcel,
    current_decision,
    delivered_objects,
    possible_kinds,
)
from gateway.store.events import EventKind, ObjectKind, record
from gateway.store.job import Job, JobState
from gateway.store.job_statements import COLUMNS, delivery_row, job_of, updating
from gateway.store.schema import DECISION_SUBJECTS, DECISIONS, DELIVERIES, JOBS
from totalmap.finding import Verdict

# The states of a job whose results a person may decide about.
DECIDABLE_STATES = (JobState.SEGMENTED, JobState.HELD)
_EVENTS = {
    DecisionKind.ACCEPTED: EventKind.ACCEPTED,
    DecisionKind.REJECTED: EventKind.RESULT_REJECTED,
    DecisionKind.RELEASED: EventKind.RELEASED,
    DecisionKind.COMMENTED: EventKind.COMMENTED,
    DecisionKind.WITHDRAWN: EventKind.WITHDRAWN,
}


class SubjectKind(StrEnum):
    """The kind of a decision's subject."""

    STRUCTURE = "structure"
    FINDING = "finding"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """The results that are decided about, as they are now."""

    job: Job
    verdict: str | None
    decisions: Sequence[Decision]

    @property
    def is_held(self) -> bool:
        return self.job.state is JobState.HELD


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A decision, and the objects at the destinations before and after it."""

    decision: Decision
    before: DeliveredObjects
    after: DeliveredObjects


class DecisionList:
    """The decisions on record; each method raises ResourceError if the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._add_delivery = database.insert_or(DELIVERIES).on_conflict_do_nothing()

    def decide(self, new: NewDecision) -> bool:
        """Stores a decision and all that follows from it.

        Returns:
            Whether it is on record, also from an earlier attempt; False: another person has
            decided since the form was made, or the results are other ones now.
        """
        with self._database.transaction() as connection:
            # An update that changes nothing locks the job in every database.
            locked = updating(new.job_id, *DECIDABLE_STATES)
            connection.execute(locked.values(run=JOBS.c.run))
            if _is_stored(connection, new.form):
                return True
            case = _case(connection, new.job_id)
            if case is None or not _may_be_decided(case, new):
                return False
            decision = self._store(connection, case, new)
            self._follow(connection, case, decision)
        return True

    def of_job(self, job_id: str) -> Sequence[Decision]:
        """Returns the decisions about the present results of a job, the oldest first."""
        with self._database.transaction() as connection:
            case = _case(connection, job_id)
        return case.decisions if case else ()

    def steps(self, job_id: str) -> Sequence[Step]:
        """Returns the decisions about the present results of a job, each with what it delivers."""
        with self._database.transaction() as connection:
            case = _case(connection, job_id)
        if case is None:
            return ()
        decisions = case.decisions
        states = [_objects(decisions[:n], case) for n in range(len(decisions) + 1)]
        return [
            Step(decision=decision, before=before, after=after)
            for decision, before, after in zip(decisions, states, states[1:], strict=False)
        ]

    def _store(self, connection: Connection, case: _Case, new: NewDecision) -> Decision:
        current = current_decision(case.decisions)
        withdraws = None
        if new.kind is DecisionKind.WITHDRAWN and current is not None:
            withdraws = current.decision_id
        row = {
            "form": new.form,
            "job_id": new.job_id,
            "run": case.job.run,
            "kind": new.kind,
            "who": new.who,
            "at": time.time(),
            "reason": new.reason or None,
            "withdraws": withdraws,
            "organization": new.organization,
            "rule": case.job.rule,
            "verdict": case.verdict,
            "results_at": case.job.ended_at,
            "scanner": new.scanner,
            "version": new.version,
        }
        insert = DECISIONS.insert().values(row).returning(*_COLUMNS)
        decision = _decision(connection.execute(insert).one())
        subjects = {
            *((SubjectKind.STRUCTURE, name) for name in new.structures),
            *((SubjectKind.FINDING, code) for code in new.findings),
        }
        for kind, name in sorted(subjects):
            subject = {"decision_id": decision.decision_id, "kind": kind, "name": name}
            connection.execute(DECISION_SUBJECTS.insert().values(subject))
        record(
            connection,
            _EVENTS[new.kind],
            case.job.study_instance_uid,
            object_kind=ObjectKind.JOB,
            job_id=new.job_id,
            who=new.who,
            detail=new.reason or None,
            address=new.address,
            at=decision.at,
        )
        return decision

    def _follow(self, connection: Connection, case: _Case, decision: Decision) -> None:
        """Opens the deliveries of a decision, and releases or holds the results."""
        state = _objects([*case.decisions, decision], case)
        if decision.kind is DecisionKind.RELEASED:
            change = updating(case.job.job_id, JobState.HELD)
            connection.execute(change.values(state=JobState.SEGMENTED))
        elif _withdraws_release(case, decision):
            change = updating(case.job.job_id, JobState.SEGMENTED)
            connection.execute(change.values(state=JobState.HELD))
        if state.parcel is Parcel.NOTHING:
            return
        is_results = state.parcel is Parcel.RESULTS
        for destination in self._destinations(connection, case, state.parcel):
            row = delivery_row(
                case.job.job_id, destination, 0 if is_results else decision.decision_id
            )
            connection.execute(self._add_delivery.values(row))

    def _destinations(self, connection: Connection, case: _Case, parcel: Parcel) -> Sequence[str]:
        """Returns where a parcel goes: to all that have the results, or will have them.

        A person who releases results vouches for them: they go where good results go.
        """
        if parcel is Parcel.RESULTS:
            return case.job.destinations.of(Verdict.OK)
        of_job = (DELIVERIES.c.job_id == case.job.job_id, DELIVERIES.c.decision_id == 0)
        statement = select(DELIVERIES.c.destination).where(*of_job)
        return connection.execute(statement.order_by(DELIVERIES.c.destination)).scalars().all()


_COLUMNS = [DECISIONS.c[name] for name in Decision.__slots__]


def _decision(row: Row[Any]) -> Decision:
    return Decision(**{**row._mapping, "kind": DecisionKind(row.kind)})


def _is_stored(connection: Connection, form: str) -> bool:
    statement = select(DECISIONS.c.decision_id).where(DECISIONS.c.form == form)
    return connection.execute(statement).scalar() is not None


def _case(connection: Connection, job_id: str) -> _Case | None:
    """Returns what can be decided about; None: there is no such job."""
    of_job = JOBS.c.job_id == job_id
    row = connection.execute(select(*COLUMNS).where(of_job)).one_or_none()
    if row is None:
        return None
    verdict = connection.execute(select(JOBS.c.verdict).where(of_job)).scalar()
    of_results = (DECISIONS.c.job_id == job_id, DECISIONS.c.run == row.run)
    statement = select(*_COLUMNS).where(*of_results).order_by(DECISIONS.c.decision_id)
    decisions = [_decision(each) for each in connection.execute(statement)]
    return _Case(job=job_of(row), verdict=verdict, decisions=decisions)


def _may_be_decided(case: _Case, new: NewDecision) -> bool:
    last = case.decisions[-1].decision_id if case.decisions else 0
    is_shown = (new.run, new.seen) == (case.job.run, last)
    is_ended = case.job.state in DECIDABLE_STATES
    return (
        is_shown and is_ended and new.kind in possible_kinds(case.decisions, is_held=case.is_held)
    )


def _objects(decisions: Sequence[Decision], case: _Case) -> DeliveredObjects:
    is_released = any(each.kind is DecisionKind.RELEASED for each in [*case.decisions, *decisions])
    return delivered_objects(decisions, was_held=case.is_held or is_released)


def _withdraws_release(case: _Case, decision: Decision) -> bool:
    return any(
        each.decision_id == decision.withdraws and each.kind is DecisionKind.RELEASED
        for each in case.decisions
    )
