"""Tests what decisions deliver, against a model of an archive that hides what a note rejects."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from gateway.store.decision import (
    DELIVERED,
    DELIVERED_WITH_NOTE,
    FINAL_KINDS,
    HELD,
    Decision,
    DecisionKind,
    DeliveredObjects,
    Parcel,
    are_results_rejected,
    current_decision,
    delivered_objects,
    possible_kinds,
)

# An object is a result (of a decision that had it copied, 0: the original) or a report.
Shown = tuple[str, int]
# In place of a decision: results that are made again under other UIDs.
NEW_RUN = 100


@dataclass
class Archive:
    """An archive that hides for good what a note rejects, and refuses hidden objects."""

    objects: set[Shown] = field(default_factory=set)
    hidden: set[Shown] = field(default_factory=set)

    @property
    def shown(self) -> set[Shown]:
        return self.objects - self.hidden

    def take(self, parcel: Parcel, decision_id: int, before: set[Shown]) -> None:
        if parcel is Parcel.RESULTS:
            self.objects.add(("result", 0))
        elif parcel is Parcel.COPIES:
            self.objects.add(("result", decision_id))
        elif parcel is Parcel.VERIFIED_REPORT:
            self.objects.add(("report", decision_id))
        elif parcel is Parcel.NOTE:
            self.hidden |= before
        elif parcel is Parcel.NOTE_ABOUT_REPORT:
            self.hidden |= {each for each in before if each[0] == "report"}


@dataclass
class Case:
    """Results about which people decide one after the other.

    Attributes:
        is_doubted: Whether quality control has rejected them, and nobody has released them.
    """

    is_doubted: bool
    decisions: list[Decision] = field(default_factory=list)

    def decide(self, kind: DecisionKind, organization: str | None) -> None:
        current = current_decision(self.decisions)
        withdrawn = current if kind is DecisionKind.WITHDRAWN else None
        number = len(self.decisions) + 1
        self.decisions.append(
            decision(number, kind, withdrawn.decision_id if withdrawn else None, organization)
        )
        if kind is DecisionKind.RELEASED:
            self.is_doubted = False
        elif withdrawn is not None and withdrawn.kind is DecisionKind.RELEASED:
            self.is_doubted = True

    @property
    def expected(self) -> set[tuple[str, bool]]:
        """What an archive shows: results, and whether a verified report is among them."""
        current = current_decision(self.decisions)
        is_rejected = current is not None and current.kind is DecisionKind.REJECTED
        if self.is_doubted or is_rejected:
            return set()
        is_verified = current is not None and current.organization is not None
        return {("results", is_verified)}


def decision(
    number: int,
    kind: DecisionKind,
    withdraws: int | None = None,
    organization: str | None = None,
) -> Decision:
    return Decision(
        decision_id=number,
        form=f"form{number}",
        job_id="j",
        run=1,
        kind=kind,
        who="eva",
        at=float(number),
        reason=None,
        withdraws=withdraws,
        organization=organization if kind is DecisionKind.ACCEPTED else None,
    )


def as_expected(shown: set[Shown]) -> set[tuple[str, bool]]:
    results = [each for each in shown if each[0] == "result"]
    reports = [each for each in shown if each[0] == "report"]
    assert len(results) <= 1, "two copies of the results are shown"
    assert len(reports) <= len(results), "a report is shown without its results"
    return {("results", bool(reports))} if results else set()


@given(st.sampled_from([HELD, DELIVERED, DELIVERED_WITH_NOTE]), st.data())
def test_an_archive_shows_results_once_unless_they_are_rejected_or_held(
    start: DeliveredObjects, data: st.DataObject
) -> None:
    is_doubted = start is not DELIVERED
    case, archive = Case(is_doubted=is_doubted), Archive()
    if start.are_sent:
        archive.take(Parcel.RESULTS, 0, set())
    if start.hidden_by:
        archive.take(Parcel.NOTE, 0, archive.shown)
    for _ in range(data.draw(st.integers(0, 12))):
        kinds = possible_kinds(case.decisions, is_doubted=is_doubted)
        kind = data.draw(st.sampled_from(kinds))
        case.decide(kind, data.draw(st.sampled_from([None, "Hospital"])))
        state = delivered_objects(case.decisions, start)
        archive.take(state.parcel, case.decisions[-1].decision_id, archive.shown)
        assert as_expected(archive.shown) == case.expected
        named = {("result", state.copies_of)} if case.expected else set()
        reports = {("report", state.report_of)} if state.report_of else set()
        assert archive.shown == named | reports, "the state names what the archive shows"
    is_rejected = are_results_rejected(case.decisions, start)
    if start is not DELIVERED_WITH_NOTE:  # the same run writes this note again
        assert is_rejected == (("result", 0) in archive.hidden)
    archive.take(Parcel.COPIES if is_rejected else Parcel.RESULTS, NEW_RUN, set())
    new = ("result", NEW_RUN if is_rejected else 0)
    assert (new in archive.shown) == (start is not DELIVERED_WITH_NOTE), "a new run is shown"


def kinds_after(*kinds: DecisionKind) -> Sequence[DecisionKind]:
    decisions = [decision(number, kind) for number, kind in enumerate(kinds, 1)]
    return possible_kinds(decisions, is_doubted=False)


def test_after_a_final_decision_on_results_only_a_withdrawal_or_a_comment_is_possible() -> None:
    for kind in FINAL_KINDS:
        assert kinds_after(kind) == (DecisionKind.WITHDRAWN, DecisionKind.COMMENTED)


def test_a_comment_on_results_decides_nothing() -> None:
    assert kinds_after(DecisionKind.COMMENTED) == kinds_after()
    assert current_decision([decision(1, DecisionKind.COMMENTED)]) is None


def test_a_withdrawn_decision_on_results_holds_no_longer() -> None:
    first = decision(1, DecisionKind.ACCEPTED)
    assert current_decision([first]) == first
    assert current_decision([first, decision(2, DecisionKind.WITHDRAWN, 1)]) is None


def test_results_that_quality_control_rejected_are_released_and_not_accepted() -> None:
    kinds = possible_kinds([], is_doubted=True)
    assert DecisionKind.RELEASED in kinds
    assert DecisionKind.REJECTED in kinds
    assert DecisionKind.ACCEPTED not in kinds
