"""Describes what people decide about the results of jobs, and what each decision delivers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class DecisionKind(StrEnum):
    """What a person decided about the results of a job.

    `released`: results that quality control has rejected are delivered nevertheless.
    """

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RELEASED = "released"
    COMMENTED = "commented"
    WITHDRAWN = "withdrawn"


# The kinds after which results wait for no review.
FINAL_KINDS = (DecisionKind.ACCEPTED, DecisionKind.REJECTED, DecisionKind.RELEASED)
# The kinds that need a reason.
EXPLAINED_KINDS = (
    DecisionKind.REJECTED,
    DecisionKind.RELEASED,
    DecisionKind.COMMENTED,
    DecisionKind.WITHDRAWN,
)


class Parcel(StrEnum):
    """What a decision delivers to the destinations of a job.

    `copies`: the results under new UIDs, because archives hide the earlier ones for good.
    `note about report`: a note of rejection that names the verified report alone.
    """

    NOTHING = "nothing"
    RESULTS = "results"
    COPIES = "copies"
    VERIFIED_REPORT = "verified report"
    NOTE = "note"
    NOTE_ABOUT_REPORT = "note about report"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDecision:
    """A decision to be stored.

    Attributes:
        form: Of the form that was sent: a form that is sent again decides once.
        run: The run of the job whose results the form showed.
        who: The user.
        address: From where.
        reason: In the person's words; empty where none is given.
        seen: The last decision about the job that the form showed; 0: there was none.
        organization: The Verifying Organization; None: no report is verified.
        structures: TotalSegmentator's names of the structures that the person found wrong.
        findings: The codes of quality control's findings.
        scanner: Manufacturer and model, for counting; empty if they are not known.
        version: The version of the program that made the results.
    """

    form: str
    job_id: str
    run: int
    kind: DecisionKind
    who: str
    address: str | None = None
    reason: str = ""
    seen: int = 0
    organization: str | None = None
    structures: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    scanner: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision on record.

    Attributes:
        decision_id: From 1; later decisions have higher numbers.
        form: As in `NewDecision`; no other decision has it.
        run: The run of the job that made the results.
        at: Seconds since 1970, UTC.
        withdraws: The decision that this one withdraws.
    """

    decision_id: int
    form: str
    job_id: str
    run: int
    kind: DecisionKind
    who: str
    at: float
    reason: str | None
    withdraws: int | None = None
    organization: str | None = None


def current_decision(decisions: Sequence[Decision]) -> Decision | None:
    """Returns the decision that holds; None: the results wait for one.

    Args:
        decisions: All about the same results, the oldest first.
    """
    withdrawn = {decision.withdraws for decision in decisions}
    final = [
        decision
        for decision in decisions
        if decision.kind in FINAL_KINDS and decision.decision_id not in withdrawn
    ]
    return final[-1] if final else None


def possible_kinds(decisions: Sequence[Decision], *, is_doubted: bool) -> Sequence[DecisionKind]:
    """Returns what may be decided next.

    Args:
        decisions: As in `current_decision`.
        is_doubted: Whether quality control has rejected the results.
    """
    if current_decision(decisions) is not None:
        return (DecisionKind.WITHDRAWN, DecisionKind.COMMENTED)
    first = DecisionKind.RELEASED if is_doubted else DecisionKind.ACCEPTED
    return (first, DecisionKind.REJECTED, DecisionKind.COMMENTED)


# In place of a decision: quality control has delivered results with a note that rejects them.
QUALITY_CONTROL = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredObjects:
    """The state of a job's objects at its destinations.

    Attributes:
        parcel: What the last decision delivers.
        are_sent: Whether results were sent at all.
        hidden_by: The decision whose note rejects them, or `QUALITY_CONTROL`; 0: no note does.
        copies_of: The decision that had the present copies made; 0: the results themselves are
            there.
        report_of: The decision whose verified report is there, and is not rejected; 0: none.
    """

    parcel: Parcel = Parcel.RESULTS
    are_sent: bool
    hidden_by: int = 0
    copies_of: int = 0
    report_of: int = 0


HELD = DeliveredObjects(are_sent=False)
DELIVERED = DeliveredObjects(are_sent=True)
DELIVERED_WITH_NOTE = DeliveredObjects(are_sent=True, hidden_by=QUALITY_CONTROL)


def delivered_objects(decisions: Sequence[Decision], start: DeliveredObjects) -> DeliveredObjects:
    """Returns what a job's destinations hold after some decisions.

    DICOM has no code that takes a rejection back (PS3.16 CID 7011), and archives that follow IHE
    IOCM may refuse instances that were rejected. So results are delivered under new UIDs when a
    rejection is withdrawn.

    Args:
        decisions: As in `current_decision`.
        start: Before the first decision: `HELD`, `DELIVERED` or `DELIVERED_WITH_NOTE`.
    """
    state = start
    by_id = {decision.decision_id: decision for decision in decisions}
    for decision in decisions:
        state = _after(state, decision, by_id.get(decision.withdraws or 0))
    return state


def are_results_rejected(decisions: Sequence[Decision], start: DeliveredObjects) -> bool:
    """Returns whether a decision has had a note reject the results themselves, not copies.

    It stays so when the decision is withdrawn: archives hide them for good.

    Args:
        decisions, start: As in `delivered_objects`.
    """
    states = (delivered_objects(decisions[:n], start) for n in range(1, len(decisions) + 1))
    return any(state.hidden_by > 0 and not state.copies_of for state in states)


def _after(
    before: DeliveredObjects, decision: Decision, withdrawn: Decision | None
) -> DeliveredObjects:
    own, kind = decision.decision_id, decision.kind
    withdrawn_kind = withdrawn.kind if withdrawn else None
    is_shown = before.are_sent and not before.hidden_by
    is_hiding = kind is DecisionKind.REJECTED or withdrawn_kind is DecisionKind.RELEASED
    if is_shown and is_hiding:
        return replace(before, parcel=Parcel.NOTE, hidden_by=own, report_of=0)
    if kind is DecisionKind.RELEASED and not before.are_sent:
        return DeliveredObjects(are_sent=True)
    is_taken_back = withdrawn is not None and withdrawn.decision_id == before.hidden_by
    if kind is DecisionKind.RELEASED or (withdrawn_kind is DecisionKind.REJECTED and is_taken_back):
        return DeliveredObjects(parcel=Parcel.COPIES, are_sent=True, copies_of=own)
    if kind is DecisionKind.ACCEPTED and decision.organization is not None:
        return replace(before, parcel=Parcel.VERIFIED_REPORT, report_of=own)
    if withdrawn is not None and withdrawn.decision_id == before.report_of:
        return replace(before, parcel=Parcel.NOTE_ABOUT_REPORT, report_of=0)
    return replace(before, parcel=Parcel.NOTHING)
