"""Stores what people decide about results, and opens the deliveries of each decision.

A decision, its event and its deliveries are stored in one transaction: after a crash there is all
of it or nothing. A form that is sent again is found by its number, and decides nothing twice.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, exists, select

from gateway.store.database import Database
from gateway.store.decision import (
    DELIVERED,
    DELIVERED_WITH_NOTE,
    HELD,
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
from gateway.store.schema import DECISION_SUBJECTS, DECISIONS, DELIVERIES, JOBS, RESULTS
from totalmap.finding import REJECTION_NOTE, Verdict

# The states of a job whose results a person may decide about.
DECIDABLE_STATES = (JobState.SEGMENTED, JobState.HELD)
EVENT_OF_DECISION = {
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
    has_note: bool
    decisions: Sequence[Decision]

    @property
    def is_doubted(self) -> bool:
        """Whether quality control has rejected the results."""
        return self.has_note or self.verdict == Verdict.REJECT

    @property
    def start(self) -> DeliveredObjects:
        """What the destinations held before the first decision."""
        if self.has_note:
            return DELIVERED_WITH_NOTE
        return HELD if self.is_doubted else DELIVERED

    def objects(self, n_decisions: int) -> DeliveredObjects:
        """What the destinations hold after the first decisions."""
        return delivered_objects(self.decisions[:n_decisions], self.start)


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

    def possible_kinds(self, job_id: str) -> Sequence[DecisionKind]:
        """Returns what may be decided next about the results of a job."""
        with self._database.transaction() as connection:
            case = _case(connection, job_id)
        if case is None or case.job.state not in DECIDABLE_STATES:
            return ()
        return possible_kinds(case.decisions, is_doubted=case.is_doubted)

    def steps(self, job_id: str) -> Sequence[Step]:
        """Returns the decisions about the present results of a job, each with what it delivers."""
        with self._database.transaction() as connection:
            case = _case(connection, job_id)
        if case is None:
            return ()
        decisions = case.decisions
        states = [case.objects(n) for n in range(len(decisions) + 1)]
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
            EVENT_OF_DECISION[new.kind],
            case.job.study_instance_uid,
            object_kind=ObjectKind.JOB,
            job_id=new.job_id,
            who=new.who,
            # The reason may name the patient: it stays with the decision.
            detail=f"decision {decision.decision_id}",
            address=new.address,
            at=decision.at,
        )
        return decision

    def _follow(self, connection: Connection, case: _Case, decision: Decision) -> None:
        """Opens the deliveries of a decision, and releases or holds the results."""
        after = replace(case, decisions=[*case.decisions, decision])
        parcel = after.objects(len(after.decisions)).parcel
        if decision.kind is DecisionKind.RELEASED:
            change = updating(case.job.job_id, JobState.HELD)
            connection.execute(change.values(state=JobState.SEGMENTED))
        elif _withdraws_release(case, decision) and not case.has_note:
            change = updating(case.job.job_id, JobState.SEGMENTED)
            connection.execute(change.values(state=JobState.HELD))
        if parcel is Parcel.NOTHING:
            return
        number = 0 if parcel is Parcel.RESULTS else decision.decision_id
        for destination in _destinations(connection, case, decision):
            row = delivery_row(case.job.job_id, destination, number)
            connection.execute(self._add_delivery.values(row))


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
    note = exists().where(RESULTS.c.job_id == job_id, RESULTS.c.kind == REJECTION_NOTE)
    has_note = bool(connection.execute(select(note)).scalar())
    return _Case(job=job_of(row), verdict=verdict, has_note=has_note, decisions=decisions)


def _may_be_decided(case: _Case, new: NewDecision) -> bool:
    last = case.decisions[-1].decision_id if case.decisions else 0
    is_shown = (new.run, new.seen) == (case.job.run, last)
    if not is_shown or case.job.state not in DECIDABLE_STATES:
        return False
    return new.kind in possible_kinds(case.decisions, is_doubted=case.is_doubted)


def _destinations(connection: Connection, case: _Case, decision: Decision) -> Sequence[str]:
    """Returns where a decision goes: to all that have the results, or will have them.

    A person who releases results vouches for them: they go where good results go, too.
    """
    of_job = DELIVERIES.c.job_id == case.job.job_id
    names = set(connection.execute(select(DELIVERIES.c.destination).where(of_job)).scalars())
    if decision.kind is DecisionKind.RELEASED:
        names |= {*case.job.destinations.of(Verdict.OK)}
    return sorted(names)


def _withdraws_release(case: _Case, decision: Decision) -> bool:
    return any(
        each.decision_id == decision.withdraws and each.kind is DecisionKind.RELEASED
        for each in case.decisions
    )
