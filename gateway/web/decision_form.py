"""Collects what the form of a decision shows, and reads what a person has entered in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from gateway.store.decision import (
    EXPLAINED_KINDS,
    Decision,
    DecisionKind,
    NewDecision,
    current_decision,
)
from gateway.store.decisions import DECIDABLE_STATES
from gateway.store.job import Job, JobState
from gateway.web.context import WebContext
from gateway.web.result_files import JobReport, ShownStructure
from gateway.web.worklist import Worklist, next_path, skip_path
from totalmap.texts.catalogue import Message

# More fills no report, and a form may have 16 kB.
REASON_CHARACTERS = 1000
STRUCTURE_FIELD = "structure:"


class WrongDecision(Exception):
    """What a person sent is no decision.

    Attributes:
        problem: Why, for the user.
    """

    def __init__(self, problem: Message) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDecision:
    """A decision in the list of a job's decisions.

    Attributes:
        is_withdrawn: Whether a later decision has withdrawn it.
    """

    decision: Decision
    is_withdrawn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionForm:
    """The form of a decision, and the decisions before.

    Attributes:
        form: The number of this form.
        seen: The last decision that the form shows; 0: there is none.
        kinds: What may be decided.
        structures: Those that a person may name as wrong.
        organization: Who stands in verified reports; None: none can be verified.
        destinations: Where objects of the decision go.
        worklist: Through which the person goes; None: the person did not come from a worklist.
        onward_path: Where the person goes on without a decision; None: `worklist` is None.
    """

    job: Job
    form: str
    seen: int
    current: Decision | None
    decisions: Sequence[ShownDecision]
    kinds: Sequence[DecisionKind]
    structures: Sequence[ShownStructure]
    organization: str | None
    destinations: Sequence[str]
    worklist: Worklist | None
    onward_path: str | None

    @property
    def is_held(self) -> bool:
        """Whether the results are held back."""
        return self.job.state is JobState.HELD


def decision_form(
    context: WebContext, job: Job, report: JobReport, worklist: Worklist | None = None
) -> DecisionForm | None:
    """Returns the form for the results of a job; None: there are none.

    Raises:
        ResourceError: The database fails.
    """
    if job.state not in DECIDABLE_STATES:
        return None
    decisions = context.decisions.of_job(job.job_id)
    current = current_decision(decisions)
    withdrawn = {decision.withdraws for decision in decisions}
    unique = {structure.key: structure for structure in report.structures}
    section = context.settings.review
    return DecisionForm(
        job=job,
        form=uuid4().hex,
        seen=decisions[-1].decision_id if decisions else 0,
        current=current,
        decisions=[
            ShownDecision(decision=each, is_withdrawn=each.decision_id in withdrawn)
            for each in decisions
        ],
        kinds=context.decisions.possible_kinds(job.job_id),
        structures=[*unique.values()],
        organization=section.organization if section.verified_reports else None,
        destinations=sorted(
            {delivery.destination for delivery in context.deliveries.of_job(job.job_id)}
        ),
        worklist=worklist,
        onward_path=_onward_path(context, job, worklist, current),
    )


def _onward_path(
    context: WebContext, job: Job, worklist: Worklist | None, current: Decision | None
) -> str | None:
    if worklist is None:
        return None
    onward = skip_path if current is None else next_path
    return onward(context, worklist, job.job_id)


def read_decision(
    context: WebContext, job: Job, report: JobReport, fields: Mapping[str, str], who: str
) -> NewDecision:
    """Returns the decision that a person has sent.

    Args:
        context: Of the page.
        job: The job.
        report: What it found.
        fields: Of the form.
        who: The user.

    Raises:
        WrongDecision: A field is missing, or what it says is not possible.
        ResourceError: The database fails.
    """
    kind = _kind(fields)
    reason = fields.get("reason", "").strip()[:REASON_CHARACTERS]
    if kind in EXPLAINED_KINDS and not reason:
        raise WrongDecision(Message("decision.reason_missing"))
    section = context.settings.review
    is_verified = kind is DecisionKind.ACCEPTED and fields.get("verify") == "1"
    if is_verified and not section.verified_reports:
        raise WrongDecision(Message("decision.not_verifiable"))
    found = {structure.key for structure in report.structures}
    named = {
        name.removeprefix(STRUCTURE_FIELD) for name in fields if name.startswith(STRUCTURE_FIELD)
    }
    return NewDecision(
        form=_text(fields, "form"),
        job_id=job.job_id,
        run=_number(fields, "run"),
        kind=kind,
        who=who,
        reason=reason,
        seen=_number(fields, "seen"),
        organization=section.organization if is_verified else None,
        structures=tuple(sorted(named & found)),
        findings=tuple(sorted({finding.code for finding in report.doubts})),
        scanner=_scanner(context, job),
        version=report.version,
    )


def _scanner(context: WebContext, job: Job) -> str:
    """Returns which scanner made the first image; empty if that is not known."""
    # Imported here, so that a page starts without the application.
    from app.decision_documents import scanner_of

    instance = context.ledger.first_instance(job.study_instance_uid)
    return scanner_of(context.storage.path(instance)) if instance else ""


def _kind(fields: Mapping[str, str]) -> DecisionKind:
    try:
        return DecisionKind(_text(fields, "kind"))
    except ValueError:
        raise WrongDecision(Message("decision.unknown")) from None


def _text(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name, "")
    if not value.isalnum() or not value.isascii() or len(value) > len(uuid4().hex):
        raise WrongDecision(Message("decision.unknown"))
    return value


def _number(fields: Mapping[str, str], name: str) -> int:
    value = _text(fields, name)
    if not value.isdecimal():
        raise WrongDecision(Message("decision.unknown"))
    return int(value)
