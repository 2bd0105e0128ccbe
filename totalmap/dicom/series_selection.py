"""Chooses the stacks to segment by filters and a ranking, with a reason for every stack.

The result does not depend on the order of the files.
"""

from collections.abc import Callable
from dataclasses import dataclass

from totalmap.dicom.frame import is_sharp_kernel
from totalmap.dicom.patient_comparison import disagreements
from totalmap.dicom.selection_filters import (
    fallback_type,
    says_type,
    why_not,
    why_not_by_headers,
    why_not_by_kind,
)
from totalmap.dicom.slice_audit import (
    NAMED_FILES,
    SliceAudit,
    audit_stack,
    typical_spacing_mm,
    unpacked_gb,
)
from totalmap.dicom.split_study_into_stacks import split_study
from totalmap.dicom.stacks import Stack
from totalmap.dicom.study import Series, Study
from totalmap.dicom.unused_slices import cover
from totalmap.errors import InputError, MixedPatients, NoSuitableSeries
from totalmap.log import get_logger
from totalmap.selection_settings import Criterion, Orientation, SelectionRule, SelectionSection
from totalmap.settings import GeometrySection

log = get_logger()

# A stack is long if it covers this share of the longest suitable stack.
LONG_SHARE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDecision:
    """The decision of a rule about a stack, with a reason that a radiographer understands."""

    rule: str
    chosen: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesDecision:
    """The decisions of all rules about a stack, or about a series without images (no stack)."""

    series: Series
    stack: Stack | None
    by_rule: tuple[RuleDecision, ...]

    @property
    def chosen_by(self) -> tuple[str, ...]:
        """The names of the rules that chose the stack."""
        return tuple(decision.rule for decision in self.by_rule if decision.chosen)

    @property
    def reason(self) -> str:
        """The reasons of all rules; equal reasons appear once."""
        if len({decision.reason for decision in self.by_rule}) == 1:
            return self.by_rule[0].reason
        return "; ".join(f"{decision.rule}: {decision.reason}" for decision in self.by_rule)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """A stack to be segmented.

    Attributes:
        folder: Folder of its results below the results folder: the name of the rule; empty if
            there is only one rule.
        siblings: The other stacks of its series.
    """

    folder: str
    stack: Stack
    audit: SliceAudit
    siblings: tuple[Stack, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judgement:
    """The decisions about all series of a study, and the stacks to be segmented.

    Attributes:
        left_out: Sentences about files that were left out when the study was read.
    """

    decisions: tuple[SeriesDecision, ...]
    selections: tuple[Selection, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Candidate:
    """A stack that passed the filters of a rule."""

    stack: Stack
    audit: SliceAudit
    spacing_mm: float
    coverage_mm: float
    is_sharp: bool
    is_original: bool
    orientation: Orientation
    has_contrast: bool

    def describe(self) -> str:
        kernel = "sharp" if self.is_sharp else "soft"
        words = [f"{len(self.audit.slices)} slices every {self.spacing_mm:g} mm, {kernel} kernel"]
        if self.orientation is not Orientation.AXIAL:
            words.append(self.orientation.value)
        if not self.is_original:
            words.append("derived")
        return ", ".join(words)


def judge(study: Study, rules: SelectionSection, geometry: GeometrySection) -> Judgement:
    """Applies every rule to every stack of the study.

    The decisions list chosen stacks first, then suitable stacks by rank, then all others by series
    number. A stack that several rules choose is segmented once, for the first rule.
    """
    split = split_study(study, lambda stack: _may_decode(stack, rules, geometry))
    stacks = [stack for of_series in split.values() for stack in of_series]
    audits = {_key(stack): _audit(stack, geometry) for stack in stacks}
    rankings = [_Ranking(rule, split, audits) for rule in rules.rules]
    selections: dict[tuple[str, int], Selection] = {}
    for ranking in rankings:
        for best in ranking.candidates[:1]:
            folder = ranking.rule.name if len(rankings) > 1 else ""
            selections.setdefault(
                _key(best.stack),
                Selection(
                    folder=folder,
                    stack=best.stack,
                    audit=best.audit,
                    siblings=_siblings(best.stack, split),
                ),
            )
    decisions = [
        SeriesDecision(
            series=stack.series,
            stack=stack,
            by_rule=tuple(ranking.decision(stack) for ranking in rankings),
        )
        for stack in stacks
    ]
    decisions += [_no_images(series, rules) for series in study.series if not _has_images(series)]
    decisions.sort(key=lambda decision: _place(decision, rankings))
    return Judgement(
        decisions=tuple(decisions), selections=tuple(selections.values()), left_out=study.warnings
    )


def selected(judgement: Judgement) -> tuple[Selection, ...]:
    """Returns the stacks to be segmented.

    Raises:
        NoSuitableSeries: No stack passed the filters of any rule; the message lists the reasons.
        MixedPatients: The files of the chosen series disagree in the patient.
    """
    refuse_mixed_patients(judgement)
    for selection in judgement.selections:
        log.info(
            "series_selected",
            series_uid=selection.stack.series.uid,
            volume=selection.stack.number,
            slices=len(selection.audit.slices),
        )
    if judgement.selections:
        return judgement.selections
    # Files that were left out explain why slices are missing, so they come first.
    left_out = judgement.left_out[:NAMED_FILES]
    reasons = "; ".join([*left_out, *sorted({decision.reason for decision in judgement.decisions})])
    series = len({decision.series.uid for decision in judgement.decisions})
    raise NoSuitableSeries(f"none of {series} series can be segmented: {reasons}")


def refuse_mixed_patients(judgement: Judgement) -> None:
    """Makes sure that all files of the chosen series belong to one patient.

    Raises:
        MixedPatients: They do not; the message names the attributes without their values.
    """
    chosen = [selection.stack.series for selection in judgement.selections]
    patients = (instance.patient for series in chosen for instance in series.instances)
    names = {
        *disagreements(patients),
        *(name for series in chosen for name in series.disagreements),
    }
    if names:
        raise MixedPatients(
            f"the files of the chosen series disagree in {', '.join(sorted(names))}: they belong "
            "to several patients, or one patient was renamed; correct them at their source"
        )


def _siblings(stack: Stack, split: dict[str, tuple[Stack, ...]]) -> tuple[Stack, ...]:
    return tuple(other for other in split[stack.series.uid] if other is not stack)


def _key(stack: Stack) -> tuple[str, int]:
    return stack.series.uid, stack.number


def _has_images(series: Series) -> bool:
    return any(instance.frames for instance in series.instances)


def _no_images(series: Series, rules: SelectionSection) -> SeriesDecision:
    by_rule = tuple(
        RuleDecision(rule=rule.name, chosen=False, reason="no images") for rule in rules.rules
    )
    return SeriesDecision(series=series, stack=None, by_rule=by_rule)


def _may_decode(stack: Stack, rules: SelectionSection, policy: GeometrySection) -> bool:
    """Returns whether a stack may be chosen and is not larger than the policy allows."""
    is_small = unpacked_gb(stack.slices) <= policy.max_series_gb
    return is_small and any(not why_not_by_kind(stack, rule) for rule in rules.rules)


def _audit(stack: Stack, policy: GeometrySection) -> SliceAudit | InputError:
    try:
        return audit_stack(stack, policy)
    except InputError as reason:
        return reason


class _Ranking:
    """The decisions of a rule about the stacks of a study."""

    def __init__(
        self,
        rule: SelectionRule,
        split: dict[str, tuple[Stack, ...]],
        audits: dict[tuple[str, int], SliceAudit | InputError],
    ) -> None:
        self.rule = rule
        self._split = split
        self._reasons: dict[tuple[str, int], str] = {}
        stacks = [stack for of_series in split.values() for stack in of_series]
        has_original = any(
            not fallback_type(stack, rule) and not why_not_by_headers(stack, rule)
            for stack in stacks
        )
        candidates: list[_Candidate] = []
        for stack in stacks:
            audit = audits[_key(stack)]
            fallback = fallback_type(stack, rule) if has_original else None
            reason = says_type(fallback) if fallback else why_not(stack, audit, rule)
            if isinstance(audit, SliceAudit) and reason is None:
                candidates.append(_candidate(stack, audit))
            else:
                self._reasons[_key(stack)] = f"{_of_stack(stack)}{reason}"
        self.candidates = _ranked(candidates, rule)
        self._places = {_key(candidate.stack): n for n, candidate in enumerate(self.candidates)}

    def place(self, stack: Stack) -> float:
        """Returns the rank of a stack, from 0; infinite if the stack is not suitable."""
        return self._places.get(_key(stack), float("inf"))

    def decision(self, stack: Stack) -> RuleDecision:
        """Returns whether the rule chose a stack, and why."""
        place = self._places.get(_key(stack))
        return RuleDecision(
            rule=self.rule.name,
            chosen=place == 0,
            reason=self._reasons[_key(stack)] if place is None else self._reason(place),
        )

    def _reason(self, place: int) -> str:
        best, count = self.candidates[place], len(self.candidates)
        if place:
            words = f"suitable, ranked {place + 1} of {count}: {best.describe()}"
        else:
            words = f"chosen: {best.describe()}; best of {count} suitable series"
            coverage = cover(best.stack, best.audit.slices, _siblings(best.stack, self._split))
            words += "" if coverage.is_whole else f"; {coverage}"
        return _of_stack(best.stack) + "; ".join([words, *best.audit.findings, *best.audit.notes])


def _of_stack(stack: Stack) -> str:
    if stack.of == 1:
        return ""
    in_order = sorted(stack.slices, key=lambda item: item.instance.number)
    names = [item.instance.file_name for item in in_order]
    files = f"; {', '.join(names)}" if len(names) <= NAMED_FILES else ""
    return f"volume {stack.number} of {stack.of} in this series ({stack.split_by}{files}): "


def _place(decision: SeriesDecision, rankings: list[_Ranking]) -> tuple[object, ...]:
    """Returns the sort key of a decision in the list; all keys differ."""
    stack = decision.stack
    best = min(r.place(stack) for r in rankings) if stack else float("inf")
    number = decision.series.number
    return (
        best,
        float("inf") if number is None else number,
        decision.series.uid,
        stack.number if stack else 0,
    )


def _candidate(stack: Stack, audit: SliceAudit) -> _Candidate:
    first = stack.first
    return _Candidate(
        stack=stack,
        audit=audit,
        spacing_mm=typical_spacing_mm(stack) or 0.0,
        coverage_mm=audit.geometry.coverage_mm,
        is_sharp=is_sharp_kernel(first.frame.kernel),
        is_original="ORIGINAL" in first.frame.image_type,
        orientation=first.plane.orientation,
        has_contrast=first.frame.has_contrast,
    )


def _ranked(candidates: list[_Candidate], rule: SelectionRule) -> list[_Candidate]:
    """Returns the candidates, best first; series number, UID and stack break ties."""
    long_mm = LONG_SHARE * max((candidate.coverage_mm for candidate in candidates), default=0.0)
    worse: dict[Criterion, Callable[[_Candidate], float]] = {
        Criterion.ORIGINAL: lambda candidate: not candidate.is_original,
        Criterion.AXIAL: lambda candidate: candidate.orientation is not Orientation.AXIAL,
        Criterion.COMPLETE: lambda candidate: bool(candidate.audit.findings),
        Criterion.SOFT_KERNEL: lambda candidate: candidate.is_sharp,
        Criterion.SHARP_KERNEL: lambda candidate: not candidate.is_sharp,
        Criterion.LONG: lambda candidate: candidate.coverage_mm < long_mm,
        Criterion.THIN: lambda candidate: round(candidate.spacing_mm, 2),
        Criterion.MANY_SLICES: lambda candidate: -len(candidate.audit.slices),
        Criterion.WITH_CONTRAST: lambda candidate: not candidate.has_contrast,
        Criterion.WITHOUT_CONTRAST: lambda candidate: candidate.has_contrast,
    }
    return sorted(
        candidates,
        key=lambda candidate: (
            [worse[criterion](candidate) for criterion in rule.rank],
            float("inf")
            if candidate.stack.series.number is None
            else candidate.stack.series.number,
            _key(candidate.stack),
        ),
    )
